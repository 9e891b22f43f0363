#!/bin/bash
# Builds the images; make image and make official call it.
#
#   image/build.sh pgbaton     pgbaton:dev, and a tag for each major
#   image/build.sh official    pgbaton-official:<major>, the layout of the official images,
#                              and for tests pgbaton-etcd:dev, the arbiter, and
#                              pgbaton-keepalived:bookworm, a machine of its own
#   image/build.sh peers       pgbaton-peers:17, Patroni with etcd and vip-manager, for make bench-peers
#
# From the environment: BASE, MAJORS, JIT, APT_SOURCE (see Dockerfile). The
# packages are one image that all others share.
set -euo pipefail
cd "$(dirname "$0")/.."

MAJORS=${MAJORS:-15 17 18}
packages=pgbaton-packages:dev
mkdir -p .build
log=.build/image.log
: >"$log"

say() { echo "image: $*"; }

# Builds TAG [ARG...] quietly; what was said is kept in $log and shown if it
# fails. The label has the tag as its value: image/clean.sh removes what bears
# its own name there, and images that others derived do not.
build() {
	local tag=$1
	shift
	if ! docker build -t "$tag" --label "pgbaton.image=${label:-$tag}" "$@" >>"$log" 2>&1; then
		cat "$log" >&2
		say "docker build of $tag failed, see above; images of earlier builds are untouched" >&2
		exit 1
	fi
}

# Builds one image per major with build_major: the newest first, which makes
# the layers, and then those that share them, side by side.
build_majors() {
	local major job jobs=()
	newest=$(tr ' ' '\n' <<<"$MAJORS" | sort -n | tail -n 1)
	build_major "$newest"
	for major in $MAJORS; do
		if [[ $major != "$newest" ]]; then
			build_major "$major" &
			jobs+=($!)
		fi
	done
	for job in "${jobs[@]}"; do
		wait "$job"
	done
}

exists() { docker image inspect "$1" >/dev/null 2>&1; }

# The base: what BASE says, Debian's image if it is here or can be had, or one
# made here.
choose_base() {
	local debian=debian:trixie-slim made=pgbaton-base:trixie
	if [[ -n ${BASE:-} ]]; then
		base=$BASE
	elif exists "$debian"; then
		base=$debian
	elif exists "$made"; then
		base=$made
	elif docker pull -q "$debian" >>"$log" 2>&1; then
		base=$debian
	else
		say "$debian cannot be pulled; making a base image with debootstrap instead"
		image/base.sh "$made"
		base=$made
	fi
}

build_packages() {
	choose_base
	args=(--build-arg "BASE=$base" --build-arg "MAJORS=$MAJORS" --build-arg "JIT=${JIT:-1}"
		--build-arg "APT_SOURCE=${APT_SOURCE:-}")
	exists "$packages" || say "installing PostgreSQL $MAJORS on $base; this takes some minutes"
	build "$packages" --target packages "${args[@]}" .
}

case ${1:-} in
pgbaton)
	if [[ ! -x bin/pgbaton ]]; then
		say "bin/pgbaton is missing: make build first" >&2
		exit 1
	fi
	build_major() {
		local label="pgbaton:$1"
		[[ $1 == "$newest" ]] && label+=" pgbaton:dev"
		build "pgbaton:$1" "${args[@]}" --build-arg "PG_MAJOR=$1" .
	}
	build_packages
	build_majors
	docker tag "pgbaton:$newest" pgbaton:dev
	size=$(docker image inspect -f '{{.Size}}' pgbaton:dev)
	say "pgbaton:dev is pgbaton:$newest; majors inside: $MAJORS; $((size / 1000000)) MB"
	;;
official)
	build_major() {
		local data=/var/lib/postgresql/data volume=/var/lib/postgresql/data
		if (($1 >= 18)); then
			data=/var/lib/postgresql/$1/docker
			volume=/var/lib/postgresql
		fi
		build "pgbaton-official:$1" --build-arg "PACKAGES=$packages" --build-arg "PG_MAJOR=$1" \
			--build-arg "PGDATA=$data" --build-arg "PGVOLUME=$volume" image/official
	}
	build_packages
	build_majors
	build pgbaton-etcd:dev --build-arg "BASE=$base" image/etcd
	say "pgbaton-official has tags $MAJORS; pgbaton-etcd:dev is Debian's etcd"
	if exists pgbaton:dev; then
		build pgbaton-keepalived:bookworm --build-arg "PACKAGES=$packages" image/keepalived
		say "pgbaton-keepalived:bookworm is a machine with Debian 12's keepalived"
	else
		say "pgbaton:dev is not here, so pgbaton-keepalived:bookworm is not made; make image first"
	fi
	;;
peers)
	build_packages
	build pgbaton-peers:17 --build-arg "PACKAGES=$packages" --build-arg PG_MAJOR=17 image/peers
	say "pgbaton-peers:17 has Patroni, etcd and vip-manager"
	;;
*)
	echo "usage: image/build.sh pgbaton|official|peers" >&2
	exit 2
	;;
esac
