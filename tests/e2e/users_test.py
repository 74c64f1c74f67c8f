"""End users of the running programs: Cognito's tokens from a real moto server, and a provider that changes its keys."""
import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import drivers
import stack as stacks

PYTHON = stacks.ROOT / ".cache" / "clients" / "moto" / "bin" / "python"
PASSWORD = "Passw0rd!x"
VECTORS = [[1.0, 0.0], [0.0, 1.0]]


@contextlib.contextmanager
def helper(script):
    """A Python program that prints its port: (process, url)."""
    if not PYTHON.exists():
        raise RuntimeError("there is no moto: run tests/compat/environments.py moto")
    process = subprocess.Popen([PYTHON, stacks.ROOT / "tests" / script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    try:
        yield process, f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.terminate()
        process.wait()


class Cognito:
    """A user pool with one app client in a moto server."""

    def __init__(self, url):
        self.url = url
        schema = [{"Name": "tenant", "AttributeDataType": "String", "Mutable": True}]
        self.pool = self.call("CreateUserPool", PoolName="users", Schema=schema)["UserPool"]["Id"]
        self.app = self.new_app("app")
        self.issuer = f"https://cognito-idp.us-east-1.amazonaws.com/{self.pool}"
        self.keys_url = f"{url}/{self.pool}/.well-known/jwks.json"

    def call(self, action, **arguments):
        signed = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/cognito-idp/aws4_request, SignedHeaders=host, Signature=0"
        request = urllib.request.Request(f"{self.url}/", json.dumps(arguments).encode(), {
            "X-Amz-Target": f"AWSCognitoIdentityProviderService.{action}", "Content-Type": "application/x-amz-json-1.1",
            "Authorization": signed})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or "{}")

    def new_app(self, name):
        return self.call("CreateUserPoolClient", UserPoolId=self.pool, ClientName=name,
                         ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"])["UserPoolClient"]["ClientId"]

    def sign_up(self, name, tenant, group=None):
        attributes = [{"Name": "custom:tenant", "Value": tenant}] if tenant else []
        self.call("SignUp", ClientId=self.app, Username=name, Password=PASSWORD, UserAttributes=attributes)
        self.call("AdminConfirmSignUp", UserPoolId=self.pool, Username=name)
        if group:
            with contextlib.suppress(urllib.error.HTTPError):  # it is there already
                self.call("CreateGroup", UserPoolId=self.pool, GroupName=group)
            self.call("AdminAddUserToGroup", UserPoolId=self.pool, Username=name, GroupName=group)

    def sign_in(self, name, app=None):
        """The user's id token and access token."""
        result = self.call("InitiateAuth", ClientId=app or self.app, AuthFlow="USER_PASSWORD_AUTH",
                           AuthParameters={"USERNAME": name, "PASSWORD": PASSWORD})["AuthenticationResult"]
        return result["IdToken"], result["AccessToken"]


def settings(issuer, keys_url, audience, **more):
    return {"OMICS_VECTOR_JWT_ISSUER": issuer, "OMICS_VECTOR_JWT_JWKS_URL": keys_url, "OMICS_VECTOR_JWT_AUDIENCE": audience,
            "OMICS_VECTOR_JWT_ROLES": "admins=admin,curators=write,*=read", **more}


@pytest.fixture(scope="module")
def users():
    """A running stack with users of two tenants: ann may write in lab_a, bob may read in lab_b."""
    with helper("cloud/moto_server.py") as (_, url):
        cognito = Cognito(url)
        cognito.sign_up("ann", "lab_a", "curators")
        cognito.sign_up("bob", "lab_b")
        cognito.sign_up("eve", None, "admins")
        chosen = settings(cognito.issuer, cognito.keys_url, cognito.app, OMICS_VECTOR_JWT_TOKEN_USE="id",
                          OMICS_VECTOR_JWT_TENANT_CLAIM="custom:tenant")
        with stacks.running_stack(settings=chosen) as started:
            for tenant in ("lab_a", "lab_b"):
                started.request("POST", "/api/v2/tenants", {"name": tenant})
                started.request("POST", f"/api/v2/tenants/{tenant}/databases", {"name": "main"})
            started.cognito = cognito
            yield started


@contextlib.contextmanager
def chroma(started, token, tenant):
    """The newest Chroma client, with the token as its own provider sends it: Authorization: Bearer."""
    driver = drivers.make_driver("chromadb-1.5.9")
    try:
        driver.connect(started, token, "bearer", tenant=tenant, database="main")
        yield driver
    finally:
        driver.close()


@contextlib.contextmanager
def grpc_client(started, token):
    driver = drivers.PythonGrpcDriver()
    driver.address, driver.token = started.grpc, token
    driver.channel = driver.grpc.insecure_channel(started.grpc)
    driver.stub = driver.stubs.VectorServiceStub(driver.channel)
    try:
        yield driver
    finally:
        driver.close()


def collection(name, tenant):
    return {"tenant": tenant, "database": "main", "name": name}


def refused(call):
    with pytest.raises(drivers.ClientError) as error:
        call()
    return error.value


def test_a_user_works_with_chromas_client_and_a_reader_does_not_write(users):
    token, _ = users.cognito.sign_in("ann")
    with chroma(users, token, "lab_a") as ann:
        ann.call("create", name="notes")
        ann.call("add", name="notes", ids=["a", "b"], embeddings=VECTORS)
        assert ann.call("query", name="notes", embeddings=[VECTORS[1]], n=1)["ids"] == [["b"]]
        ann.call("delete_collection", name="notes")
    with chroma(users, users.cognito.sign_in("bob")[0], "lab_b") as bob:
        assert bob.call("list") == []
        assert "role" in refused(lambda: bob.call("create", name="mine")).message
        assert bob.call("list") == []


def test_a_user_of_one_tenant_finds_nothing_of_another(users):
    ann, _ = users.cognito.sign_in("ann")
    bob, _ = users.cognito.sign_in("bob")
    with chroma(users, ann, "lab_a") as client:
        client.call("create", name="secret")
        client.call("add", name="secret", ids=["a", "b"], embeddings=VECTORS)
        uuid = client.call("get_collection", name="secret")["id"]
    with pytest.raises(drivers.ClientError):
        with chroma(users, bob, "lab_a"):
            pass
    for tenant in ("lab_a", "lab_b"):
        status, _, body = users.request("GET", f"/api/v2/tenants/{tenant}/databases/main/collections/{uuid}/count", token=bob)
        assert status == 404, body
    assert users.request("GET", "/api/v2/tenants/lab_a", token=bob)[0] == 404
    assert users.request("POST", "/api/v2/tenants", {"name": "lab_c"}, token=ann)[0] == 403
    with grpc_client(users, bob) as client:
        assert refused(lambda: client.unary("Count", {"collection": collection("secret", "lab_a")})).name == "NOT_FOUND"
        assert refused(lambda: client.unary("Count", {"collection": {"id": uuid}})).name == "NOT_FOUND"
        assert client.unary("ListCollections", {"tenant": "lab_a", "database": "main"}) == {}, "as where nothing is"
    with grpc_client(users, ann) as client:
        assert client.unary("Count", {"collection": collection("secret", "lab_a")})["count"] == "2"
        found = client.unary("Query", {"collection": {"id": uuid}, "vectors": [{"values": VECTORS[0]}], "k": 1})
        assert [hit["record"]["id"] for hit in found["results"][0]["hits"]] == ["a"]


def test_who_a_user_is_goes_to_the_client(users):
    identity = users.json("GET", "/api/v2/auth/identity", headers={"Authorization": f"Bearer {users.cognito.sign_in('ann')[0]}"},
                          token=None)
    assert identity["tenant"] == "lab_a"
    assert len(identity["user_id"]) == 36


def statuses(started, token):
    """What REST and gRPC answer to a token: (401 or 403 or …, code)."""
    status, _, body = started.request("GET", f"{stacks.V2}/collections", headers={"Authorization": f"Bearer {token}"}, token=None)
    with grpc_client(started, token) as client:
        try:
            client.unary("ListCollections", {"tenant": "lab_a", "database": "main"})
            return status, "OK", body.decode()
        except drivers.ClientError as error:
            return status, error.name, body.decode()


def test_tokens_that_are_not_for_this_service_are_refused_by_both_programs(users):
    id_token, access_token = users.cognito.sign_in("ann")
    elsewhere, _ = users.cognito.sign_in("ann", users.cognito.new_app("another"))
    other_pool = Cognito(users.cognito.url)
    other_pool.sign_up("ann", "lab_a", "admins")
    foreign, _ = other_pool.sign_in("ann")
    header, claims, signature = id_token.split(".")
    for token, message in ((access_token, "not for this service"), (elsewhere, "not for this service"), (foreign, "not for this service"),
                           (f"{header}.{claims}.", "cannot be verified"), (f"{header}.{claims[:-8]}AAAAAAAA.{signature}", "cannot be verified"),
                           (f"eyJhbGciOiJub25lIiwia2lkIjoiZHVtbXkifQ.{claims}.", "cannot be verified")):
        status, code, body = statuses(users, token)
        assert (status, code) == (403, "UNAUTHENTICATED") and message in body, body
    without_tenant, _ = users.cognito.sign_in("eve")
    status, code, body = statuses(users, without_tenant)
    assert (status, code) == (403, "PERMISSION_DENIED") and "custom:tenant" in body
    said = users.service.said() + users.gateway.said()
    assert "a user's token is refused: its claim token_use is" in said
    assert signature not in said and claims not in said


def test_listed_tokens_count_as_before(users):
    assert users.request("GET", f"{stacks.V2}/collections")[0] == 200
    assert users.request("GET", f"{stacks.V2}/collections", token="x" * 40)[0] == 403


class Provider:
    """tests/e2e/identity_provider.py."""

    def __init__(self, process, url):
        self.process, self.url = process, url
        self.issuer = f"{url}/pool"

    def tell(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def token(self, kid, expires_in=600, **more):
        now = int(time.time())
        return self.tell(kid=kid, sign={"iss": self.issuer, "client_id": "app", "token_use": "access", "sub": "ann", "iat": now,
                                        "exp": now + expires_in, "cognito:groups": ["curators"], **more})


@pytest.fixture
def provider():
    with helper("e2e/identity_provider.py") as (process, url):
        yield Provider(process, url)


def status_of(started, token):
    return started.request("GET", f"{stacks.V2}/collections", headers={"Authorization": f"Bearer {token}"}, token=None)[0]


def test_a_provider_that_is_away_at_the_start_closes_the_door_to_its_users_only(provider, tmp_path):
    """With no listed token at all; --jwt-jwks-url is made of the issuer."""
    provider.tell(serve=["one"])
    provider.tell(status=503)
    chosen = settings(provider.issuer, "", "app", OMICS_VECTOR_JWT_TENANT="default_tenant")
    started = stacks.Stack(tmp_path, settings=chosen)
    started.environment = lambda: stacks.clean_environment(**chosen)
    try:
        started.start_service()
        started.start_gateway()
        token = provider.token("one")
        status, headers, _ = started.request("GET", f"{stacks.V2}/collections", headers={"Authorization": f"Bearer {token}"}, token=None)
        assert status == 503 and "Retry-After" in headers
        assert started.request("GET", f"{stacks.V2}/collections")[0] == 403
        assert stacks.gauge(started.service_metrics, "omics_vector_service_jwt_keys_good") == 0
        provider.tell(status=200)
        stacks.eventually(lambda: status_of(started, token) == 200, "the keys, fetched again")
        assert status_of(started, provider.token("one", expires_in=-61)) == 403
        assert status_of(started, provider.token("one", expires_in=-30)) == 200, "within the leeway"
        assert status_of(started, provider.token("one", iss=provider.url)) == 403
        assert status_of(started, provider.token("two")) in (403, 503), "a key that nobody serves"
        assert stacks.gauge(started.gateway_metrics, "omics_vector_gateway_jwt_keys_good") == 1
        assert started.stop() == [0, 0]
    finally:
        started.kill()


@pytest.mark.parametrize("program", [stacks.SERVICE, stacks.GATEWAY], ids=lambda path: path.name)
def test_half_a_configuration_is_refused_at_the_start(program):
    environment = stacks.clean_environment(OMICS_VECTOR_JWT_ISSUER="https://issuer.example.com/pool")
    ended = subprocess.run([program, "--check-config"], env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2 and "--jwt-audience" in ended.stderr
