#!/usr/bin/env bash
# Makes an image like Docker's debian:12-slim by debootstrap, for machines that reach a mirror of Debian but no registry.
#
#   deploy/container/make_base.sh IMAGE      for example: deploy/container/make_base.sh localhost/debian:12-slim
#
# Needs root, debootstrap and buildah; storage as buildah's environment says (STORAGE_DRIVER, …). The packages come from where
# this machine's apt takes its own, through the same proxy; the image's apt is configured so, too.
set -euo pipefail

image=${1:?usage: deploy/container/make_base.sh IMAGE}
machine=$(dirname "$0")/../../scripts/debian_sources.sh
sources=$("$machine" sources bookworm)
settings=$("$machine" settings)
mirror=$(awk '$4 == "bookworm" {print $3; exit}' <<<"$sources")

work=$(mktemp -d)
container=''
finish() {
  [ -z "$container" ] || buildah rm "$container" >/dev/null
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM
root=$work/root

proxy=$(sed -n 's/^Acquire::http::Proxy "\(.*\)";$/\1/p' <<<"$settings")
http_proxy=${proxy:-${http_proxy:-}} debootstrap --variant=minbase bookworm "$root" "$mirror" >"$work/log" 2>&1 ||
  { tail -n 20 "$work/log" >&2; exit 1; }

# As debian:12-slim: documentation and translations stay away, now and when packages are added; licences stay.
cat >"$root/etc/dpkg/dpkg.cfg.d/docker" <<'CONFIGURATION'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
force-unsafe-io
CONFIGURATION
cat >"$root/etc/apt/apt.conf.d/docker" <<'CONFIGURATION'
Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Acquire::Languages "none";
CONFIGURATION
printf '%s\n' "$sources" >"$root/etc/apt/sources.list"
printf '%s\n' "$settings" >"$root/etc/apt/apt.conf.d/as-where-it-was-made"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # packages start no daemons
chmod 755 "$root/usr/sbin/policy-rc.d"

chroot "$root" sh -ec 'apt-get -q update; DEBIAN_FRONTEND=noninteractive apt-get -q upgrade -y; apt-get clean' >"$work/log" 2>&1 ||
  { tail -n 20 "$work/log" >&2; exit 1; }
find "$root/usr/share/doc" -mindepth 1 ! -type d ! -name copyright -delete
find "$root/usr/share/doc" -mindepth 1 -type d -empty -delete
rm -rf "$root"/usr/share/{info,locale,man}/* "$root"/var/lib/apt/lists/* "$root"/var/cache/debconf/*-old \
  "$root"/var/log/{apt,bootstrap.log,dpkg.log,alternatives.log} "$root"/etc/{resolv.conf,hostname}

container=$(buildah from scratch)
buildah add -q "$container" "$root" / >/dev/null
buildah config --os linux --cmd bash --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah commit -q "$container" "$image" >/dev/null
echo "made $image with $(du -sm --apparent-size "$root" | cut -f1) MB"
