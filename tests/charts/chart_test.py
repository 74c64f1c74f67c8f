"""The Helm chart: what each switch makes, and that Kubernetes would take it."""
import json
import os
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "charts" / "omics-vector"
KUBERNETES = "1.31.4"  # a helm that `go install` made assumes 1.20
CI = sorted((CHART / "ci").glob("*-values.yaml"))
COLLECTIONS = {"prewarm": {"collections": [{"collection": "cells", "url": "s3://bucket/cells.tar.gz"}]}}
READ_ONLY = {"mode": "read-only", **COLLECTIONS}
TOKENS = {"tokens": {"existingSecret": "vector-tokens"}}


def helm(values, *arguments):
    return subprocess.run(["helm", "template", "omics-vector", str(CHART), "--values", "-", "--kube-version", KUBERNETES, *arguments], text=True,
                          input=json.dumps(values), capture_output=True, timeout=60)


def objects(values, tokens=TOKENS):
    done = helm({**tokens, **values})
    assert done.returncode == 0, done.stderr
    return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout) if each}


def kinds(values):
    return {kind for kind, _ in objects(values)}


def workload(values, tokens=TOKENS):
    found, = (each for (kind, _), each in objects(values, tokens).items() if kind in ("StatefulSet", "Deployment"))
    return found


def pod(values, tokens=TOKENS):
    return workload(values, tokens)["spec"]["template"]["spec"]


def environment(container):
    return {each["name"]: each["value"] for each in container["env"]}


def refusal(values):
    done = helm(values)
    assert done.returncode != 0, "the chart took it"
    return done.stderr


@pytest.mark.parametrize("file", CI, ids=lambda file: file.stem)
def test_lint_finds_nothing(file):
    done = subprocess.run(["helm", "lint", "--strict", str(CHART), "--values", str(file), "--kube-version", KUBERNETES],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def kubeconform(text):
    location = os.environ["OMICS_VECTOR_CHART_SCHEMAS"] + "/{{.ResourceKind}}{{.KindSuffix}}.json"
    return subprocess.run(["kubeconform", "-strict", "-summary", "-schema-location", location], input=text,
                          capture_output=True, text=True)


@pytest.mark.parametrize("file", CI, ids=lambda file: file.stem)
def test_kubernetes_takes_every_object(file):
    rendered = helm({}, "--values", str(file))
    assert rendered.returncode == 0, rendered.stderr
    text = rendered.stdout
    assert "kind: Service" in text
    done = kubeconform(text)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(list(yaml.safe_load_all(text)))} resource" in done.stdout
    assert "Skipped: 0" in done.stdout


def test_the_schemas_refuse_an_unknown_member():
    text = helm(TOKENS).stdout
    assert kubeconform(text.replace("fsGroup:", "fsGrop:")).returncode != 0


def test_writable_is_one_pod_with_a_volume():
    found = workload({})
    assert (found["kind"], found["spec"]["replicas"]) == ("StatefulSet", 1)
    assert found["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert "HorizontalPodAutoscaler" not in kinds({})


def test_read_only_scales_and_fills_its_own_disk():
    found = workload(READ_ONLY)
    assert found["kind"] == "Deployment" and "replicas" not in found["spec"]
    data, = (each for each in found["spec"]["template"]["spec"]["volumes"] if each["name"] == "data")
    assert "emptyDir" in data
    prewarm = environment(pod(READ_ONLY)["containers"][0])["OMICS_VECTOR_PREWARM"]
    assert json.loads(prewarm) == COLLECTIONS["prewarm"]["collections"]
    assert "HorizontalPodAutoscaler" in kinds(READ_ONLY)


def test_shipping_is_for_the_service_of_the_writable_mode():
    values = {"shipping": {"to": "s3://bucket/vector", "seconds": 2}}
    service, gateway = pod(values)["containers"]
    assert environment(service)["OMICS_VECTOR_SHIP_TO"] == "s3://bucket/vector" and environment(service)["OMICS_VECTOR_SHIP_SECONDS"] == "2"
    assert "OMICS_VECTOR_SHIP_TO" not in environment(gateway)
    assert pod(values)["terminationGracePeriodSeconds"] == pod({})["terminationGracePeriodSeconds"] + 60
    assert "OMICS_VECTOR_SHIP_TO" not in environment(pod({})["containers"][0])
    assert "shipping.to" in refusal({**TOKENS, **READ_ONLY, **values})


def test_read_only_without_autoscaling_has_a_count():
    values = {**READ_ONLY, "autoscaling": {"enabled": False}, "replicas": {"count": 3}}
    assert workload(values)["spec"]["replicas"] == 3
    assert "HorizontalPodAutoscaler" not in kinds(values)


def test_read_only_without_collections_is_refused():
    assert "prewarm.collections" in refusal({**TOKENS, "mode": "read-only"})


@pytest.mark.parametrize("values, name", [
    ({"podDisruptionBudget": {"enabled": False}}, "PodDisruptionBudget"),
    ({"networkPolicy": {"enabled": False}}, "NetworkPolicy"),
])
def test_what_is_on_can_be_turned_off(values, name):
    assert name in kinds({}) and name not in kinds(values)


@pytest.mark.parametrize("switch, name", [("ingress", "Ingress"), ("serviceMonitor", "ServiceMonitor"), ("dashboard", "ConfigMap")])
def test_what_is_off_can_be_turned_on(switch, name):
    assert name not in kinds({}) and name in kinds({switch: {"enabled": True}})


def test_tokens_come_from_exactly_one_place():
    assert "no tokens" in refusal({})
    assert "exclude" in refusal({"tokens": {"existingSecret": "a", "file": "b"}})
    assert "insecureNoAuth" in refusal({"tokens": {"existingSecret": "a", "insecureNoAuth": True}})


@pytest.mark.parametrize("tokens, variable, value", [
    ({"existingSecret": "a"}, "OMICS_VECTOR_TOKENS_FILE", "/etc/omics-vector/tokens/tokens"),
    ({"file": "reader read sha256:00"}, "OMICS_VECTOR_TOKENS_FILE", "/etc/omics-vector/tokens/tokens"),
    ({"secretsManager": "name"}, "OMICS_VECTOR_TOKENS_SECRET", "name"),
    ({"insecureNoAuth": True}, "OMICS_VECTOR_INSECURE_NO_AUTH", "on"),
])
def test_both_programs_get_the_tokens(tokens, variable, value):
    containers = pod({}, {"tokens": tokens})["containers"]
    assert [environment(each).get(variable) for each in containers] == [value, value]
    mounted = [any(mount["name"] == "tokens" for mount in each["volumeMounts"]) for each in containers]
    assert mounted == [variable.endswith("FILE")] * 2


USERS = {"issuer": "https://issuer.example.com", "audience": "app", "roles": "*=read", "tenantClaim": "custom:tenant"}


def test_both_programs_take_users_tokens_and_need_no_others():
    for each in pod({"endUsers": {**USERS, "tokenUse": "id"}}, {})["containers"]:
        given = {name: value for name, value in environment(each).items() if "JWT" in name}
        assert given == {"OMICS_VECTOR_JWT_ISSUER": USERS["issuer"], "OMICS_VECTOR_JWT_AUDIENCE": "app", "OMICS_VECTOR_JWT_ROLES": "*=read",
                         "OMICS_VECTOR_JWT_TENANT_CLAIM": "custom:tenant", "OMICS_VECTOR_JWT_TOKEN_USE": "id"}
    assert not any("JWT" in name for each in pod({})["containers"] for name in environment(each))


@pytest.mark.parametrize("without", ["audience", "roles", "tenantClaim"])
def test_half_of_what_users_need_is_refused(without):
    assert "endUsers.issuer needs" in refusal({**TOKENS, "endUsers": {**USERS, without: ""}})


def test_users_do_not_go_with_an_open_door():
    assert "insecureNoAuth" in refusal({"tokens": {"insecureNoAuth": True}, "endUsers": USERS})
    assert "needs" in refusal({**TOKENS, "endUsers": {**USERS, "tenant": "a"}})


def test_a_watched_file_is_not_a_subpath():
    mounts = [mount for each in pod({})["containers"] for mount in each["volumeMounts"]]
    assert mounts and not any("subPath" in mount for mount in mounts)


@pytest.mark.parametrize("secret, scheme", [("", "HTTP"), ("cert", "HTTPS")])
def test_tls_or_the_word_that_something_else_encrypts(secret, scheme):
    service, gateway = pod({"tls": {"existingSecret": secret}})["containers"]
    assert ("OMICS_VECTOR_GRPC_BEHIND_PROXY" in environment(service)) == (not secret)
    assert ("OMICS_VECTOR_TLS_KEY" in environment(gateway)) == bool(secret)
    assert gateway["livenessProbe"]["httpGet"]["scheme"] == scheme


def test_both_containers_are_locked_down():
    spec = pod({})
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert len(spec["containers"]) == 2
    for each in spec["containers"]:
        security = each["securityContext"]
        assert (security["runAsUser"], security["runAsNonRoot"], security["readOnlyRootFilesystem"]) == (10001, True, True)
        assert security["capabilities"] == {"drop": ["ALL"]} and security["allowPrivilegeEscalation"] is False


def test_kubernetes_adds_no_variables_of_its_own():
    assert pod({})["enableServiceLinks"] is False


def test_liveness_does_not_ask_for_readiness():
    service, gateway = pod({})["containers"]
    assert "--live" in service["livenessProbe"]["exec"]["command"]
    assert "--live" not in service["readinessProbe"]["exec"]["command"]
    assert gateway["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert gateway["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_gateway_speaks_over_the_shared_socket():
    service, gateway = pod({})["containers"]
    socket = environment(service)["OMICS_VECTOR_GRPC_UNIX_SOCKET"]
    assert environment(gateway)["OMICS_VECTOR_SERVICE_ADDRESS"] == f"unix:{socket}"
    assert all({"name": "socket", "mountPath": "/run/omics-vector"} in each["volumeMounts"] for each in (service, gateway))


def test_a_pod_asks_for_one_cpu_and_two_gigabytes():
    requests = [each["resources"]["requests"] for each in pod({})["containers"]]
    assert sum(int(each["cpu"].rstrip("m")) for each in requests) == 1000
    assert sum(int(each["memory"].removesuffix("Mi")) for each in requests) == 2048


def test_services_have_the_known_ports():
    found = objects({})
    assert [port["port"] for port in found["Service", "omics-vector"]["spec"]["ports"]] == [8000]
    grpc = found["Service", "omics-vector-grpc"]["spec"]
    assert grpc["clusterIP"] == "None" and [port["port"] for port in grpc["ports"]] == [50051, 9090, 9091]


def typed_objects(schema, path=""):
    if "properties" in schema:
        yield path, schema
        for key, value in schema["properties"].items():
            yield from typed_objects(value, f"{path}.{key}")
    if "items" in schema:
        yield from typed_objects(schema["items"], f"{path}[]")


def test_a_misspelt_value_is_refused_wherever_it_stands():
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert [path for path, each in typed_objects(schema) if each["additionalProperties"] is not False] == []
    assert "replica" in refusal({**TOKENS, "replica": 3})
    assert "tokenz" in refusal({"tokens": {"existingSecret": "a", "tokenz": "b"}})


def test_the_schema_knows_the_values_and_no_others():
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(schema["properties"]) - {"global"} == set(yaml.safe_load((CHART / "values.yaml").read_text()))


def test_the_dashboard_shows_only_metrics_that_are_exported():
    """Names are built as prefix + name; the sources hold the second half as a string."""
    sources = "".join(path.read_text() for room in ("base", "cloud", "services", "gateway")
                      for path in (ROOT / room).glob("*.cc") if path.is_file())
    names = set(re.findall(r"omics_vector_(?:service|gateway)_(\w+)", (CHART / "dashboard.json").read_text()))
    assert names
    missing = {name for name in names if not re.search(rf'"_?{name.removesuffix("_bucket")}"', sources)}
    assert missing == set()


def test_the_variables_are_ones_that_the_programs_know():
    sources = "".join(path.read_text() for room in ("cloud", "services", "gateway") for path in (ROOT / room).glob("*.cc"))
    users = {**USERS, "jwksUrl": "a", "tokenUse": "a", "roleClaim": "a"}
    everything = [*pod({**READ_ONLY, "tls": {"existingSecret": "a"}, "aws": {"s3Unsigned": True}, "endUsers": users})["containers"],
                  *pod({"endUsers": {**USERS, "tenantClaim": "", "tenant": "a"}})["containers"]]
    for name in {name for each in everything for name in environment(each)}:
        flag = name.removeprefix("OMICS_VECTOR_").lower().replace("_", "-")
        assert f'"{name}"' in sources or f'"{flag}"' in sources, name


def test_the_readme_is_made_from_the_values():
    made = subprocess.run([str(ROOT / "charts" / "readme.py")], capture_output=True, text=True, check=True).stdout
    assert (CHART / "README.md").read_text() == made
