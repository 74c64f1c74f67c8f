#!/usr/bin/env bash
# Proves that the project builds and passes its tests on a machine that has nothing but Debian 12.
#
#   tests/fresh_machine.sh                  ./test in a new, minimal Debian 12, from a clean clone of HEAD
#   tests/fresh_machine.sh --quick | --all  the same with ./test --quick or ./test --all
#   tests/fresh_machine.sh --build-only     only installs the packages and builds what ./run serves
#   tests/fresh_machine.sh --command CMD    any other command instead of ./test
#
#   --working-tree   takes the files as they are here, committed or not, instead of a clone of HEAD
#   --keep           leaves the machine's directory in place and prints it
#
# Needs root and debootstrap. The Debian mirror, proxies, certificates and the settings of pip, npm and go come from this
# machine's own configuration. Everything is mounted in a namespace of its own, which ends with the script, however it
# ends. The log is build/fresh_machine.log.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
suite=bookworm
source_mode=clone keep=0 inside='./test'

die() { echo "fresh_machine.sh: $*" >&2; exit 1; }

while [ $# -gt 0 ]; do
  case "$1" in
    --quick | --all) inside="./test $1" ;;
    --build-only) inside='scripts/install_dependencies.sh build && scripts/build.sh release' ;;
    --command) inside=${2:?--command needs a command}; shift ;;
    --working-tree) source_mode=tree ;;
    --keep) keep=1 ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) die "unknown option $1; see --help" ;;
  esac
  shift
done

[ "$(id -u)" -eq 0 ] || die "needs root, for debootstrap and chroot."
command -v debootstrap >/dev/null || die "needs debootstrap: apt-get install debootstrap"

# --- What this machine is configured with -----------------------------------------------------------------------------

apt_sources() { # one "URI SUITE" a line, of every Debian repository of this suite that apt knows
  apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Identifier: Packages' 'Component: main' |
    awk -v s="$suite" '$2 == s || index($2, s "-") == 1' | sort -u
}

client_variables() { # NAME=VALUE of the settings that package clients read from the environment
  env -0 | while IFS= read -r -d '' pair; do
    case "${pair%%=*}" in
      *_proxy | *_PROXY | PIP_* | NPM_CONFIG_* | npm_config_* | GO[A-Z]* | *CA_BUNDLE* | *CA_CERT* | SSL_CERT_* | GIT_SSL_*)
        printf '%s\0' "$pair" ;;
    esac
  done
}

client_files() { # the files that these settings stand in, and those that they name
  printf '%s\n' /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/npmrc "$HOME/.npmrc" "$HOME/.pip/pip.conf" "$HOME/.config/pip/pip.conf"
  if command -v npm >/dev/null; then npm config get globalconfig 2>/dev/null; fi
  if command -v go >/dev/null; then go env GOENV; fi
  client_variables | while IFS= read -r -d '' pair; do
    case "${pair#*=}" in /*) printf '%s\n' "${pair#*=}" ;; esac
  done
}

# --- The machine ------------------------------------------------------------------------------------------------------

copy_in() { # PATH: to the same place in the new machine
  [ -e "$1" ] || return 0
  mkdir -p "$machine$(dirname "$1")"
  cp -RL --preserve=mode "$1" "$machine$(dirname "$1")/" 2>/dev/null || true # certificate folders hold links to each other
}

make_machine() {
  local mirror
  mirror=$(apt_sources | awk -v s="$suite" '$2 == s {print $1; exit}')
  [ -n "$mirror" ] || die "apt knows no repository of $suite: this machine's apt configuration has no mirror to take."
  local proxy='' settings
  settings=$(apt-config shell proxy Acquire::http::Proxy)
  eval "$settings"
  [ -z "$proxy" ] || export http_proxy=$proxy
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$machine" "$mirror"
  apt_sources | sed 's/^\([^ ]*\) \(.*\)$/deb \1 \2 main/' >"$machine/etc/apt/sources.list"
  [ -z "$proxy" ] || echo "Acquire::http::Proxy \"$proxy\";" >"$machine/etc/apt/apt.conf.d/proxy"
  client_files | while IFS= read -r file; do copy_in "$file"; done
  # Certificates that this machine trusts, as the new one's own bundle.
  if [ -d /usr/local/share/ca-certificates ]; then cp -aL /usr/local/share/ca-certificates "$machine/usr/local/share/"; fi
  if [ -f /etc/ssl/certs/ca-certificates.crt ]; then cp -L /etc/ssl/certs/ca-certificates.crt "$machine/etc/ssl/certs/"; fi
}

copy_source() { # the repository, to $machine/root/omics-vector
  local to=$machine/root/omics-vector
  if [ "$source_mode" = clone ]; then
    git -C "$root" rev-parse -q --verify HEAD >/dev/null || die "there is no commit to clone yet; --working-tree takes the files as they are."
    git clone -q --no-local "$root" "$to"
    git -C "$to" remote remove origin
  else
    mkdir -p "$to"
    git -C "$root" ls-files -z --cached --others --exclude-standard |
      (cd "$root" && while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done | tar -c --null -T -) | tar -x -C "$to"
    git -C "$to" init -q -b main
    git -C "$to" add -A
    git -C "$to" -c user.name=fresh -c user.email=fresh@localhost commit -q -m 'The working tree'
  fi
}

in_machine() {
  mount --bind "$machine" "$machine"
  mount -t proc proc "$machine/proc"
  mount -t sysfs -o ro sysfs "$machine/sys"
  mount --rbind /dev "$machine/dev"
  mount -t tmpfs -o mode=1777 tmpfs "$machine/dev/shm"
  local variables=()
  mapfile -d '' -t variables < <(client_variables)
  echo "== installing git, to have a repository to work in"
  chroot "$machine" env -i "${variables[@]}" PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
    sh -c 'apt-get -q update && apt-get -q install -y --no-install-recommends git' >/dev/null
  echo "== running: $inside"
  chroot "$machine" env -i "${variables[@]}" HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    bash -c "cd /root/omics-vector && $inside"
}

if [ "${FRESH_MACHINE_STEP:-}" = inside ]; then # in the namespace: all that is mounted or started here ends with it
  machine=$FRESH_MACHINE_DIR inside=$FRESH_MACHINE_COMMAND
  in_machine
  exit
fi

log=$root/build/fresh_machine.log
mkdir -p "$root/build"
machine=$(mktemp -d "${TMPDIR:-/var/tmp}/fresh-machine.XXXXXX")
chmod 755 "$machine"  # apt drops its rights and must still get in
finish() {
  if [ "$keep" = 1 ]; then
    echo "The machine is kept in $machine"
  else
    rm -rf --one-file-system "$machine"
  fi
}
trap finish EXIT
trap 'exit 130' INT TERM

started=$SECONDS
echo "== making a minimal Debian 12 in $machine"
make_machine >"$log" 2>&1 || { tail -20 "$log" >&2; die "could not make the machine; its log is $log"; }
copy_source
echo "== made in $((SECONDS - started)) s"
set +e
FRESH_MACHINE_STEP=inside FRESH_MACHINE_DIR=$machine FRESH_MACHINE_COMMAND=$inside \
  unshare --mount --propagation private --pid --fork --kill-child "$0" 2>&1 | tee -a "$log"
code=${PIPESTATUS[0]}
set -e
echo "== fresh machine: \`$inside\` ended with code $code after $((SECONDS - started)) s; log: $log"
exit "$code"
