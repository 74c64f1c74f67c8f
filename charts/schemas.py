#!/usr/bin/env python3
"""Makes kubeconform's strict JSON schemas of the kinds that the chart uses, out of Kubernetes' own OpenAPI file.

    charts/schemas.py SWAGGER_JSON FOLDER
"""
import json
import pathlib
import shutil
import sys

KINDS = {"StatefulSet", "Deployment", "Service", "ServiceAccount", "Secret", "ConfigMap", "HorizontalPodAutoscaler",
         "PodDisruptionBudget", "NetworkPolicy", "Ingress"}
SCALARS = {"io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
           "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]}}


def resolved(node, definitions, seen=()):
    """The schema without references; unknown members are refused wherever members are listed."""
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        if name in SCALARS:
            return SCALARS[name]
        return {"type": "object"} if name in seen else resolved(definitions[name], definitions, (*seen, name))
    out = {key: node[key] for key in ("type", "enum", "required") if key in node}
    if "properties" in node:
        out["properties"] = {key: resolved(value, definitions, seen) for key, value in node["properties"].items()}
        out["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            out[key] = resolved(node[key], definitions, seen)
    return out


def main():
    definitions = json.loads(pathlib.Path(sys.argv[1]).read_text())["definitions"]
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for node in definitions.values():
        for kind in node.get("x-kubernetes-group-version-kind", []):
            if kind["kind"] in KINDS:
                group = f"{kind['group'].split('.')[0]}-" if kind["group"] else ""
                name = f"{kind['kind'].lower()}-{group}{kind['version']}.json"
                (folder / name).write_text(json.dumps(resolved(node, definitions)))
    for kept in (pathlib.Path(__file__).parent / "schemas").glob("*.json"):
        shutil.copy(kept, folder)


if __name__ == "__main__":
    main()
