#!/bin/sh
# SPDX-License-Identifier: MIT
# The command as a user without rights: the library and the twin need none; what the kernel refuses
# is one line and a skip.
# Usage: quire_rights.sh [QUIRE]; prints "ok - ..." or "not ok - ..." for each case.
# shellcheck source-path=SCRIPTDIR source=../script_support.sh
. "$(dirname "$0")/../script_support.sh"

# Nobody may not be let into where the program and the scenarios lie.
cp "$quire" "$work/quire"
cp "$(dirname "$0")"/../../scenarios/*.lua "$work"
chmod -R a+rX "$work"
chmod 777 "$work"
program=$work/quire
if [ "$(id -u)" -eq 0 ]; then
	cat >"$work/as-nobody" <<-END
		#!/bin/sh
		cd "$work" && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$program" "\$@"
	END
	chmod 755 "$work/as-nobody"
	quire=$work/as-nobody
fi

script() { # LINE...
	printf '%s\n' 'local p = quire.process()' "$@" >"$work/script.lua"
}

# ---- the library and the twin
expect "userfaultfd on the library and the twin" 0 "1 passed" \
	run --on quire,twin "$work/B1-api.lua"
expect "forks that are heard of" 0 "1 passed" run --on quire,twin "$work/B5-fork.lua"
expect "swap" 0 "1 passed" run --on quire,twin "$work/A8-execute-only.lua"
script 'check(quire.has("root"))'
expect "every right" 0 "1 passed" run --on quire,twin "$work/script.lua"
expect "quire check beside the twin" 0 "0 findings" \
	check --against twin --cases 10 --time 20 --output "$work"

# ---- the kernel
script 'if quire.has("root") or quire.has("userfaultfd") then quire.skip("it has every right") end'
if "$quire" run --on linux "$work/script.lua" >"$work/output" 2>&1; then
	refusal="userfaultfd: EPERM: needs root, vm.unprivileged_userfaultfd=1 or user_mode_only"
	script 'local u = p:userfaultfd{}' 'u:register(0, 4096, { "missing" })'
	expect "userfaultfd is skipped" 77 "skipped on linux: $refusal" \
		run --on linux "$work/script.lua"
	expect "the library goes on" 0 "skipped on linux: $refusal" run --on both "$work/script.lua"
	expect "needs() says the same" 77 "skipped on linux: $refusal" run --on linux "$work/B1-api.lua"
	script 'check.fails("EPERM", quire.userfaultfd_raw(p))' \
		'check(p:userfaultfd{ user_mode_only = true })'
	expect "the bare call shows what the kernel says" 0 "1 passed" \
		run --on linux "$work/script.lua"
	script 'p:userfaultfd{ user_mode_only = true, features = { "event_fork" } }'
	expect "event_fork is skipped" 77 "event_fork needs root" run --on linux "$work/script.lua"
	expect "user_mode_only" 0 "1 passed" run --on both "$work/B1-user-mode-only.lua"
	printf '%s\n' 'quire.setup{ swap = "16M" }' >"$work/script.lua"
	expect "swap is skipped" 77 "skipped on linux: can't have swap" run --on linux "$work/script.lua"
fi
expect "memory, observed" 0 "1 passed" run --on both "$work/D1-pagemap.lua"
expect "mlock" 0 "1 passed" run --on both "$work/A4-mlock.lua"

exit "$failed"
