#!/bin/sh
# SPDX-License-Identifier: MIT
# `quire run` itself: wrong options, wrong scripts, failing checks, skips, time-outs, interruption.
# Usage: quire_run.sh [QUIRE]; prints "ok - ..." or "not ok - ..." for each case.
# shellcheck source-path=SCRIPTDIR source=../script_support.sh
. "$(dirname "$0")/../script_support.sh"

# Runs the lines as a script, after those that make a process, a mapping and a thread.
script() { # LINE...
	printf '%s\n' 'local p = quire.process()' \
		'local a, t = p:mmap{ length = "64K", prot = "rw" }, p:thread()' "$@" \
		>"$work/script.lua"
}

expect_script() { # STATUS TEXT LINE...
	want_status=$1 want_text=$2
	shift 2
	script "$@"
	expect "$*" "$want_status" "$want_text" run --timeout 300 "$work/script.lua"
}

# A script error names the file, the line and the culprit.
bad() { # TEXT LINE
	expect_script 2 "script.lua:3: $1" "$2"
}

# ---- the command line
expect "no command" 2 "Usage: quire"
expect "--help" 0 "Usage: quire" --help
expect "--version" 0 "quire " --version
expect "unknown command" 2 "there is no command 'walk'" walk
expect "run --help" 0 "Exit status" run --help
expect "no script" 2 "no script given" run
expect "only arguments" 2 "no script given" run -- a b
expect "unknown option" 2 "unrecognized option '--fast'" run --fast x.lua
expect "unknown target" 2 "there is no target 'bsd'" run --on bsd x.lua
expect "unknown target of two" 2 "there is no target 'bsd'" run --on quire,bsd x.lua
expect "three targets" 2 "there is no target 'linux,twin'" run --on quire,linux,twin x.lua
expect "--timeout in words" 2 "--timeout takes seconds, not 'long'" run --timeout long x.lua
expect "--fail 0" 2 "--fail takes a number from 1, not '0'" run --fail 0 x.lua
expect "--fail on linux" 2 "only the quire target" run --fail 1 --on linux x.lua
expect "--fail on two" 2 "only the quire target" run --fail 1 --on quire,twin x.lua
expect "--fail twice over" 2 "exclude each other" run --fail 1 --fail-count x.lua
expect "no such file" 2 "missing.lua" run "$work/missing.lua"
expect "--json to nowhere" 2 "$work/none/x" run --json "$work/none/x" "$work/missing.lua"

# ---- scripts that are wrong
bad "mmap: unknown field 'lenght'" 'p:mmap{ lenght = 4096, prot = "rw" }'
bad "mmap: the field 'length' is missing" 'p:mmap{ prot = "rw" }'
bad "mmap: the field 'prot' is missing" 'p:mmap{ length = 4096 }'
bad "mmap: length is not a size: '4Q'" 'p:mmap{ length = "4Q", prot = "rw" }'
bad "mmap: length is not a size: '99999999T'" 'p:mmap{ length = "99999999T", prot = "rw" }'
bad "mmap: length must be a size, not table" 'p:mmap{ length = {}, prot = "rw" }'
bad "mmap: prot is not a protection: 'rq'" 'p:mmap{ length = 4096, prot = "rq" }'
bad 'mmap: fixed must be true, false or "noreplace"' \
	'p:mmap{ length = 4096, prot = "rw", fixed = "maybe" }'
bad "mmap: populate must be a boolean, not number" 'p:mmap{ length = 1, prot = "r", populate = 1 }'
bad "mmap: the argument must be a table, not number" 'p:mmap(4096)'
bad "mmap: is a function of a process or thread, not of table" 'p.mmap{ length = 4096 }'
bad "munmap: takes 2 arguments, not 1" 'p:munmap(a)'
bad "munmap: takes 2 arguments, not 3" 'p:munmap(a, 4096, 1)'
bad "munmap: address must be an integer, not nil" 'p:munmap(nil, 4096)'
bad "munmap: address must be an integer, not string" 'p:munmap("4K", 4096)'
bad "munmap: address must be an integer, not 1.5" 'p:munmap(1.5, 4096)'
bad "mprotect: prot must be a string, not nil" 'p:mprotect(a, 4096, nil)'
bad "mremap: unknown field 'maymov'" 'p:mremap(a, 4096, 8192, { maymov = true })'
bad "madvise: advice is unknown: 'dontned'" 'p:madvise(a, 4096, "dontned")'
bad "read: moves at most 16777216 bytes" 'p:read(a, "17M")'
bad "write: bytes must be a string, not number" 'p:write(a, 5)'
bad 'touch: access must be "r", "w" or "x"' 'p:touch(a, "q")'
bad "result: p1.t1 has no call to wait for" 't:result()'
bad "signal: p1.t1 is not asleep" 't:signal()'
bad "thread_result: p1.t0 has no call to wait for" 'p:thread_result()'
bad "read: p1 has ended" 'p:exit() p:read(a, 1)'
bad "read: p1 has ended" 'p:exit() t:read(a, 1)'
bad "process has no 'peek'" 'p:peek(a)'
bad "thread has no 'smaps'" 't:smaps(a)'
bad "quire has no 'proces'" 'quire.proces()'
bad "check has no 'equal'" 'check.equal(1, 1)'
bad "check.fails: there is no error 'EINVALL'" 'check.fails("EINVALL", p:munmap(a, 0))'
bad "check.pagemap: pagemap has no field 'preset'" 'check.pagemap(p, a, { preset = true })'
bad "check.eq: takes at least 2 arguments, not 1" 'check.eq(1)'
bad "setup: must come before everything else" 'quire.setup{ memory = "64M" }'
bad "setup: unknown field 'memry'" 'quire.setup{ memry = "64M" }'
bad "shmem: the field 'size' is missing" 'quire.shmem{}'
bad "shmem: unknown field 'sise'" 'quire.shmem{ sise = 1 }'
bad "mmap: file must be a file, not number" 'p:mmap{ length = 1, prot = "r", file = 3 }'
bad "device: page is not one of a device: '3M'" 'quire.device{ size = "4M", page = "3M", kind = "dax" }'
bad "device: kind is not one of a device: 'disk'" 'quire.device{ size = "4M", page = "2M", kind = "disk" }'
bad "device: the field 'size' is missing" 'quire.device{ page = "2M", kind = "dax" }'
bad "device: unknown field 'sise'" 'quire.device{ size = "4M", page = "2M", kind = "dax", sise = 1 }'
bad "read_all: n1 is closed" 'local n = p:notifier(); n:close(); n:read_all()'
bad "pin: length must be a size, not nil" 'p:pin(a, nil)'
bad "migrate: is a function of a process, not of userdata" 'p.migrate(p:thread(), a, 1)'
bad "sleep: seconds must be a number, not string" 'quire.sleep("long")'
bad "attempt to call a nil value (global 'maple')" 'maple()'
bad "unexpected symbol near '='" 'x = = 3'
bad "boom" 'error("boom")'

# ---- what the target does not have
skipped() { # WITHOUT LINE
	expect_script 77 "skipped on quire: the quire target has no $1" "$2"
}
skipped hugetlb_2M 'p:mmap{ length = 4096, prot = "rw", hugetlb = "2M" }'
skipped hugetlb_1G 'quire.hugetlb{ size = "1G", page = "1G" }'
skipped hugetlb_2M 'quire.hugetlb_pool("2M", 4)'
skipped thp 'p:madvise(a, 4096, "collapse")'
bad "hugetlb: page is not a size of huge pages: '4M'" 'quire.hugetlb{ size = "4M", page = "4M" }'
bad "mmap: hugetlb must be a string, not boolean" 'p:mmap{ length = 1, prot = "r", hugetlb = true }'
setup() { # STATUS TEXT FIELDS
	printf '%s\n' "quire.setup{ $3 }" >"$work/setup.lua"
	expect "setup{ $3 }" "$1" "$2" run --on quire,twin "$work/setup.lua"
}
setup 0 "1 passed" 'thp = "never", shmem_thp = "never", hugetlb = { ["2M"] = 0 }'
setup 77 "skipped on quire: the quire target has no thp" 'thp = "madvise"'
setup 77 "skipped on quire: the quire target has no shmem_thp" 'shmem_thp = "within_size"'
setup 77 "skipped on quire: the quire target has no hugetlb_1G" 'hugetlb = { ["2M"] = 0, ["1G"] = 1 }'
setup 2 "setup: thp is not a policy: 'often'" 'thp = "often"'
setup 2 "setup: unknown field '4M'" 'hugetlb = { ["4M"] = 1 }'

# ---- checks
expect_script 1 'script.lua:3: [quire] sum: got 3, want 4' 'check.eq(1 + 2, 4, "sum")'
expect_script 1 'got {b={1, 2}}, want {b={1, 3}}' 'check.eq({ b = { 1, 2 } }, { b = { 1, 3 } })'
expect_script 1 'script.lua:3: [quire] no: got false, want a true value' 'check(false, "no")'
expect_script 1 'got true, want nil, "EINVAL"' 'check.fails("EINVAL", p:munmap(a, 4096))'
expect_script 1 'got nil, "EINVAL", want nil, "ENOMEM"' \
	'check.fails("ENOMEM", p:munmap(a + 1, 4096))'
expect_script 1 'at once: got {' 'check.pagemap(p, a, { present = true }, "at once")'
expect_script 1 '(byte 2: got 0x00, want 0x79)' 'p:write(a, "x") check.page(p, a, "x\0y")'
expect_script 1 'got nil, "SEGV"' 'check.page(p, 0, "x")'
expect_script 1 ':5: [quire] second: got nil' 'check(nil, "first")' '' 'check(nil, "second")'
expect_script 0 '1 passed, 0 failed, 0 skipped' \
	'check(true) check.eq({ 1, { x = 2 } }, { 1, { x = 2.0 } })' \
	'check.fails("SEGV", p:read(0, 1)) check.fails("EINVAL", p:munmap(a + 1, 1))' \
	'check.pagemap(p, a, { present = false }) check.page(p, a, "\0\0")' \
	'check.fails("EFAULT", p:syscall_write(0, "x")) check(quire.verify())'
expect_script 0 '1 passed' 'check(not pcall(p.munmap, p, a)) check(p:munmap(a, "64K"))'

expect_script 0 '1 passed' 'local keys = ""' \
	'for k in pairs{ b = 1, a = 2, 7, 8, [2.5] = 3, c = 4 } do keys = keys .. k .. " " end' \
	'check.eq(keys, "1 2 2.5 a b c ", "pairs() has the order of the keys")'

# ---- several files, arguments, how scripts end
printf 'quire.skip("not today")\n' >"$work/skip.lua"
printf 'check(true)\n' >"$work/pass.lua"
printf 'check(false)\n' >"$work/fail.lua"
printf 'check.eq(({ ... })[2], "-x") check.eq(arg[1], "one")\n' >"$work/arguments.lua"
printf 'os.exit(0)\n' >"$work/leave.lua"
expect "a skipped script" 77 "skip.lua: skipped on quire: not today" run "$work/skip.lua"
expect "all are skipped" 77 "0 passed, 0 failed, 2 skipped" run "$work/skip.lua" "$work/skip.lua"
expect "one is skipped" 0 "1 passed, 0 failed, 1 skipped" run "$work/skip.lua" "$work/pass.lua"
expect "the worst status wins" 1 "1 passed, 1 failed, 1 skipped" \
	run "$work/fail.lua" "$work/pass.lua" "$work/skip.lua"
expect "why it was skipped is told at the end" 0 "  $work/skip.lua: not today" run "$work/skip.lua" "$work/pass.lua"
expect "a skip without a name of what lacks" 1 "not today (which the target's profile does not explain)" \
	run --strict-skips "$work/skip.lua"
expect "the same, as TAP" 1 "not ok 1 - $work/skip.lua on quire" run --strict-skips --tap "$work/skip.lua"
printf 'quire.skip("la57: for five levels")\n' >"$work/lacks.lua"
expect "a skip that the profile explains" 77 "0 passed, 0 failed, 1 skipped" run --strict-skips "$work/lacks.lua"
printf 'quire.skip("guard: but there are guards")\n' >"$work/lies.lua"
expect "a skip that the profile denies" 1 "does not explain" run --strict-skips "$work/lies.lua"
printf 'quire.skip("telepathy: nothing has it")\n' >"$work/unknown.lua"
expect "a skip for what nobody knows" 1 "does not explain" run --strict-skips "$work/unknown.lua"
printf 'if quire.target == "twin" then quire.skip("library: it has no view of its own") end\n' >"$work/half.lua"
expect "skipped on one of two targets" 0 "1 passed, 0 failed, 1 skipped (1 on twin)" \
	run --strict-skips --on quire,twin "$work/half.lua"
expect "the same, which one" 0 "skipped on twin (1):" run --on quire,twin "$work/half.lua" "$work/pass.lua"
expect "skipped on both" 77 "0 passed, 0 failed, 2 skipped (1 on quire, 1 on twin)" \
	run --on quire,twin "$work/lacks.lua"
expect "--json, skipped" 0 "1 passed" run --json "$work/json" --on quire,twin "$work/half.lua"
cp "$work/json" "$work/output"
grep -q '{"target":"twin","file":".*half.lua","reason":"library: .*","explained":true}' "$work/json" &&
	grep -q '"passed":1,"failed":0,"skipped":1}' "$work/json" &&
	grep -q '{"rule":"table-bytes","target":"quire","against":"twin","used":0}' "$work/json"
report $? "--json: skips and rules"
printf 'quire.kernel_bug("%s", "it hangs")\n' "$(uname -r | cut -d . -f 1,2)" >"$work/bug.lua"
expect "a kernel's bug is not the library's" 0 "1 passed" run "$work/bug.lua"
printf 'quire.kernel_bug("%s0", "it hangs")\n' "$(uname -r | cut -d . -f 1,2)" >"$work/other.lua"
if "$quire" run --on linux "$work/pass.lua" >/dev/null 2>&1; then
	expect "a kernel's bug" 77 "a bug of Linux $(uname -r | cut -d . -f 1,2): it hangs" \
		run --strict-skips --on linux "$work/bug.lua"
	series=$(uname -r | cut -d . -f 1,2)
	printf 'quire.skip("a bug of Linux %s: it hangs")\n' "$series" >"$work/bug.lua"
	expect "a bug told as a skip" 77 "it hangs" run --strict-skips --on linux "$work/bug.lua"
	printf 'quire.skip("a bug of Linux %s0: it hangs")\n' "$series" >"$work/bug.lua"
	expect "another kernel's bug told as a skip" 1 "does not explain" run --strict-skips --on linux "$work/bug.lua"
	expect "another kernel's bug" 0 "1 passed" run --on linux "$work/other.lua"
fi
expect "a script's arguments" 0 "1 passed" run "$work/arguments.lua" -- one -x
expect "a script that leaves" 2 "left with exit status 0" run "$work/leave.lua"
expect "--tap" 1 "not ok 2 - $work/fail.lua on quire" run --tap "$work/pass.lua" "$work/fail.lua"
expect "--tap, skipped" 77 "# SKIP not today" run --tap "$work/skip.lua"
script 'quire.say("A story.")' 'p:write(a + 4096, "x")'
expect "--trace: a story" 0 "A story." run --trace "$work/script.lua"
expect "--trace: a call" 0 '    4: p1:write(m1+0x1000, "x") → true' run --trace "$work/script.lua"
expect "--json" 0 "1 passed" run --json "$work/json" "$work/script.lua"
cp "$work/json" "$work/output"
grep -q '"call":"p1:write(m1+0x1000, \\"x\\")"' "$work/json"
report $? "--json: a call"

# ---- other targets
printf 'quire.process()\nif quire.target == "twin" then quire.process() end\n' >"$work/differ.lua"
expect "--on twin" 0 "1 passed" run --on twin "$work/script.lua"
expect "--on quire,twin" 0 "1 passed" run --on quire,twin "$work/script.lua"
expect "targets that differ" 3 "  twin: line 2: quire.process()" run --on quire,twin "$work/differ.lua"
printf 'local p = quire.process()\nif quire.target == "twin" then p:maps() else p:rss() end\n' >"$work/differ.lua"
expect "--trace of two" 3 "twin → did something else" run --trace --on quire,twin "$work/differ.lua"
script 'p:mmap{ length = "1T", prot = "rw", noreserve = true }'
expect "beyond the twin" 77 "skipped on twin: twin: a process with more than" run --on twin "$work/script.lua"

# ---- the linux target's own memory: an error with the line, before anything happens
owns() { # LINE
	script "$1"
	expect "on linux: $1" 2 "script.lua:3: [linux] " run --on linux "$work/script.lua"
	grep -q "reaches the agent's own memory; scripts have what is below 0x7ff000000000, but for 0x555555000000 to 0x555560000000" \
		"$work/output"
	report $? "and why"
}
if "$quire" run --on linux "$work/pass.lua" >/dev/null 2>&1; then
	owns 'p:munmap(0, 0x7ffffffff000)'
	owns 'p:munmap(0x500000000000, "16T")'
	owns 'p:mmap{ length = "4K", prot = "rw", address = 0x555555554000, fixed = true }'
	owns 'p:mmap{ length = "4K", prot = "rw", address = 0x55555fff0000 }'
	owns 'p:mmap{ length = "4K", prot = "rw", address = 0x7ff000100000, fixed = true }'
	owns 'p:mremap(a, "4K", "4K", { maymove = true, fixed = 0x7ff100000000 })'
	owns 'p:mmap{ length = "4K", prot = "rw", address = 0x7ff0000ff000, fixed = true }'
	owns 'p:mmap{ length = "2M", prot = "rw", address = 0x7feffff00000, fixed = true }'
	owns 'p:mprotect(0x7ff100000000, "4K", "r")'
	owns 'p:madvise(a, "64T", "dontneed")'
	owns 'p:madvise(0x7ff100000000, "4K", "cold")'
	owns 'p:mlock(0x7ff100000000, "4K")'
	owns 'p:munlock(0x7ff100000000, "4K")'
	owns 'p:read(0x7ff100000000, 1)'
	owns 'p:touch(0x555555555000, "x")'
	owns 'p:syscall_write(0x7ff100000000, "x")'
	owns 'p:pin(0x7ff100000000, "4K")'
	owns 'p:userfaultfd{ user_mode_only = true }:register(0x7ff100000000, "4K", { "missing" })'
	# What is left, to its edges, is for scripts; what ends at a hole may be asked to go on for ever.
	{
		echo 'local p, K = quire.process(), 4096'
		echo 'local a = p:mmap{ length = K, prot = "rw" }'
		echo 'for _, n in ipairs{ 2 * K, "1T", "64T", 1 << 47, 1 << 62 } do'
		echo 'p:mprotect(a, n, "r") p:mlock(a, n) p:munlock(a, n) end'
		for address in 0x10000 0x400000 0x500000000000 0x555554ffc000 0x555560000000 0x600000000000 \
			0x7efffffff000 0x7fefffffc000; do
			echo "local a = p:mmap{ length = 4 * K, prot = 'rw', address = $address, fixed = true }"
			echo "check.eq(a, $address) check(p:write(a, ('x'):rep(4 * K))) check(p:munmap(a, 4 * K))"
		done
	} >"$work/window.lua"
	expect "the window of addresses" 0 "1 passed" run --on both "$work/window.lua"
fi
expect "run --help tells the window" 0 "from 0x10000 to 0x7ff000000000, but for 0x555555000000 to 0x555560000000" \
	run --help

# ---- allocations that fail
expect "--fail-count" 0 "" run --fail-count "$work/script.lua"
grep -qx '[0-9][0-9]*' "$work/output"
report $? "--fail-count: a number and nothing else"
expect "--fail 1" 0 "1 passed" run --fail 1 "$work/script.lua"
expect "--fail-sweep 0" 0 "all held" run --fail-sweep 0 "$work/script.lua"

# ---- what a target has
bad "has: there is nothing that is called 'uffd-wp'" 'quire.has("uffd-wp")'
bad "needs: there is nothing that is called 'hugetlb_4M'" 'quire.needs("userfaultfd", "hugetlb_4M")'
bad "has: takes 1 argument, not 0" 'quire.has()'
expect_script 77 "skipped on quire: the quire target has no thp" 'quire.needs("guard", "thp") error("on")'
expect_script 0 "1 passed" 'quire.needs("userfaultfd", "uffd_wp", "move") check(quire.has("wp_async"))'
# In a comparison it is what both have, so that both do the same.
script 'check(not quire.has("thp") and quire.has("guard"))'
expect "has() in a comparison" 0 "1 passed" run --on both "$work/script.lua"
scenarios=$(dirname "$0")/../../scenarios
for scenario in A2-mprotect-access A4-mlock A8-execute-only B3-execute-only; do
	for processor in with without; do
		expect "$scenario on a processor $processor execute-only memory" 0 "1 passed" \
			run --on quire,twin "$scenarios/$scenario.lua" -- $processor
	done
done

# ---- time, interruption, death
cat >"$work/spin.lua" <<-'END'
	local stat = io.open("/proc/self/stat")
	local out = io.open(arg[1], "w")
	out:write(stat:read("n"), "\n")
	out:close()
	quire.process()
	while true do end
END
# As long as it takes it to get there.
for seconds in 0.2 2 20 200; do
	"$quire" run --timeout $seconds "$work/spin.lua" -- "$work/pid" >"$work/output" 2>&1
	status=$?
	grep -q "spin.lua:6:" "$work/output" && break
done
[ $status -eq 2 ] && grep -qF "spin.lua:6: [quire] timed out after $seconds s" "$work/output"
report $? "--timeout"

running() { # PID: it is there, and more than a zombie that nobody has waited for
	grep -qs '^State:.[^Z]' "/proc/$1/status"
}

# The runner must have ended with STATUS, and its worker with it.
ended() { # STATUS NAME
	worker=$(cat "$work/pid")
	tries=0
	while running "$worker" && [ $tries -lt 600 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	echo "exit status $status, want $1; worker $worker" >>"$work/output"
	[ $status -eq "$1" ] && ! running "$worker"
	report $? "$2 ends the runner and its worker"
}

# Sends SIGNAL to a running quire, which must end with STATUS.
interrupt() { # SIGNAL STATUS
	rm -f "$work/pid"
	"$quire" run --timeout 600 "$work/spin.lua" -- "$work/pid" >"$work/output" 2>&1 &
	runner=$!
	tries=0
	until [ -s "$work/pid" ] || [ $tries -gt 600 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	kill -s "$1" $runner
	wait $runner 2>/dev/null
	status=$?
	ended "$2" "SIG$1"
}
interrupt TERM 143
interrupt HUP 129
interrupt KILL 137

# What a shell starts in the background ignores SIGINT, so this one is not.
rm -f "$work/pid"
timeout --preserve-status -s INT 5 "$quire" run --timeout 600 "$work/spin.lua" -- "$work/pid" \
	>"$work/output" 2>&1
status=$?
ended 130 SIGINT

exit "$failed"
