#!/usr/bin/env bash
# Builds the image with buildah and runs it with podman: size, user, read-only root, README's examples, health, drain, memory.
#
#   deploy/container/test.sh [PYTEST-ARGUMENT]...      for example: deploy/container/test.sh --junitxml container.xml
#
# Environment
#   BASE_IMAGE          what to build on, for example debian:12-slim; by default a copy of it that is made by
#                       debootstrap, since not every machine that tests reaches a registry
#   OMICS_VECTOR_IMAGE  test this image of the local storage below instead of building one
#   STORAGE_DRIVER      vfs by default, which works everywhere
#
# Needs root, and installs the rest itself. Everything stays in .cache/container, images and the compiler's cache too: the first
# run takes half an hour on two cores, the next ones some minutes.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=$root/.cache/container
tag=localhost/omics-vector:test
tools=localhost/omics-vector-tools:test
base_days=7 # after which a base made here is made anew, for Debian's updates

[ "$(id -u)" -eq 0 ] || { echo 'test.sh: needs root: it makes a root file system and containers' >&2; exit 1; }
mkdir -p "$cache/tmp"
cd "$root"
exec 9>"$cache/lock"
if ! flock -n 9; then
  echo 'Another run is under way; waiting for it …'
  flock 9
fi

scripts/install_dependencies.sh container
tests/compat/environments.py harness chromadb-1.5.9 grpcurl
validator=$cache/spdx-$(sha256sum "$here/requirements.txt" | cut -c1-12)
if [ ! -x "$validator/bin/pyspdxtools" ]; then
  rm -rf "$cache"/spdx-*
  python3 -m venv "$validator"
  for attempt in 1 2 3; do
    "$validator/bin/pip" install -q --no-deps --disable-pip-version-check -r "$here/requirements.txt" && break
    [ $attempt -lt 3 ] || { rm -rf "$validator"; exit 1; }
    sleep $attempt # registries have bad moments
  done
fi

# Storage and settings of our own: the machine's containers are none of our business.
cat >"$cache/storage.conf" <<CONFIGURATION
[storage]
driver = "${STORAGE_DRIVER:-vfs}"
graphroot = "$cache/storage"
runroot = "$cache/run"
CONFIGURATION
# podman would raise limits, which a machine may forbid: those of this process will do. It lowers its own number of
# processes to the kernel's highest process id.
files=$(ulimit -Hn) processes=$({ ulimit -Hu; cat /proc/sys/kernel/pid_max; } | sed 's/unlimited/4194304/' | sort -n | head -n 1)
cat >"$cache/containers.conf" <<CONFIGURATION
[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=$files:$files", "nproc=$processes:$processes"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONFIGURATION
export CONTAINERS_STORAGE_CONF=$cache/storage.conf CONTAINERS_CONF=$cache/containers.conf TMPDIR=$cache/tmp BUILDAH_ISOLATION=chroot
unset STORAGE_DRIVER

if [ -z "${BASE_IMAGE:-}" ]; then
  BASE_IMAGE=localhost/debian:12-slim
  if ! buildah inspect --type image "$BASE_IMAGE" >/dev/null 2>&1 || [ -z "$(find "$cache/base-made" -mtime "-$base_days" 2>/dev/null)" ]; then
    echo '== base image'
    "$here/make_base.sh" "$BASE_IMAGE"
    touch "$cache/base-made"
  fi
fi

revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
build() { # ARGUMENT...
  buildah build --layers --format docker --ignorefile "$here/Containerfile.dockerignore" \
    --build-arg BASE_IMAGE="$BASE_IMAGE" --build-arg REVISION="$revision" --build-arg CREATED="$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    -f "$here/Containerfile" "$@" .
}

if [ -z "${OMICS_VECTOR_IMAGE:-}" ]; then
  echo '== image'
  build --target tools -t "$tools" # by a name of its own, so that it outlives the cleaning below
  build -t "$tag"
  OMICS_VECTOR_IMAGE=$tag
  # What earlier sources and interrupted builds left: gigabytes each.
  buildah rm --all >/dev/null
  buildah rmi --prune >/dev/null
else
  revision=$(buildah inspect --type image --format '{{index .Docker.Config.Labels "org.opencontainers.image.revision"}}' "$OMICS_VECTOR_IMAGE")
fi

echo '== tests'
OMICS_VECTOR_IMAGE=$OMICS_VECTOR_IMAGE OMICS_VECTOR_BASE_IMAGE=$BASE_IMAGE OMICS_VECTOR_IMAGE_REVISION=$revision \
  OMICS_VECTOR_SPDX_TOOLS=$validator/bin/pyspdxtools .cache/clients/harness/bin/python -m pytest -p no:cacheprovider --color=no -ra \
  --tb=short -s "$@" "$here/image_test.py"
