# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# What the tests of the command share, for `.`: the program ($quire, from the first argument), a
# directory ($work), and cases that exit with a status and say something.
quire=${1:-build/quire}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

report() { # HELD NAME
	if [ "$1" -eq 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2"
		sed 's/^/# /' "$work/output"
		failed=1
	fi
}

# Runs quire; it must exit with STATUS, and say TEXT.
expect() { # NAME STATUS TEXT ARG...
	name=$1 want=$2 text=$3
	shift 3
	"$quire" "$@" >"$work/output" 2>&1 </dev/null
	status=$?
	[ $status -eq "$want" ] && grep -qF -e "$text" "$work/output"
	held=$?
	[ $status -eq "$want" ] || echo "exit status $status, want $want" >>"$work/output"
	[ $held -eq 0 ] || echo "no \"$text\"" >>"$work/output"
	report $held "$name"
}

