#!/bin/bash
# Installs PostgreSQL and what the image needs beside it. Runs inside the
# image build, as root, on Debian trixie.
#
#   MAJORS      "15 17 18"; 13 is possible too
#   JIT         1, or 0 for an image without LLVM
#   APT_SOURCE  a whole apt sources line that has all the majors; empty: Debian's own suites
set -euo pipefail

: "${MAJORS:?}" "${JIT:?}" "${APT_SOURCE=}"
export DEBIAN_FRONTEND=noninteractive

# Hundreds of lines of no interest, unless it fails.
install_packages() {
	echo "packages.sh: installing $*"
	if ! apt-get install -y -qq --no-install-recommends "$@" >/tmp/apt.log 2>&1; then
		cat /tmp/apt.log >&2
		exit 1
	fi
	rm /tmp/apt.log
}

# The Debian suite that each major is in, and how much apt may prefer it.
# Trixie stays the base: others give only what trixie does not have.
declare -A suite_of=([13]=bullseye [15]=bookworm [17]=trixie [18]=forky)
declare -A priority_of=([trixie]=990 [bookworm]=100 [bullseye]=90 [forky]=80)

# What the base image itself has, whatever else gets added to it.
base_lists=/etc/apt/sources.list
base_deb822=/etc/apt/sources.list.d/debian.sources

# Adds a suite at the mirrors of the base image: its sources with the suite
# renamed. forky is not released: it has no updates of its own, no security
# suite, and its release file may be past its date.
add_suite() {
	local suite=$1 only='cat' found=
	if [[ -s $base_deb822 ]]; then
		if [[ $suite == forky ]]; then
			# Stanzas without a security suite, of those the suite itself.
			awk -v RS= -v ORS='\n\n' '!/Suites:[^\n]*-security/' "$base_deb822" |
				sed -E 's/^(Suites:).*/\1 forky\nCheck-Valid-Until: no/'
		else
			sed "s/\btrixie\b/$suite/g" "$base_deb822"
		fi >"/etc/apt/sources.list.d/$suite.sources"
		found=yes
	fi
	if [[ -s $base_lists ]] && grep -q '^deb .*\btrixie\b' "$base_lists"; then
		[[ $suite == forky ]] && only='grep -vE trixie-(security|updates)'
		grep '^deb ' "$base_lists" | $only | sed "s/\btrixie\b/$suite/g" |
			if [[ $suite == forky ]]; then
				# Options are one bracket: open it or make it.
				sed -E 's/^deb \[/deb [check-valid-until=no /; t; s/^deb /deb [check-valid-until=no] /'
			else
				cat
			fi >"/etc/apt/sources.list.d/$suite.list"
		found=yes
	fi
	if [[ -z $found ]]; then
		echo "packages.sh: no Debian source in the base image to derive $suite from" >&2
		exit 1
	fi
	pin "$suite"
}

# -updates and -security of a suite have its codename with a suffix.
pin() {
	local s
	for s in "$1" "$1-updates" "$1-security"; do
		printf 'Package: *\nPin: release n=%s\nPin-Priority: %s\n\n' "$s" "${priority_of[$1]}"
	done >"/etc/apt/preferences.d/$1"
}

# Documentation, manuals and translations stay out, as in Debian's slim
# images. Of PostgreSQL's own manuals the two stay that update-alternatives
# insists on.
cat >/etc/dpkg/dpkg.cfg.d/pgbaton <<'CFG'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-include /usr/share/locale/locale.alias
path-exclude /usr/share/man/*
path-exclude /usr/share/postgresql/*/man/*
path-include /usr/share/postgresql/*/man/man1/psql.1.gz
path-include /usr/share/postgresql/*/man/man1/postmaster.1.gz
path-include /usr/share/postgresql/*/man/man1/postgres.1.gz
CFG
if [[ $JIT == 0 ]]; then
	cat >>/etc/dpkg/dpkg.cfg.d/pgbaton <<'CFG'
path-exclude /usr/lib/*/libLLVM*
path-exclude /usr/lib/llvm-*
path-exclude /usr/lib/*/libz3.so*
path-exclude /usr/lib/postgresql/*/lib/llvmjit*
path-exclude /usr/lib/postgresql/*/lib/bitcode/*
CFG
fi

# The official image's user: volumes belong to 999. Before the packages,
# which would make one with another number.
groupadd --system --gid 999 postgres
useradd --system --gid 999 --uid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres
install -d -o postgres -g postgres -m 1777 /var/lib/postgresql

# No cluster of Debian's own.
mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf

packages=(gosu iproute2 keepalived libnss-wrapper locales tzdata xz-utils zstd)
if [[ -n $APT_SOURCE ]]; then
	# The PostgreSQL project's key comes with postgresql-common, the
	# certificates of any https source with ca-certificates.
	apt-get update -qq
	install_packages ca-certificates postgresql-common
	echo "$APT_SOURCE" >/etc/apt/sources.list.d/user.list
else
	pin trixie
	for major in $MAJORS; do
		suite=${suite_of[$major]:-}
		if [[ -z $suite ]]; then
			echo "packages.sh: PostgreSQL $major is in no Debian suite known here (13 15 17 18 are): give APT_SOURCE" >&2
			exit 1
		fi
		[[ $suite == trixie ]] || add_suite "$suite"
	done
fi
apt-get update -qq

from_forky=()
for major in $MAJORS; do
	wanted=("postgresql-$major")
	# From 18 on JIT is a package of its own.
	if [[ $JIT != 0 ]] && apt-cache show "postgresql-$major-jit" >/dev/null 2>&1; then
		wanted+=("postgresql-$major-jit")
	fi
	if [[ -z $APT_SOURCE && ${suite_of[$major]} == forky ]]; then
		from_forky+=("${wanted[@]}")
	else
		packages+=("${wanted[@]}")
	fi
done
install_packages "${packages[@]}"
if [[ ${#from_forky[@]} -gt 0 ]]; then
	# These need forky's libc; apt takes that only for a target release.
	install_packages -t forky "${from_forky[@]}"
fi

# Forky's locales have no alias file any more, which localedef -A of images that
# are derived from this one asks for: trixie's.
alias=/usr/share/locale/locale.alias
if [[ ! -e $alias ]]; then
	echo "packages.sh: taking the locale aliases from trixie"
	(
		cd "$(mktemp -d)"
		chown _apt .
		apt-get download -qq locales/trixie
		dpkg-deb --fsys-tarfile locales_*.deb | tar -xO ./etc/locale.alias >/etc/locale.alias
		rm -r "$PWD"
	)
	mkdir -p "${alias%/*}"
	ln -s /etc/locale.alias "$alias"
fi

# After the last change of libc, whose locales these are.
localedef -i en_US -f UTF-8 en_US.UTF-8

# As in the official image: reachable from outside the container.
for major in $MAJORS; do
	sample=/usr/share/postgresql/$major/postgresql.conf.sample
	dpkg-divert --quiet --add --rename --divert "$sample.dpkg" "$sample"
	sed "s/^#\?\(listen_addresses\) *= *'localhost'/\1 = '*'/" "$sample.dpkg" >"$sample"
	grep -q "^listen_addresses = '\*'" "$sample"
done

rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old \
	/var/cache/ldconfig/aux-cache /var/lib/dpkg/*-old /var/log/*.log /var/log/apt/*
