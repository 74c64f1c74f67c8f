#!/usr/bin/env bash
# The one list of what the project needs from Debian 12. `./run`, `./test`, CI and the image call it.
#
#   scripts/install_dependencies.sh build   what compiles and runs the three programs
#   scripts/install_dependencies.sh test    the above and what the tests use besides
#   scripts/install_dependencies.sh bench   the above and what the benchmarks use besides
#   scripts/install_dependencies.sh container   `test` and what builds and runs the image
#   scripts/install_dependencies.sh arm64   `test` and what compiles for ARM64 and runs that under QEMU
#   scripts/install_dependencies.sh libraries   installs nothing; prints the libraries among them that programs and unit tests
#                                           are compiled with, for a root of another architecture
#
# Asks apt only for what dpkg does not have, so a second call takes a moment. Uses sudo only when not root.
set -euo pipefail

build_packages=(
  g++ cmake ninja-build ccache pkg-config git ca-certificates curl
  libgrpc++-dev protobuf-compiler-grpc protobuf-compiler libprotobuf-dev
  libfaiss-dev libblas-dev liblapack-dev
  libabsl-dev libboost1.81-dev libssl-dev libsqlite3-dev libsimdjson-dev libhwy-dev libre2-dev
  libarchive-dev libcurl4-openssl-dev libspdlog-dev prometheus-cpp-dev libxxhash-dev libzstd-dev zlib1g-dev
)
test_packages=(
  libgtest-dev libgmock-dev libbenchmark-dev clang-format clang-tidy clang libomp-dev
  python3 python3-venv python3-dev nodejs npm golang-go procps openssl
)
bench_packages=(wrk)
container_packages=(buildah podman runc debootstrap)
arm64_packages=(g++-aarch64-linux-gnu qemu-user-static)

packages=("${build_packages[@]}")
case "${1:-build}" in
  build) ;;
  test) packages+=("${test_packages[@]}") ;;
  bench) packages+=("${test_packages[@]}" "${bench_packages[@]}") ;;
  container) packages+=("${test_packages[@]}" "${container_packages[@]}") ;;
  arm64) packages+=("${test_packages[@]}" "${arm64_packages[@]}") ;;
  libraries) printf '%s\n' "${build_packages[@]}" "${test_packages[@]}" | grep -- '-dev$' | grep -vE '^(libomp|python3)-dev$'; exit ;;
  *) echo "usage: scripts/install_dependencies.sh [build|test|bench|container|arm64|libraries]" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "install_dependencies.sh: this is not Debian: install the packages listed in $0 by hand, then start again." >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
# A Node.js or Go that is newer than Debian's and already there serves as well.
provided() { case "$1" in nodejs | npm) command -v npm ;; golang-go) command -v go ;; *) false ;; esac >/dev/null 2>&1; }
wanted=()
for package in "${missing[@]}"; do provided "$package" || wanted+=("$package"); done
[ ${#wanted[@]} -gt 0 ] || exit 0

echo "Installing ${#wanted[@]} Debian packages: ${wanted[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install_dependencies.sh: not root and no sudo. As root, run: apt-get install ${wanted[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "${as_root[@]}" apt-get -q update >"$log" 2>&1 ||
  ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${wanted[@]}" >>"$log" 2>&1; then
  tail -5 "$log" >&2
  echo "install_dependencies.sh: apt-get could not install the packages; its last lines are above." >&2
  exit 1
fi
