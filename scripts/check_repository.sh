#!/usr/bin/env bash
# Fails when a tracked file names what only this machine knows: the folder the repository stands in, or a host that the
# machine's package clients are configured to use. Both are found at run time; nothing of the kind is written here.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
patterns=()
top=$(pwd)
parent=$(dirname "$top")
# The parent says more than the folder itself, whose name may be an ordinary word; `/` and one's home say nothing.
case "$parent" in / | "$HOME" | /home | /tmp | /root) patterns+=("$top/") ;; *) patterns+=("$parent/") ;; esac

host_of() { sed -n 's#^[a-z+]*://\([^/]*@\)\{0,1\}\([^/:]*\).*#\2#p'; }
hosts() {
  if command -v pip >/dev/null; then pip config list 2>/dev/null | tr -d "'" | sed -n 's/^[^=]*=\(.*:\/\/.*\)/\1/p' | tr ' ' '\n' | host_of; fi
  if command -v npm >/dev/null; then npm config get registry 2>/dev/null | host_of; fi
  if command -v go >/dev/null; then go env GOPROXY 2>/dev/null | tr ',|' '\n\n' | host_of; fi
  if command -v apt-get >/dev/null; then apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | host_of; fi
}
while IFS= read -r host; do
  [ -z "$host" ] || patterns+=("$host")
done < <(hosts | sort -u)

bad=0
for pattern in "${patterns[@]}"; do
  if git grep --untracked -nIF -e "$pattern" -- . ':!*.tar.gz' | sed 's/^\(.\{160\}\).*/\1…/'; then bad=1; fi
done
[ $bad -eq 0 ] && echo "no tracked file names any of ${#patterns[@]} paths and hosts of this machine"
exit $bad
