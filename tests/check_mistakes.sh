#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Mistakes put into the library on purpose (docs/reliability.md): each must be noticed, by the
# scenario of its name or by a test of threads, where the library without it passes.
#
#   check_mistakes.sh [BUILD-DIRECTORY]
#
# A line also says who noticed: the scenario's checks, which must do so by themselves (with the
# checker off), and perhaps the invariant checker.
set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
build=${1:-build}
names=$build/mistakes/names
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
# On a busy machine two threads hardly ever run at the same time, unless they go before all others.
before_others=
if chrt -f 1 true 2>/dev/null; then before_others="chrt -f 1"; fi

report() { # HELD NAME
	if [ "$1" -eq 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2"
		sed 's/^/# /' "$work/log" | head -n 20
		status=1
	fi
}

run() { # PROGRAM [OPTION...]: the scenario
	local program=$1
	shift
	timeout 1200 "$program" run --on quire --timeout 300 "$@" "$scenario" >"$work/log" 2>&1
}

# What must be seen with an allocation failing.
options() { # NAME
	case $1 in
	failure-*) echo "--fail-sweep 40" ;;
	esac
}

# The scenario's lines begin with its name and the line; the checker says what came before.
noticed_by() { # NAME: "the scenario", "the checker", both, or nothing
	local checker= checks= options
	options=$(options "$1")
	# shellcheck disable=SC2086 # words
	run "$build/mistakes/quire-$1" $options
	if grep -qaE '^[^ ]*:[0-9]+: \[quire[^]]*\] (after [a-z_]+|at the end): ' "$work/log"; then
		checker=1
	fi
	# shellcheck disable=SC2086
	run "$build/mistakes/quire-$1" --no-verify $options
	if grep -qaE '^[^ ]*:[0-9]+: \[quire' "$work/log"; then checks=1; fi
	case $checks$checker in
	11) echo "the scenario and the checker" ;;
	1) [ -n "$checks" ] && echo "the scenario" || echo "the checker" ;;
	esac
}

# The comparison by itself, which looks at nothing but what calls return, must notice with all of its
# rules; unless the target does not have what the scenario needs.
check_comparison() { # NAME
	local target
	for target in twin linux; do
		timeout 1200 "$build/mistakes/quire-$1" run --on "quire,$target" --no-verify --timeout 300 \
			"$scenario" >"$work/log" 2>&1
		if ! grep -qaF "$scenario: skipped on $target: " "$work/log"; then
			grep -qaF "the targets differ in " "$work/log"
			report $? "$1 is noticed beside $target"
		fi
	done
}

check_scenario() { # NAME
	local by
	scenario=scenarios/G-$1.lua
	# shellcheck disable=SC2046 # words
	run "$build/quire" $(options "$1")
	report $? "$scenario passes without the mistake"
	by=$(noticed_by "$1")
	[ "${by#the scenario}" != "$by" ]
	report $? "$1 is noticed by ${by:-nobody}"
	# Two targets have no allocation that fails on both.
	if [ -z "$(options "$1")" ]; then check_comparison "$1"; fi
}

# The test in test_userfault_race or test_migrate that is about it.
test_of() { # NAME
	case $1 in
	cut-loses-dirty) echo the_middle_page_is_protected ;;
	cut-overwrites) echo what_the_hardware_sets_while_a_leaf_is_cut_is_kept ;;
	zap-counts-leaves) echo a_leaf_counts_as_its_pages ;;
	move-misfits) echo a_leaf_moves_whole_where_it_fits ;;
	fork-keeps-write) echo fork_leaves_device_leaves_at_their_level ;;
	protect-overwrites) echo no_dirty_bit_is_lost ;;
	sleep-without-looking) echo who_is_served_does_not_sleep ;;
	spurious-sets-nothing) echo a_fault_sets_what_the_access_needs ;;
	dirty-not-parked) echo a_leaf_that_loses_write_permission_does_not_get_it ;;
	flush-strides-far | flush-spares-readers) echo no_leaf_is_passed_over ;;
	move-without-flush) echo no_store_is_lost_by_a_move ;;
	migration-without-flush) echo no_store_is_lost_while_pages_move ;;
	request-borrows-space) echo a_request_keeps_its_space ;;
	request-asks-early) echo no_request_changes_memory_after_a_fork ;;
	read-behind-end) echo no_read_gives_zeros_behind_the_end ;;
	populate-looks-once) echo populate_says_what_is_not_there ;;
	walk-borrows-space) echo a_dump_keeps_the_space_it_is_at ;;
	close-ends-users) echo a_close_waits_for_the_last_user ;;
	signal-borrows-context) echo a_signal_keeps_the_context_it_finds ;;
	dying-waits | closed-is-told) echo nobody_sleeps_for_ever ;;
	move-appears-early) echo a_page_that_moves_is_at_one_place ;;
	mmap-creates-first) echo mmap_made_again_allocates_nothing ;;
	resume-any-call) echo another_call_is_not_the_one_that_was_blocked ;;
	announced-at-zero) echo what_goes_at_address_zero_is_told ;;
	punch-drops-markers) echo 'protected_pages_stay_so*' ;;
	report-without-looking) echo a_page_that_was_mapped_meanwhile_is_not_minor ;;
	async-takes-permission) echo the_second_writer_finds_the_page_released ;;
	alone-in-two-steps) echo 'a_store_is_not_seen*' ;;
	read-before-write) echo no_slot_is_read_that_was_not_written ;;
	report-asks-gone-slot) echo reports_stand_a_swapoff ;;
	swapoff-ends-next-swap) echo a_slow_swapoff_spares_the_next_swap ;;
	swap-copies-lock) echo swap_comes_and_goes_beside_one_who_waits ;;
	taker-stays-visited) echo 'a_walk_finds_*' ;;
	new-vma-behind-walks) echo a_walk_ends_whatever_others_do ;;
	change-sleeps-locked) echo the_hook_may_truncate_what_is_written ;;
	change-without-lock) echo changes_are_made_one_after_the_other ;;
	fault-trusts-answer) echo what_is_revoked_is_mapped_no_more ;;
	fault-waits-for-its-page) echo no_leaf_reaches_over_a_hole ;;
	device-leaf-beyond-vma) echo leaves_stay_in_their_vma ;;
	neighbour-takes-part) echo parts_of_a_dax_page_are_refused ;;
	device-trusts-answer) echo a_revoked_answer_is_asked_for_again ;;
	allocate-marks-late) echo a_page_in_use_is_not_taken_for_unused ;;
	drop-without-pause) echo many_pages_go_a_few_at_a_time ;;
	munmap-drops-pages) echo the_pages_of_what_was_unmapped_go_without_the_spaces_lock ;;
	copy-caches-first) echo no_store_lands_on_a_page_that_is_copied_protected ;;
	hole-is-seen-half) echo a_hole_on_its_way_is_no_minor_fault ;;
	swap-in-fills-hole) echo a_page_from_swap_does_not_fill_the_hole ;;
	reclaim-recurses) echo what_keeps_a_page_has_nothing_more_reclaimed ;;
	spare-for-nobody) echo an_object_may_be_kept_in_another ;;
	notifier-begins-late) echo "*what*" ;; # of either test
	notifier-*) echo what_is_told_is_what_happens ;;
	copy-leaves-gap) echo 'a_page_that_is_being_copied*' ;;
	esac
}

# A test of threads must fail, by an assertion of its own or of the library, which ends it; it passes
# without, as all tests do.
check_test() { # PROGRAM
	local try ended held=1 first
	for try in $(seq 40); do # threads need not meet at the first attempt
		first=
		if [ $((try % 2)) -eq 0 ]; then first=$before_others; fi
		CMOCKA_MESSAGE_OUTPUT=TAP timeout 600 $first "$build/mistakes/$1" $(test_of "${1#*-}") \
			>"$work/log" 2>&1
		ended=$?
		if [ $ended -ge 128 ] || grep -qaE '^not ok [0-9]' "$work/log"; then held=0 && break; fi
	done
	report $held "${1#*-} is noticed by ${1%%-*}, attempt $try"
}

# The pair of operations that shows it, and where (tests/explorer).
pair_of() { # NAME
	case $1 in
	alone-in-two-steps) echo load,child-load none anon-swap-shared ;;
	truncate-takes-span) echo truncate,load wp shmem-large ;;
	copy-leaves-gap) echo store,store missing-sigbus anon-shared ;;
	read-before-write) echo load,load none anon-cached ;;
	request-borrows-space) echo register-missing,exit missing anon-absent ;;
	report-asks-gone-slot) echo smaps,swapoff none anon-swap ;;
	change-sleeps-locked) echo allocate,pagemap none file ;;
	walk-borrows-space) echo dump,exit none anon ;;
	request-asks-early) echo wp-clear,fork events anon ;;
	populate-looks-once) echo populate-read,munmap none anon ;;
	read-behind-end) echo object-read,truncate none shmem ;;
	closed-is-told) echo fork,close events anon ;;
	sleep-without-looking) echo load,copy missing anon-absent ;;
	evict-trusts-slot) echo load,reclaim none anon-cached-refused ;;
	copy-without-flush) echo load,store none anon-shared ;;
	esac
}

check_pair() { # NAME
	local pair registration memory
	read -r pair registration memory < <(pair_of "$1")
	explore() { # PROGRAM
		timeout 120 "$1" --pair "$pair" --registration "$registration" --memory "$memory" \
			>"$work/log" 2>&1
	}
	explore "$build/tests/explore"
	report $? "$pair, $registration, $memory: passes without $1"
	explore "$build/mistakes/explore-$1"
	grep -q '^not ok' "$work/log"
	report $? "$1 is noticed by the explorer"
}

in_sources() {
	grep -rhoE --include='*.[ch]' --exclude=base.h 'QUIRE_MISTAKE\([A-Z_]+\)' src | sed 's/.*(\(.*\))/\1/' | tr 'A-Z_' 'a-z-' | sort -u
}
in_build() {
	sed 's/^[^-]*-//' "$names" | sort -u
}

scripts/build.sh default mistakes >"$work/log" 2>&1
report $? "the library builds with each mistake"
diff <(in_sources) <(in_build) >"$work/log"
report $? "every mistake in the sources is built"
in_build | grep -vxFf <(grep -oE '^\| `[a-z-]+`' docs/reliability.md | tr -d '|` ') >"$work/log"
[ ! -s "$work/log" ]
report $? "every mistake is in docs/reliability.md"

while read -r program; do
	case $program in
	quire-*) check_scenario "${program#quire-}" ;;
	explore-*) check_pair "${program#explore-}" ;;
	*) check_test "$program" ;;
	esac
done <"$names"
exit $status
