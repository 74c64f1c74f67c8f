"""Token rotation of the running programs: a secret in a real moto server, and a watched file."""
import contextlib
import json
import pathlib
import subprocess
import urllib.request

import pytest

import stack as stacks

MOTO = stacks.ROOT / ".cache" / "clients" / "moto" / "bin" / "python"
POLL_SECONDS = 1
WAIT_SECONDS = 20  # a poll, on a machine that builds something else at the same time
TOKEN = "token-{:0>30}"


class SecretsManager:
    """A moto server with one secret."""

    def __init__(self):
        if not MOTO.exists():
            raise RuntimeError("there is no moto: run tests/compat/environments.py moto")
        self.process = subprocess.Popen([MOTO, stacks.ROOT / "tests" / "cloud" / "moto_server.py"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()

    def call(self, action, **arguments):
        signed = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0"
        request = urllib.request.Request(f"{self.url}/", json.dumps(arguments).encode(), {
            "X-Amz-Target": f"secretsmanager.{action}", "Content-Type": "application/x-amz-json-1.1", "Authorization": signed})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def create(self, text):
        return self.call("CreateSecret", Name="tokens", SecretString=text)["ARN"]

    def put(self, text):
        self.call("PutSecretValue", SecretId="tokens", SecretString=text)


@pytest.fixture
def secrets_manager():
    server = SecretsManager()
    yield server
    server.stop()


def settings(server, **more):
    return {"OMICS_VECTOR_TOKENS_SECRET": "tokens", "OMICS_VECTOR_SECRETS_ENDPOINT": server.url,
            "OMICS_VECTOR_TOKENS_POLL_SECONDS": str(POLL_SECONDS), "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret", **more}


@contextlib.contextmanager
def running(home, **options):
    started = stacks.Stack(home, **options)
    try:
        started.start_service()
        started.start_gateway()
        yield started
    finally:
        for program in (started.gateway, started.service):
            if program:
                program.kill()


def accepted(started, token):
    """By the gateway and, since it forwards the caller's own token, by the service behind it."""
    status = started.request("GET", f"{stacks.V2}/collections", token=token)[0]
    assert status in (200, 401, 403), status
    return status == 200


def within_the_poll(condition):
    stacks.eventually(condition, "a change within the poll interval", WAIT_SECONDS)


def test_a_rotated_secret_counts_without_a_restart_and_an_outage_changes_nothing(tmp_path, secrets_manager):
    first, second, third = (TOKEN.format(number) for number in (1, 2, 3))
    secrets_manager.create(json.dumps({"token": first}))
    with running(tmp_path, token=TOKEN.format(0), settings=settings(secrets_manager)) as started:
        assert accepted(started, first)
        assert not accepted(started, TOKEN.format(0)), "the environment's token counts only until the secret is read"
        secrets_manager.put(json.dumps({"token": second}))
        within_the_poll(lambda: accepted(started, second))
        assert accepted(started, first), "AWSPREVIOUS is refused inside the overlap"
        secrets_manager.put(f"search read {third}\n")
        within_the_poll(lambda: accepted(started, third))
        within_the_poll(lambda: not accepted(started, first))
        assert accepted(started, second)
        secrets_manager.put("nobody understands this")
        metrics = started.gateway_metrics
        within_the_poll(lambda: stacks.gauge(metrics, "omics_vector_gateway_tokens_secret_good") == 0)
        assert accepted(started, third) and accepted(started, second)
        secrets_manager.put(f"search read {third}\n")
        within_the_poll(lambda: stacks.gauge(metrics, "omics_vector_gateway_tokens_secret_good") == 1)
        secrets_manager.stop()
        within_the_poll(lambda: stacks.gauge(started.service_metrics, "omics_vector_service_tokens_secret_good") == 0)
        assert accepted(started, third)
        assert not accepted(started, TOKEN.format(0)) and not accepted(started, None)
        said = started.gateway.said() + started.service.said()
        assert "the former tokens stay in force" in said
        assert not any(token in said for token in (first, second, third)), "a token in the log"


def test_without_overlap_the_previous_version_is_refused_at_the_next_poll(tmp_path, secrets_manager):
    first, second = TOKEN.format(1), TOKEN.format(2)
    arn = secrets_manager.create(first)
    zero = settings(secrets_manager, OMICS_VECTOR_TOKENS_SECRET=arn, OMICS_VECTOR_TOKEN_OVERLAP_HOURS="0")
    with running(tmp_path, token=TOKEN.format(0), settings=zero) as started:
        assert accepted(started, first)
        secrets_manager.put(second)
        within_the_poll(lambda: accepted(started, second))
        within_the_poll(lambda: not accepted(started, first))


@pytest.mark.parametrize("program", [stacks.SERVICE, stacks.GATEWAY], ids=lambda path: pathlib.Path(path).name)
def test_a_secret_that_never_could_be_read_ends_the_start(tmp_path, secrets_manager, program):
    environment = stacks.clean_environment(**settings(secrets_manager))
    home = ["--data-dir", tmp_path, "--grpc-address", "127.0.0.1:0"] if program == stacks.SERVICE else ["--rest-address", "127.0.0.1:0"]
    ended = subprocess.run([program, *home, "--metrics-address="], env=environment, capture_output=True, text=True, timeout=90)
    assert ended.returncode == 1
    assert "the secret tokens (AWSCURRENT)" in ended.stderr and "ResourceNotFoundException" in ended.stderr


def test_a_changed_tokens_file_counts_within_seconds(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"a admin {TOKEN.format(1)}\n")
    with running(tmp_path, settings={"OMICS_VECTOR_TOKENS_FILE": str(path)}) as started:
        assert accepted(started, TOKEN.format(1))
        replacement = tmp_path / "new"
        replacement.write_text(f"a admin {TOKEN.format(2)}\n")
        replacement.rename(path)
        within_the_poll(lambda: accepted(started, TOKEN.format(2)))
        within_the_poll(lambda: not accepted(started, TOKEN.format(1)))
