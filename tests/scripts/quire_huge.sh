#!/bin/sh
# SPDX-License-Identifier: MIT
# Huge pages on the linux target: setup{ thp=, shmem_thp=, hugetlb= } arranges them, and the machine
# is as before when the run has ended, however it ends.
# Usage: quire_huge.sh [QUIRE]; prints "ok - ..." or "not ok - ..." for each case.
# shellcheck source-path=SCRIPTDIR source=../script_support.sh
. "$(dirname "$0")/../script_support.sh"

switches=/sys/kernel/mm/transparent_hugepage
pool=/sys/kernel/mm/hugepages/hugepages-2048kB
if [ "$(id -u)" -ne 0 ] || [ ! -e $switches/enabled ] || [ ! -e $pool ]; then
	echo "ok - huge pages # SKIP needs root, and a kernel that has them"
	exit 0
fi

settings() {
	cat $switches/enabled $switches/shmem_enabled $switches/hugepages-*/*enabled \
		$pool/nr_hugepages $pool/nr_overcommit_hugepages
}
settings >"$work/before"
as_before() { # NAME
	tries=0
	until settings | cmp -s - "$work/before" || [ $tries -gt 1200 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	settings | diff "$work/before" - >"$work/output"
	report $? "$1 leaves the machine as it was"
}

cat >"$work/use.lua" <<-'END'
	quire.setup{ thp = "always", shmem_thp = "advise", hugetlb = { ["2M"] = 3 } }
	local M <const> = 1 << 20
	local function setting(name)
		local file <close> = io.open("/sys/kernel/mm/" .. name)
		return file:read("l")
	end
	check.eq(setting("transparent_hugepage/enabled"), "[always] madvise never")
	check(setting("transparent_hugepage/shmem_enabled"):find("[advise]", 1, true) ~= nil)
	check(setting("transparent_hugepage/hugepages-2048kB/enabled"):find("[inherit]", 1, true) ~= nil)
	check.eq(setting("hugepages/hugepages-2048kB/nr_hugepages"), "3")
	check.eq(quire.stats().hugetlb["2M"], { total = 3, free = 3, reserved = 0, surplus = 0 })
	quire.hugetlb_pool("2M", 5, { overcommit = 1 })
	local p = quire.process()
	local a = (p:mmap{ length = "8M", prot = "rw" } + 2 * M - 1) & -(2 * M)
	p:write(a, "x")
	check.eq(p:smaps(a).AnonHugePages, 2 * M)
	check.pagemap(p, a + M, { present = true })
	local h = p:mmap{ length = "2M", prot = "rw", hugetlb = "2M" }
	p:write(h, "y")
	local file = io.open(arg[1], "w")
	file:write("there")
	file:close()
	while arg[2] do end
END
expect "huge pages of every kind" 0 "1 passed" run --on linux "$work/use.lua" -- "$work/there"
as_before "a run"
expect "the library has none" 0 "skipped on quire: the quire target has no thp" \
	run --on both "$work/use.lua" -- "$work/there"
as_before "a comparison"
printf '%s\n' 'quire.setup{ thp = "never", hugetlb = { ["2M"] = 2 } }' 'error("here")' >"$work/error.lua"
expect "a script that fails" 2 "here" run --on linux "$work/error.lua"
as_before "a script that fails"
printf '%s\n' 'quire.setup{ }' 'quire.hugetlb_pool("2M", 1)' >"$work/pool.lua"
expect "a pool that nobody gives back" 2 "pool.lua:2: hugetlb_pool: needs the pool in quire.setup" \
	run --on linux "$work/pool.lua"

# Sends SIGNAL to the runner and, if it is KILL, to its worker, while all is in use.
interrupt() { # SIGNAL
	rm -f "$work/there"
	setsid "$quire" run --timeout 600 --on linux "$work/use.lua" -- "$work/there" forever \
		>"$work/output" 2>&1 &
	runner=$!
	tries=0
	until [ -s "$work/there" ] || [ $tries -gt 1200 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	settings | cmp -s - "$work/before" && echo "not ok - $1 came too early" && failed=1
	kill -s "$1" -- "-$runner"
	wait $runner 2>/dev/null
	as_before "SIG$1"
}
interrupt KILL
interrupt TERM

# Beside a run with a say in the huge pages of shared memory no other goes on.
rm -f "$work/there"
"$quire" run --timeout 60 --on linux "$work/use.lua" -- "$work/there" forever >"$work/output" 2>&1 &
runner=$!
tries=0
until [ -s "$work/there" ] || [ $tries -gt 100 ]; do
	sleep 0.1
	tries=$((tries + 1))
done
printf '%s\n' 'quire.process()' >"$work/plain.lua"
"$quire" run --on linux "$work/plain.lua" >"$work/plain" 2>&1 &
plain=$!
sleep 0.5
kill -0 $plain 2>/dev/null
report $? "another run waits"
kill -s KILL $runner
wait $runner 2>/dev/null
wait $plain
status=$?
cp "$work/plain" "$work/output"
[ $status -eq 0 ]
report $? "and goes on when it has ended"
as_before "a run that was waited for"

# What a shell starts in the background ignores SIGINT, so this one is not, and gets as long as it takes.
rm -f "$work/there"
for seconds in 2 20 200; do
	timeout --preserve-status -s INT $seconds "$quire" run --timeout 600 --on linux "$work/use.lua" -- \
		"$work/there" forever >"$work/output" 2>&1
	[ -s "$work/there" ] && break
done
[ -s "$work/there" ]
report $? "SIGINT comes while all is in use"
as_before "SIGINT"

exit "$failed"
