#!/bin/sh
# autogen.sh - from a clone to a configure script, a demo or a tested build.
#
#   ./autogen.sh         make the configure script (autoreconf), nothing else
#   ./autogen.sh run     install what is missing, build, start `usher demo`
#   ./autogen.sh check   install what is missing, build, run every test;
#                        further words go to tests/run (names, --group=...)
#
# Packages are installed by apt-get, said before it is done. Builds lie in
# build/plain and build/asan; the programs that tests run against never come
# to this machine but to roots of their own, see doc/HACKING.
set -eu
cd "$(dirname "$0")"

build_packages='autoconf automake gcc libc6-dev libinih-dev libjansson-dev
	libncurses-dev libsystemd-dev make pkg-config'
check_packages='check mandoc python3 shellcheck'
root_packages='iproute2 mmdebstrap systemd-container util-linux'

say() { echo "== $*" >&2; }
die() { echo "autogen.sh: $*" >&2; exit 1; }

missing() {
	for p; do
		case $(dpkg-query -W -f '${db:Status-Status}' "$p" \
			2>/dev/null || :) in
		installed) ;;
		*) printf '%s ' "$p" ;;
		esac
	done
}

install_missing() {
	command -v dpkg-query >/dev/null || {
		say "no dpkg here: install by hand what these are called here:" \
			"$*"
		return 0
	}
	want=$(missing "$@")
	[ -n "$want" ] || return 0
	sudo=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null ||
			die "as root: apt-get install $want"
		sudo=sudo
	fi
	say "installing${sudo:+ (with sudo)}: $want"
	apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq
		-o DPkg::Lock::Timeout=300"
	# shellcheck disable=SC2086
	{
		$apt install -y --no-install-recommends $want 2>/dev/null || {
			$apt update
			$apt install -y --no-install-recommends $want
		}
	} >&2 || die "apt-get failed; what is missing: $want"
}

reconf() {
	# shellcheck disable=SC3013
	[ configure -nt configure.ac ] && [ Makefile.in -nt Makefile.am ] &&
		return 0
	say 'autoreconf'
	autoreconf --force --install
}

# build NAME TARGET OPTIONS: configures build/NAME once, makes it.
build() {
	name=$1 target=$2
	shift 2
	[ ! -f config.status ] ||
		die 'this tree is configured in place: make distclean first'
	mkdir -p "build/$name"
	if [ ! -f "build/$name/config.status" ]; then
		say "configuring build/$name"
		(cd "build/$name" && ../../configure --silent "$@") >&2
	fi
	say "building build/$name"
	make -C "build/$name" -s -j "$(nproc)" "$target" >&2
}

case ${1-} in
'')
	exec autoreconf --force --install
	;;
run)
	# shellcheck disable=SC2086
	install_missing $build_packages
	reconf
	build plain all
	exec build/plain/usher demo
	;;
check)
	shift
	[ "$(id -u)" = 0 ] || root_packages=
	# shellcheck disable=SC2086
	install_missing $build_packages $check_packages $root_packages
	reconf
	build asan programs --enable-sanitizers --enable-debug \
		CFLAGS='-g -O1'
	build plain programs
	exec tests/run --build=build/asan --plain=build/plain "$@"
	;;
*)
	sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
