#!/bin/sh
# Makes a Debian trixie base image like debian:trixie-slim with debootstrap,
# for machines that cannot pull one. Needs root and a Docker engine.
#
#   image/base.sh [TAG]      default tag: pgbaton-base:trixie
#
# An image of that tag is reused: remove it to make it anew.
set -eu

tag=${1:-pgbaton-base:trixie}
suite=trixie

if docker image inspect "$tag" >/dev/null 2>&1; then
	echo "base.sh: $tag exists already"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "base.sh: debootstrap needs root; nothing was changed. Run this as root, or load debian:trixie-slim into Docker." >&2
	exit 1
fi
if ! command -v debootstrap >/dev/null; then
	echo "base.sh: installing debootstrap"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
fi

root=$(mktemp -d "${TMPDIR:-/var/tmp}/pgbaton-base.XXXXXX")
log=$root.log
trap 'rm -rf "$root" "$log"' EXIT
trap 'exit 130' INT TERM

echo "base.sh: making $tag with debootstrap ($suite, minbase)"
if ! debootstrap --variant=minbase "$suite" "$root" >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "base.sh: debootstrap failed, see above; nothing was imported" >&2
	exit 1
fi

# The same paths as Debian's slim images leave out, now and in later layers.
cat >"$root/etc/dpkg/dpkg.cfg.d/docker" <<'CFG'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/linda/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-include /usr/share/locale/locale.alias
path-exclude /usr/share/man/*
CFG
find "$root/usr/share/doc" ! -type d ! -name copyright -delete
find "$root/usr/share/doc" -type d -empty -delete
find "$root/usr/share/locale" -mindepth 1 ! -name locale.alias -delete
for d in groff info linda lintian man; do
	if [ -d "$root/usr/share/$d" ]; then
		find "$root/usr/share/$d" -mindepth 1 -delete
	fi
done

# Later layers keep no packages, no package caches and no translations.
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/docker-apt-speedup"
apt=$root/etc/apt/apt.conf.d
cat >"$apt/docker-clean" <<'CFG'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
CFG
echo 'Acquire::GzipIndexes "true";' >"$apt/docker-gzip-indexes"
echo 'Acquire::Languages "none";' >"$apt/docker-no-languages"
echo 'Apt::AutoRemove::SuggestsImportant "false";' >"$apt/docker-autoremove-suggests"

# Packages start no services while an image is built.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 0755 "$root/usr/sbin/policy-rc.d"

# What this machine left behind: caches, lists, logs, its name and resolver.
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin \
	"$root"/var/lib/apt/lists/* "$root"/var/cache/ldconfig/aux-cache \
	"$root"/var/log/*.log "$root"/var/log/apt/* "$root"/etc/hostname "$root"/etc/resolv.conf
: >"$root/etc/machine-id"

tar -C "$root" --numeric-owner -c . |
	docker import --change 'CMD ["bash"]' --change "LABEL pgbaton.image=$tag" --message "debootstrap $suite" - "$tag" >/dev/null
echo "base.sh: $tag made"
