#!/usr/bin/env bash
# Builds for ARM64 on a machine of another architecture, and runs the unit tests of base, cloud and index under QEMU.
#
#   scripts/cross_arm64.sh root            makes the root that is compiled against, .cache/arm64/root: Debian 12's ARM64 packages
#                                          of the libraries, unpacked; their scripts do not run and root's rights are not needed
#   scripts/cross_arm64.sh build [TARGET]...   that, and the preset arm64 in build/arm64: all of it, or these targets
#   scripts/cross_arm64.sh test [CTEST-ARGUMENT]...   the root, the tests' programs, and the tests: all on a Neoverse N1 (Graviton2:
#                                          NEON, SDOT); those of the kernels also on an older processor without SDOT and on
#                                          QEMU's newest, which has SVE2
#
# OMICS_VECTOR_JOBS limits the parallel jobs. The tests are told which kernels the processor that QEMU plays must lead to, so
# that a silent fall-back fails. The other rooms' tests start programs, which QEMU alone does not.
set -euo pipefail

cd "$(dirname "$0")/.."
cache=$PWD/.cache/arm64
root=$cache/root
rooms=(base cloud index)
kernel_tests='Int8Dot|DistanceTest|Code(s|Kernels|Directions)Test|HnswWalk'

run_apt() { # apt-get for ARM64, with a memory of its own: the machine's packages are none of our business
  apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::Etc::sourcelist="$cache/apt/sources.list" \
    -o Dir::Etc::sourceparts=- -o Dir::State::lists="$cache/apt/lists" -o Dir::State::status="$cache/apt/status" \
    -o Dir::Cache::archives="$cache/apt/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Debug::NoLocking=1 \
    -o APT::Sandbox::User=root -o APT::Get::List-Cleanup=0 "$@"
}

unpack_packages() { # into $root, as debootstrap does it
  mkdir -p "$root/usr/lib" "$root/usr/bin"
  ln -s usr/lib "$root/lib"
  ln -s usr/bin "$root/bin"
  local package
  for package in "$cache"/apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -C "$root" -x --keep-directory-symlink --exclude='./etc' --exclude='./var'
  done
}

finish_root() {
  local libraries=$root/usr/lib/aarch64-linux-gnu name link tool
  # What update-alternatives would link.
  for name in blas lapack; do
    for link in "$libraries/$name/lib$name".so{,.3}; do ln -sfn "$name/$(basename "$link")" "$libraries/"; done
  done
  find "$root" -type l -lname '/*' | while IFS= read -r link; do ln -sfn -r "$root$(readlink "$link")" "$link"; done
  # CMake files that name a library by its whole path.
  grep -rlE '["; ]/usr/lib/aarch64-linux-gnu/lib' "$libraries/cmake" |
    xargs -r sed -i -E "s#([\"; ])(/usr/lib/aarch64-linux-gnu/lib[a-z]*\.(so|a)\b)#\1$root\2#g"
  # gRPC's CMake files want its code generators beside its libraries; they run here.
  for tool in /usr/bin/grpc_*_plugin; do ln -sfn "$tool" "$root$tool"; done
}

make_root() {
  local packages sources key
  scripts/install_dependencies.sh arm64
  packages=$(scripts/install_dependencies.sh libraries)
  sources=$(scripts/debian_sources.sh sources bookworm)
  key=$(sha256sum "$0" - <<<"$packages $sources")
  if [ "$(cat "$cache/key" 2>/dev/null)" = "$key" ]; then return; fi
  echo 'Making the ARM64 root …'
  rm -rf "$root" "$cache/key" "$cache/apt/archives"
  mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial"
  : >"$cache/apt/status"
  printf '%s\n' "$sources" >"$cache/apt/sources.list"
  local log=$cache/apt/log
  # shellcheck disable=SC2086  # words on purpose
  { run_apt update && run_apt install -y --no-install-recommends --download-only libc6-dev $packages; } >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; echo 'cross_arm64.sh: apt could not fetch the ARM64 packages; what it said is above.' >&2; exit 1; }
  unpack_packages
  finish_root
  rm -rf "$cache/apt/archives"
  echo "$key" >"$cache/key"
}

build() { # TARGET...
  make_root
  QEMU_CPU=neoverse-n1 scripts/build.sh arm64 "$@"
}

run_tests() { # PROCESSOR DOT-KERNEL FLOAT-KERNELS CTEST-ARGUMENT...
  local processor=$1 dot=$2 float=$3
  shift 3
  echo "== on $processor: $dot for codes, $float for floats"
  QEMU_CPU=$processor OMICS_VECTOR_TEST_DOT_KERNEL=$dot OMICS_VECTOR_TEST_FLOAT_KERNELS=$float ctest --test-dir build/arm64 -j "${OMICS_VECTOR_JOBS:-$(nproc)}" \
    --output-on-failure --no-tests=error -E '_NOT_BUILT$' "$@" # what was not built is of other rooms
}

mode=${1:-}
shift || true
case "$mode" in
  root) make_root ;;
  build) build "$@" ;;
  test)
    targets=()
    for room in "${rooms[@]}"; do targets+=("$room/all" "tests/$room/all"); done
    build "${targets[@]}"
    run_tests cortex-a72 neon NEON -R "$kernel_tests" "$@"
    run_tests max neon-sdot SVE2 -R "$kernel_tests" "$@"
    run_tests neoverse-n1 neon-sdot NEON "$@"
    ;;
  *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
