"""docs/cloud-chromadb-handoff.md tells the truth: what it names of ours exists in the programs, the API, the stack or the tree.

Options, variables and subcommands are looked up in the programs' --help (OMICS_VECTOR_BINARIES, default build/release); switches,
parameters, outputs and alarms in the stack's sources; paths in the tree; prices are added up.
"""
import json
import os
import pathlib
import re
import shlex
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "cloud-chromadb-handoff.md").read_text()
BINARIES = pathlib.Path(os.environ.get("OMICS_VECTOR_BINARIES", ROOT / "build" / "release")).resolve()
PROGRAMS = {"vector-service": BINARIES / "services" / "vector-service", "vector-gateway": BINARIES / "gateway" / "vector-gateway",
            "vectorctl": BINARIES / "tools" / "vectorctl"}
STACK = {file.name: file.read_text() for file in (ROOT / "deploy" / "fargate" / "lib").glob("*.ts")}
PREWARM = json.loads((ROOT / "deploy" / "fargate" / "prewarm.json").read_text())
SECTIONS = ["Overview", "Architecture", "Authentication & Authorization", "API Design", "Prewarmed Indexes", "Deployment Steps",
            "Cost Estimate", "Migration Path", "Operations", "Open Questions"]
# What belongs to others: the app's own switch, AWS's and the shell's variables.
FOREIGN_VARIABLES = {"LOBSTER_VECTOR_CLOUD_URL", "AWS_REGION"}
EXAMPLE_POOL = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEfGhI"
# Dollars in us-east-1, as the page states them.
HOURS = 730
VCPU, GB = 0.03238, 0.00356
VOLUME, BALANCER, ADDRESS, NAT, SMALL = 0.80, 16.43, 3.65, 32.85, 1.40


def help_of(*words):
    program, *rest = words
    return subprocess.run([PROGRAMS[program], *rest, "--help"], capture_output=True, text=True, timeout=30).stdout


@pytest.fixture(scope="module")
def helps():
    commands = re.findall(r"^  ([a-z]+) ", help_of("vectorctl").split("Commands:")[1].split("Examples:")[0], re.M)
    texts = {("vectorctl", command): help_of("vectorctl", command) for command in commands}
    for command in ("token", "bundle"):
        for action in re.findall(rf"vectorctl {command} ([a-z]+)", texts[("vectorctl", command)]):
            texts[("vectorctl", command, action)] = help_of("vectorctl", command, action)
    for program in ("vector-service", "vector-gateway"):
        texts[(program,)] = help_of(program)
    return texts


def blocks():
    return re.findall(r"^ *```sh\n(.*?)^ *```", PAGE, re.S | re.M)


def spans():
    """What stands between single backquotes, outside of the blocks."""
    outside = re.sub(r"^ *```sh\n.*?^ *```", "", PAGE, flags=re.S | re.M)
    return re.findall(r"`([^`\n]+)`", outside)


def words_of(line):
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.split()


def commands(name):
    """Every use of program `name` in blocks and spans, as its words after the name."""
    found = []
    for text in [*blocks(), *spans()]:
        for line in re.sub(r"\\\n", " ", text).splitlines():
            words = words_of(line)
            if name in words:
                found.append(words[words.index(name) + 1:])
    return found


def section(title):
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text):
    """The cells of each table row in `text`, without heads and rules."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")]
            for line, after in zip(lines, [*lines[1:], ""]) if not set(line) <= set("|- ") and not set(after) <= set("|- ") or after == ""]


def test_the_sections_are_those_agreed_and_in_order():
    assert re.findall(r"^## (.+)$", PAGE, re.M) == SECTIONS
    assert len(PAGE.splitlines()) >= 100


def test_nothing_was_left_to_fill_in():
    assert not re.search(r"@@|TODO|TBD|FIXME", PAGE)


def test_steps_are_numbered_each_with_a_command_and_what_it_prints():
    steps = re.split(r"^\*\*(\d+)\. ", section("Deployment Steps"), flags=re.M)[1:]
    numbers, bodies = [int(number) for number in steps[::2]], steps[1::2]
    assert numbers == list(range(1, len(numbers) + 1))
    for number, body in zip(numbers, bodies):
        if number < len(numbers):  # the last is the app's own switch
            assert "```sh" in body, f"step {number} has no command"
        assert re.search(r"\bprint(s|ed)?\b", body), f"step {number} does not say what is printed"


def test_commands_of_vectorctl_exist_with_their_options(helps):
    used = [words for words in commands("vectorctl") if words]
    assert len(used) >= 8
    for words in used:
        command = ("vectorctl", words[0].rstrip("`.,;"))
        assert command in helps, f"vectorctl has no command {words[0]}"
        if tuple(["vectorctl", *words[:2]]) in helps:
            command = tuple(["vectorctl", *words[:2]])
        assert "there is no" not in helps[command] and helps[command], command
        for option in (word.split("=")[0] for word in words if word.startswith("--")):
            assert re.search(rf"^  {option}\b", helps[command], re.M), f"{' '.join(command)} has no option {option}"


def test_options_named_in_the_text_exist(helps):
    everything = "\n".join(helps.values())
    for option in {span.split("=")[0].split()[0] for span in spans() if span.startswith("--")}:
        assert re.search(rf"^  {option}\b", everything, re.M), f"no program has an option {option}"


def test_variables_exist(helps):
    everything = re.sub(r"\s+", " ", "\n".join(helps.values()))
    for name in set(re.findall(r"\b(?:OMICS_VECTOR|CHROMA|PERSIST|LOBSTER|AWS)_[A-Z_0-9]+\b", PAGE)) - FOREIGN_VARIABLES:
        assert re.search(rf"\b{name}\b", everything), f"no program knows the variable {name}"


def test_variables_of_the_stack_exist(helps):
    everything = re.sub(r"\s+", " ", helps[("vector-service",)] + helps[("vector-gateway",)])
    names = set(re.findall(r"\bOMICS_VECTOR_[A-Z_0-9]+\b", STACK["service.ts"]))
    assert len(names) >= 10
    for name in names:
        assert re.search(rf"\b{name}\b", everything), f"the stack sets {name}, which no program knows"


def test_the_example_of_end_users_is_a_configuration_of_both_programs():
    users = json.loads(re.search(r"```json\n(.*?)```", section("Operations"), re.S)[1])
    known = set(re.findall(r"'([\w-]+)'", re.search(r"END_USER_OPTIONS[^=]*= \[(.*?)\]", STACK["settings.ts"], re.S)[1]))
    assert known == {name.removeprefix("--jwt-") for name in re.findall(r"^  (--jwt-[\w-]+)", help_of("vector-service"), re.M)}
    assert set(users) <= known and users["issuer"] == EXAMPLE_POOL
    for program in ("vector-service", "vector-gateway"):
        variables = {f"OMICS_VECTOR_JWT_{name.upper().replace('-', '_')}": value for name, value in users.items()}
        done = subprocess.run([PROGRAMS[program], "--check-config"], env={**os.environ, **variables}, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr


def test_switches_are_those_of_the_stack():
    known = set(re.findall(r"'(\w+)'", re.search(r"SWITCHES = \[(.*?)\]", STACK["settings.ts"], re.S)[1]))
    table = {name for line in section("Architecture").splitlines() if re.match(r"\| `[a-zA-Z]+`", line)
             for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert table == known
    used = set(re.findall(r"(?<!\S)`?-c (\w+)=", PAGE))
    assert used <= known, used - known


def test_parameters_and_outputs_are_those_of_the_stack():
    sources = "\n".join(STACK.values())
    zones = {"AvailabilityZoneA", "AvailabilityZoneB"}  # made by letter
    parameters = set(re.findall(r"CfnParameter\(\w+, '(\w+)'", sources)) | set(re.findall(r"(?:subnet|parameter)\('(\w+)'", sources)) | zones
    assert "`AvailabilityZone${letter}`" in sources
    used = set(re.findall(r"--parameters (\w+)=", PAGE))
    assert used and used <= parameters, used - parameters
    outputs = set(re.findall(r"output\('(\w+)'", STACK["stack.ts"]))
    for output in outputs:
        assert f"`{output}`" in PAGE, f"the output {output} is not mentioned"
    assert set(re.findall(r"OutputKey=='(\w+)'", PAGE)) <= outputs


def test_every_alarm_has_a_row_in_the_runbook():
    alarms = set(re.findall(r"\{ name: '(\w+)', what:", STACK["alarms.ts"])) | {"TaskStopped"}
    assert "'TaskStopped'" in STACK["alarms.ts"]
    assert set(re.findall(r"^\| `(\w+)` \|", section("Operations"), re.M)) == alarms


def test_the_alarm_for_tokens_waits_for_what_the_programs_log():
    words = re.search(r"STALE_TOKENS = '(.+)'", STACK["alarms.ts"])[1]
    assert any(words in file.read_text() for file in (ROOT / "cloud").glob("*.cc"))


def test_prewarmed_collections_are_those_of_the_list():
    found = [[cell.strip("`") for cell in row] for row in rows(section("Prewarmed Indexes"))]
    assert found == [[each["collection"], *each["aliases"], each["url"]] for each in PREWARM]


def test_urls_and_hosts_are_ours_or_known():
    domain = re.search(r"text\('domain', '([\w.-]+)'", STACK["settings.ts"])[1]
    for url in re.findall(r"https://[\w.-]+[^\s`|\")]*", PAGE):
        host = re.match(r"https://([\w.-]+)", url)[1]
        assert host == domain or url in {EXAMPLE_POOL, *(each["url"] for each in PREWARM)}, url
    assert set(re.findall(r"\b[\w.-]*vector\.omics-os\.com\b", PAGE)) == {domain, f"grpc.{domain}"}


def test_ports_are_those_of_programs_and_stack(helps):
    defaults = set(re.findall(r"127\.0\.0\.1:(\d+)", "\n".join(helps.values())))
    stack = set(re.findall(r"_PORT = (\d+)", "\n".join(STACK.values())))
    named = set(re.findall(r"(?:omics-os\.com:|\bport[= ]|https? |h2c |TLS |gateway's own is )(\d{2,5})\b", PAGE))
    assert {"443", "8000", "50051"} <= named
    assert named <= defaults | stack, named - defaults - stack
    for port in ("9090", "9091"):
        assert port in PAGE and port in defaults


def test_routes_of_rest_exist():
    router = (ROOT / "gateway" / "router.cc").read_text()
    for route in ("/livez", "/readyz", "/openapi.json"):
        assert f'"{route}"' in router and route in PAGE
    for path in set(re.findall(r"`(?:GET )?(/(?:livez|readyz|openapi\.json|api/v[12]/\w+))`", PAGE)):
        tail = path.split("/", 3)[-1] if path.startswith("/api") else path
        assert tail.strip("/") in router, path


def test_rpcs_exist():
    protos = "\n".join(file.read_text() for file in (ROOT / "proto/omics/vector/v1").glob("*.proto"))
    rpcs = set(re.findall(r"rpc (\w+)\(", protos))
    for names in re.findall(r"`omics\.vector\.v1\.\w+Service`\s*\(([^)]*)\)", PAGE):
        for name in (each.strip() for each in names.split(",")):
            assert name in rpcs or name == "collections", name


def test_paths_exist():
    named = set(re.findall(r"`((?:deploy|docs|tests|charts|scripts|testdata)/[\w./-]+)`", PAGE))
    named |= set(re.findall(r"^((?:deploy|scripts)/[\w./-]+)", "\n".join(blocks()), re.M))
    named |= {f"docs/{link}" for link in re.findall(r"\]\((?!http)([\w./-]+)\)", PAGE)}
    assert "deploy/fargate/prewarm.json" in named
    for path in named:
        assert (ROOT / path).exists(), path


def test_values_of_the_stack_are_those_stated():
    service, settings = STACK["service.ts"], STACK["settings.ts"]
    assert "'/data/chroma'" in service and "`/data/chroma`" in PAGE
    assert "SOCKET_DIR = '/run/omics-vector'" in service and "unix:/run/omics-vector/service.sock" in PAGE
    for name, value in (("cpu", "1024"), ("memory", "4096"), ("volumeGiB", "10"), ("replicasMin", "2"), ("replicasMax", "6"), ("snapshotHours", "1")):
        assert re.search(rf"'{name}', {value},", settings), name
    assert "'--live'" in service and "`vectorctl health --live`" in PAGE


def test_prices_add_up():
    kinds = {"REST only": VOLUME + BALANCER + 2 * ADDRESS + SMALL}
    kinds["REST and gRPC"] = kinds["REST only"] + BALANCER
    kinds["new VPC"] = kinds["REST and gRPC"] + NAT + ADDRESS
    found = [row for row in rows(section("Cost Estimate")) if "vCPU" in row[0]]
    assert len(found) == 4
    for size, *prices in found:
        cpu, memory = (float(number) for number in re.findall(r"([\d.]+) (?:vCPU|GB)", size))
        fargate = HOURS * (cpu * VCPU + memory * GB)
        assert [float(price.strip("*")) for price in prices] == pytest.approx([fargate, *(fargate + more for more in kinds.values())], abs=0.011), size
    ours, plan = HOURS * (VCPU + 4 * GB), HOURS * (4 * VCPU + 16 * GB)
    assert f"${plan - ours:.2f} a month less, {round(100 * (plan - ours) / plan)} %" in PAGE
    for size in (HOURS * (VCPU + 4 * GB), HOURS * (0.5 * VCPU + 2 * GB)):
        assert f"${2 * size + kinds['REST only'] - VOLUME:.2f}" in PAGE
