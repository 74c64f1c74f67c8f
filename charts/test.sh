#!/usr/bin/env bash
# Checks the Helm chart: lint, Kubernetes' own schemas, and a test for each switch. Arguments go to pytest.
# Makes helm, kubeconform and the schemas in .cache/charts once, out of Go modules.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD cache=$PWD/.cache/charts
helm_version=v3.17.3 kubeconform_version=v0.6.7 kubernetes_version=v1.31.4

stamp="$helm_version $kubeconform_version $kubernetes_version $(cat charts/schemas.py charts/schemas/*.json | sha256sum)"
if [ "$(cat "$cache/made-from" 2>/dev/null)" != "$stamp" ]; then
  go=$(PYTHONPATH=tests/compat python3 -c 'import environments; print(environments.go())')
  export GOBIN=$cache/bin GOTOOLCHAIN=local
  nice -n 15 "$go" install -ldflags='-s -w' "helm.sh/helm/v3/cmd/helm@$helm_version"
  nice -n 15 "$go" install "github.com/yannh/kubeconform/cmd/kubeconform@$kubeconform_version"
  kubernetes=$("$go" mod download -json "k8s.io/kubernetes@$kubernetes_version" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
  rm -rf "$cache/schemas" "$cache/python"
  python3 charts/schemas.py "$kubernetes/api/openapi-spec/swagger.json" "$cache/schemas"
  python3 -m venv "$cache/python"
  "$cache/python/bin/python" -m pip install -q --disable-pip-version-check pytest==8.3.4 PyYAML==6.0.2
  printf '%s' "$stamp" >"$cache/made-from"
fi
export PATH=$cache/bin:$PATH OMICS_VECTOR_CHART_SCHEMAS=$cache/schemas
cd "$root"
exec "$cache/python/bin/python" -m pytest -p no:cacheprovider -q "$@" tests/charts
