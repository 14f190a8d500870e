#!/bin/sh
# SPDX-License-Identifier: MIT
# Configures a preset of CMakePresets.json if need be, and builds it on all processors.
#
#   build.sh PRESET [TARGET...]
set -eu
cd "$(dirname "$0")/.."

preset=$1
shift
case $preset in
default) directory=build ;;
*) directory=build-$preset ;;
esac

# cmake runs itself again when its files or the list of sources change; this is for the first time,
# and for new presets.
if [ ! -e "$directory/Makefile" ] || [ CMakePresets.json -nt "$directory/Makefile" ]; then
	log=$(mktemp)
	if ! cmake --preset "$preset" >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		exit 1
	fi
	rm -f "$log"
fi

# The makes that cmake starts have their own jobs, not a share of those of a make that called this.
unset MAKEFLAGS MFLAGS MAKELEVEL
exec cmake --build "$directory" -j "$(nproc)" ${1:+--target "$@"} -- --no-print-directory -s -k
