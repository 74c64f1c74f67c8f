#!/usr/bin/env bash
# Puts what the image needs from a finished release build into a folder. The builder stage of the Containerfile calls it.
#
#   deploy/container/collect.sh FOLDER VERSION
#
# FOLDER/root              the programs, stripped, and the data folders, as they go into the image
# FOLDER/runtime-packages  Debian packages that own the shared libraries which the programs load
# FOLDER/compiled-in       dpkg's entries of the packages whose headers or static libraries were compiled into the programs
#
# VERSION must be the one the programs were built as: the image's labels and SBOM say it.
set -euo pipefail

out=${1:?usage: deploy/container/collect.sh FOLDER VERSION} version=${2:?usage: deploy/container/collect.sh FOLDER VERSION}
cd "$(dirname "$0")/../.."
build=build/release
programs=("$build/services/vector-service" "$build/gateway/vector-gateway" "$build/tools/vectorctl")

built=$("$build/tools/vectorctl" --version)
if [ "$built" != "vectorctl $version" ]; then
  echo "collect.sh: this is $built, but the image is to be labelled $version: set VERSION (--build-arg, or its default in the Containerfile)." >&2
  exit 1
fi

# The packages that own the files named on standard input. dpkg may know a file of /usr/lib under its older name /lib.
owners() {
  local files
  files=$(mktemp)
  xargs -r realpath | sort -u | sed 'p; s#^/usr/lib#/lib#' >"$files"
  { grep -lxFf "$files" /var/lib/dpkg/info/*.list || true; } | sed 's#.*/##; s#\.list$##; s#:.*##' | sort -u
  rm -f "$files"
}

mkdir -p "$out/root/usr/local/bin" "$out/root/data/chroma" "$out/root/run/omics-vector" "$out/root/usr/share/omics-vector"
install -s "${programs[@]}" "$out/root/usr/local/bin"
install -m 644 deploy/container/usage.txt "$out/root/usr/share/omics-vector"

libraries=$(ldd "${programs[@]}")
if grep 'not found' <<<"$libraries" >&2; then echo 'collect.sh: the programs miss these libraries' >&2; exit 1; fi
{
  awk '$2 == "=>" {print $3} $1 ~ /^\// && NF == 2 && $2 ~ /^\(/ {print $1}' <<<"$libraries" | owners
  echo ca-certificates # what https:// sources are checked against; no library brings it
} >"$out/runtime-packages"

{ ninja -C "$build" -t deps | sed -n 's#^  *\(/usr/.*\)#\1#p'; grep -oE '/usr/[^ ;:]*\.a\b' "$build/build.ninja" || true; } | sort -u | owners |
  xargs dpkg-query -s >"$out/compiled-in"
