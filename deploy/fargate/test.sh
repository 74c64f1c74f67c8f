#!/usr/bin/env bash
# Checks the Fargate stack from a clean tree, without an AWS account: compiles it, runs its assertion tests (cdk-nag among
# them), makes the template by `cdk synth` and those of all shapes, and lints each with cfn-lint.
#
#   deploy/fargate/test.sh [--junit FILE]
#
# Works in a copy below build/; packages are pinned in package-lock.json and requirements.txt. Needs Node.js 20, or npm to get it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/build/fargate
junit=''
while [ $# -gt 0 ]; do
  case "$1" in
    --junit) junit=$(realpath -m "${2:?--junit needs a file}"); shift 2 ;;
    *) echo "test.sh: unknown option $1" >&2; exit 2 ;;
  esac
done

again() { # COMMAND...: registries have bad moments
  local attempt
  for attempt in 1 2 3; do "$@" && return; sleep $attempt; done
  return 1
}

enough_node() { node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null; }

if ! enough_node; then
  "$root/tests/compat/environments.py" node >/dev/null
  export PATH=$root/.cache/clients/node/node_modules/node/bin:$PATH
  enough_node || { echo 'test.sh: needs Node.js 20 or newer' >&2; exit 1; }
fi
rm -rf "$work/stack"
mkdir -p "$work/stack"
(cd "$here" && tar -c --exclude=./node_modules --exclude=./dist --exclude=./cdk.out .) | tar -x -C "$work/stack"
cd "$work/stack"

echo '== packages'
again npm ci --no-audit --no-fund --loglevel=error
pins=$(sha256sum requirements.txt | cut -c1-12)
if [ ! -x "$work/lint-$pins/bin/cfn-lint" ]; then
  python3 -m venv "$work/lint-$pins"
  again "$work/lint-$pins/bin/pip" install -q --no-deps --disable-pip-version-check -r requirements.txt || { rm -rf "$work/lint-$pins"; exit 1; }
fi

echo '== compile'
npx --no-install tsc

echo '== assertion tests'
reporters=(--test-reporter=spec --test-reporter-destination=stdout)
[ -z "$junit" ] || reporters+=(--test-reporter=junit --test-reporter-destination="$junit")
node --test "${reporters[@]}" dist/test/stack.test.js

echo '== cdk synth, without an account'
env -u AWS_PROFILE -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY -u AWS_SESSION_TOKEN AWS_EC2_METADATA_DISABLED=true \
  npx --no-install cdk synth --quiet --no-lookups --strict -o "$work/stack/cdk.out"
test -s cdk.out/omics-vector.template.json

echo '== cfn-lint'
node dist/test/synth-all.js templates
"$work/lint-$pins/bin/cfn-lint" cdk.out/*.template.json templates/*/*.template.json
echo "cfn-lint found nothing in $(ls cdk.out/*.template.json templates/*/*.template.json | wc -l) templates"
