#!/bin/sh
# SPDX-License-Identifier: MIT
# Sees to it that what the build needs is installed.  Does nothing when it is.
#
#   setup.sh        for building
#   setup.sh test   for the tests: clang too, without which one section of them is skipped
#
# What is missing is installed with apt-get by root; anyone else is told what to install.
set -eu

missing=
wanted=

need_command() { # COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need_library() { # PACKAGE MODULE...: any one of these pkg-config modules
	package=$1
	shift
	for module in "$@"; do
		if pkg-config --exists "$module" 2>/dev/null; then return; fi
	done
	missing="$missing $package"
}

need_command gcc gcc
need_command ld binutils
need_command cmake cmake
need_command pkg-config pkg-config
need_library liblua5.4-dev lua5.4 lua-5.4 lua54
need_library libcmocka-dev cmocka
need_library libzstd-dev libzstd
if [ -n "$missing" ] && [ ! -e /usr/include/stdio.h ]; then
	missing="$missing libc6-dev"
fi
if [ "${1:-}" = test ] && ! command -v clang >/dev/null 2>&1; then
	wanted=clang
fi

if [ -z "$missing$wanted" ]; then exit 0; fi

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	if [ -n "$wanted" ]; then
		echo "setup: $wanted is not installed; the tests skip what needs it" >&2
	fi
	if [ -z "$missing" ]; then exit 0; fi
	echo "setup: these packages are missing:$missing" >&2
	echo "setup: as root: apt-get install$missing" >&2
	exit 1
fi

# A package list that knows the packages may be there already; if not, one update fetches it.
install() {
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" \
		>"$log" 2>&1 </dev/null
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "setup: installing$missing${wanted:+ $wanted}"
# shellcheck disable=SC2086 # lists of words
if ! install $missing $wanted; then
	if ! { apt-get update -qq >"$log" 2>&1 && install $missing $wanted; }; then
		cat "$log" >&2
		echo "setup: apt-get could not install:$missing${wanted:+ $wanted}" >&2
		exit 1
	fi
fi
