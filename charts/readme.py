#!/usr/bin/env python3
"""Prints the chart's README.md, whose table of values is made from the comments in values.yaml.

    charts/readme.py >charts/omics-vector/README.md
"""
import pathlib
import re

CHART = pathlib.Path(__file__).resolve().parent / "omics-vector"
HEAD = """# omics-vector, the Helm chart

Both programs in one pod, joined by a unix socket: REST on port 8000 of the Service, gRPC on port 50051 of the headless Service
`…-grpc`, metrics on 9090 and 9091. The pods run as uid 10001 on a read-only root file system.

    vectorctl token create --role read
    helm install omics-vector charts/omics-vector --set-file tokens.file=tokens

`mode: writable` (the default) is one pod with a volume. `mode: read-only` is as many pods as the load asks for, each of which loads
`prewarm.collections` into a disk of its own; nothing but the callers' role `read` keeps a caller from writing to one of them.
Without `tls.existingSecret`, traffic inside the cluster is plain text and `networkPolicy` says who may call.

This file is made by `charts/readme.py` from the comments in values.yaml.

| value | default | what |
|---|---|---|
"""


def rows():
    path, comment = [], []
    for line in (CHART / "values.yaml").read_text().splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip("# "))
            continue
        indent, key, value = re.fullmatch(r"( *)(\w+):\s*(.*)", line).groups()
        path[len(indent) // 2:] = [key]
        if comment:
            shown = value or "see values.yaml"
            yield f"| `{'.'.join(path)}` | `{shown}` | {' '.join(comment)} |"
        comment = []


if __name__ == "__main__":
    print(HEAD + "\n".join(rows()))
