#!/usr/bin/env bash
# Configures and builds one CMake preset; says nothing when there is nothing to do.
#
#   scripts/build.sh PRESET [TARGET...]      for example: scripts/build.sh release
#
# `release` builds the three programs only, so that it needs no test library. OMICS_VECTOR_JOBS limits the parallel jobs.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
preset=${1:?usage: scripts/build.sh PRESET [TARGET...]}
shift
build=$root/build/$preset
mkdir -p "$build"

# Two builds of one preset would write over each other: the second waits.
exec 8>"$build/.build.lock"
if ! flock -n 8; then
  echo "Another build of $preset is running; waiting for it …"
  flock 8
fi

options=()
if [ "$preset" = release ]; then options=(-DOMICS_VECTOR_TESTS=OFF -DOMICS_VECTOR_BENCHMARKS=OFF); fi
log=$build/configure.log
if [ ! -f "$build/build.ninja" ]; then
  echo "Configuring the $preset build …"
  if ! (cd "$root" && cmake --preset "$preset" "${options[@]}" >"$log" 2>&1); then
    cat "$log" >&2
    echo "build.sh: CMake could not configure the $preset build; what it said is above. If it misses a package, run scripts/install_dependencies.sh." >&2
    exit 1
  fi
fi

ninja=(ninja -C "$build" ${OMICS_VECTOR_JOBS:+-j "$OMICS_VECTOR_JOBS"})
if "${ninja[@]}" -n "$@" 2>/dev/null | grep -q 'no work to do'; then exit 0; fi

failed() {
  echo "build.sh: the $preset build failed; the compiler's words are above" >&2
  if df --output=avail "$build" | awk 'NR == 2 {exit $1 >= 1024}'; then
    echo "build.sh: the disk that holds $build is full." >&2
  fi
  exit 1
}

started=$SECONDS
echo "Building ($preset) …"
if [ -t 1 ]; then
  NINJA_STATUS='[%f/%t %es] ' "${ninja[@]}" "$@" || failed
else # no terminal: a line now and then, and everything when it fails
  set +e
  NINJA_STATUS='[%f/%t %es] ' "${ninja[@]}" "$@" 2>&1 | tee "$build/build.log" | awk '
    /^\[[0-9]+\/[0-9]+/ { split(substr($1, 2), n, "/"); tenth = int(10 * n[1] / n[2]); if (tenth > last) { last = tenth; print "  " $1 " " $2; fflush() } next }
    /^FAILED:|error:|undefined reference|^ninja: / { if (shown++ < 60) print; fflush() }'
  code=${PIPESTATUS[0]}
  set -e
  [ "$code" -eq 0 ] || failed
fi
echo "Built in $((SECONDS - started)) s."
