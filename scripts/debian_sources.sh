#!/usr/bin/env bash
# What this machine's apt is configured with, for another Debian root that is to be filled from the same places.
#
#   scripts/debian_sources.sh sources CODENAME   lines for a sources.list: Debian's own repositories (main) of the release
#   scripts/debian_sources.sh settings           lines for an apt.conf: proxies, retries, and whether dates are checked
set -euo pipefail

case "${1:-}" in
  sources)
    codename=${2:?usage: scripts/debian_sources.sh sources CODENAME}
    found=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
      grep -E "^[^ ]+ $codename(-updates|-security)? main\$" | sort -u) || true
    if ! grep -q " $codename main\$" <<<"$found"; then
      echo "debian_sources.sh: this machine's apt knows no repository of Debian $codename: name one in /etc/apt/sources.list.d" >&2
      exit 1
    fi
    sed 's#^#deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] #' <<<"$found"
    ;;
  settings) apt-config dump | grep -E '^Acquire::(https?::Proxy|Retries|Check-(Valid-Until|Date)) ' || true ;;
  *) echo 'usage: scripts/debian_sources.sh sources CODENAME | settings' >&2; exit 2 ;;
esac
