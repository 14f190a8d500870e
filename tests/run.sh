#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs everything that is checked, section by section, and ends with the line
# "N passed, N failed[, N skipped]".
#
# Every section is a shell function whose output is lines in the manner of TAP: "ok ...",
# "not ok ...", either with "# SKIP why", and whatever else explains a failure.  The lines are
# counted; of a section with a failure all is shown but what went well, and skips and notes always.
#
# Time limits are for what never ends: a machine may be slow, or busy with other work.
set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null

passed=0
failed=0
skipped=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The skips of a log: those of scenarios by target and reason, with how many and which.
skips() { # LOG
	grep -aE '^(not )?ok\b.*# SKIP' "$1" | grep -avE '^ok - [^ ]* on [a-z]* # SKIP' | sed 's/^/   /'
	sed -n 's|^ok - scenarios/\([^ ]*\)\.lua on \([a-z]*\) # SKIP |\1 \2 |p' "$1" | awk '{
			name = $1; $1 = ""
			names[$0] = names[$0] " " name; count[$0]++
		} END {
			for (why in count) {
				place = why; sub(/^ [a-z]* /, "", place); split(why, word, " ")
				printf "   skipped on %s, %d: %s:%s\n", word[1], count[why], place, names[why]
			}
		}' | sort
}

section() { # NAME FUNCTION [ARG...]
	local name=$1 log=$work/section start=$SECONDS ok not skip
	shift
	printf '== %s\n' "$name"
	"$@" >"$log" 2>&1
	skip=$(grep -acE '^(not )?ok\b.*# SKIP' "$log") # cmocka says "not ok" of what it skips
	ok=$(grep -aE '^ok\b' "$log" | grep -acv '# SKIP')
	not=$(grep -aE '^not ok\b' "$log" | grep -acv '# SKIP')
	if [ $((ok + not + skip)) -eq 0 ]; then
		echo "not ok - $name: nothing was run" >>"$log"
		not=1
	fi
	if [ "$not" -gt 0 ]; then
		grep -avE '^(ok\b|note: |1\.\.|# ok|\[ *[0-9]+%\])' "$log" | sed 's/^/   /'
	elif [ "$skip" -gt 0 ]; then
		skips "$log"
	fi
	grep -a '^note: ' "$log" | sed 's/^/   /'
	printf '   %d passed, %d failed, %d skipped in %d s\n' \
		"$ok" "$not" "$skip" $((SECONDS - start))
	passed=$((passed + ok))
	failed=$((failed + not))
	skipped=$((skipped + skip))
}

# Sanitizers need the address space laid out as they expect it, where that can be asked for.
fixed_layout=
if setarch "$(uname -m)" -R true 2>/dev/null; then fixed_layout="setarch $(uname -m) -R"; fi

build() { # PRESET
	if scripts/build.sh "$1"; then
		echo "ok - build $1"
	else
		echo "not ok - build $1"
	fi
}

# A test program prints "1..n" for each of its groups, and a line for each test.  One that crashes
# prints too few.
unit() { # DIRECTORY
	local name program log=$work/unit status planned found
	while read -r name; do
		program=$1/tests/$name
		CMOCKA_MESSAGE_OUTPUT=TAP $fixed_layout timeout 1800 "$program" >"$log" 2>&1 </dev/null
		status=$?
		if [ "$status" -ne 0 ]; then echo "# $program:"; fi
		cat "$log"
		planned=$(awk -F '[.][.]' '/^1[.][.]/ { sum += $2 } END { print sum + 0 }' "$log")
		found=$(grep -acE '^(not )?ok\b' "$log")
		if [ "$planned" -eq 0 ] || [ "$planned" -ne "$found" ]; then
			echo "not ok - $program: $found of $planned tests reported, status $status"
		elif [ "$status" -ne 0 ] && ! grep -aqE '^not ok\b' "$log"; then
			echo "not ok - $program: status $status"
		fi
	done <"$1/tests/names"
}

# An example shows something, and ends with status 0 if it went as it should.
examples() { # DIRECTORY
	local name log=$work/example
	while read -r name; do
		if timeout 600 "$1/examples/$name" >"$log" 2>&1 </dev/null; then
			echo "ok - examples/$name"
		else
			echo "not ok - examples/$name: status $?"
			sed 's/^/# /' "$log"
		fi
	done <"$1/examples/names"
}

# Shell scripts print their own lines; one that fails without a line to say so is counted.
scripts() { # SCRIPT...
	local script log=$work/script status
	for script in "$@"; do
		[ -f "$script" ] || continue
		timeout 7200 "$script" >"$log" 2>&1
		status=$?
		cat "$log"
		if [ "$status" -ne 0 ] && ! grep -aqE '^not ok\b' "$log"; then
			echo "not ok - $script: status $status"
		fi
	done
}

# Each scenario is one test, told by its exit status, and another one for each target that skipped it.
# A skip has to be explained by what the target lacks.
scenario_files=(scenarios/*.lua)
scenarios() { # PROGRAM [OPTION...]
	local file status log=$work/scenario
	for file in "${scenario_files[@]}"; do
		[ -f "$file" ] || continue
		$fixed_layout timeout 1200 "$@" --timeout 300 "$file" >"$log" 2>&1
		status=$?
		case $status in
		0) echo "ok - $file" ;;
		77) ;; # told below
		*)
			echo "not ok - $file: status $status"
			sed 's/^/# /' "$log"
			continue
			;;
		esac
		sed -n "s|^\($file\): skipped on \([a-z]*\): |ok - \1 on \2 # SKIP |p" "$log"
		if [ $status -eq 77 ] && ! grep -q "^$file: skipped on" "$log"; then
			echo "not ok - $file: skipped without a reason"
		fi
	done
}

# The same as user nobody, from a copy that he can read: who runs the tests may have all of them where
# others may not look.
as_nobody() { # PROGRAM [OPTION...]
	local place=$work/nobody program=$1 files=(scenarios/*.lua) i
	shift
	if [ "$(id -u)" -ne 0 ]; then
		echo "ok - as nobody # SKIP all tests here run without root's rights"
		return
	fi
	if ! command -v setpriv >/dev/null; then
		echo "ok - as nobody # SKIP setpriv is not installed"
		return
	fi
	local nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	if ! "${nobody[@]}" test -x "$(dirname "$work")"; then
		place=$(TMPDIR=/tmp mktemp -d)
	fi
	chmod a+rx "$work"
	mkdir -p "$place/scenarios"
	cp "$program" "$place/quire"
	for ((i = 0; i < ${#files[@]}; i += 3)); do cp "${files[i]}" "$place/scenarios"; done
	chmod -R a+rX "$place"
	(cd "$place" && scenarios "${nobody[@]}" ./quire "$@")
	rm -rf "$place"
}

# The stress test of the shootdown must fail, all of it, where the port has none: each of its tests in
# one of several attempts, for the threads need not meet.
missing_shootdown() { # DIRECTORY
	local log=$work/unit noticed=$work/noticed planned try
	: >"$noticed"
	for try in $(seq 20); do
		CMOCKA_MESSAGE_OUTPUT=TAP $fixed_layout timeout 600 "$1/tests/no_shootdown" \
			>"$log" 2>&1 </dev/null
		planned=$(sed -n 's/^1\.\.//p' "$log")
		grep -aoE '^not ok [0-9]+' "$log" | sort -u - "$noticed" -o "$noticed"
		if [ -n "$planned" ] && [ "$(wc -l <"$noticed")" -eq "$planned" ]; then
			echo "ok - the stress test notices a missing shootdown"
			return
		fi
	done
	echo "not ok - the stress test does not notice a missing shootdown in $try attempts"
	sed 's/^/# /' "$log"
}

# Random cases, one test a seed.  What the kernel works off in batches (docs/differences.md) does not
# come again, and is noted.
random() { # FIRST-SEED LAST-SEED CASES PROGRAM [OPTION...]
	local seed status log=$work/random first=$1 last=$2 cases=$3
	shift 3
	for seed in $(seq "$first" "$last"); do
		timeout 3600 "$@" --timeout 300 --seed "$seed" --cases "$cases" --output "$work" >"$log" 2>&1
		status=$?
		case $status in
		0)
			echo "ok - quire check, seed $seed"
			sed -n '/, 0 noise$/!s/^0 findings, /note: seed '"$seed"': /p' "$log"
			;;
		77)
			echo "ok - quire check # SKIP $(tail -n 1 "$log")"
			return
			;;
		*)
			echo "not ok - quire check, seed $seed: status $status"
			sed 's/^/# /' "$log"
			echo "# again: $* --seed $seed --cases $cases"
			;;
		esac
	done
}

# The library with page tables of 16 entries (QUIRE_TINY_GEOMETRY).  Scenarios that look at the levels of
# page tables are left out.
small_tables() {
	local scenario_files
	mapfile -t scenario_files < <(grep -LE ':tables\(|\.level\b' scenarios/*.lua)
	scenarios build/quire-tiny run --on quire --strict-skips
	random 1 1 60 build/quire-tiny check --against twin
}

explorer() { # [OPTION...]
	local log=$work/explorer status
	timeout 900 build/tests/explore --jobs "$(nproc)" "$@" >"$log" 2>&1
	status=$?
	cat "$log"
	if [ "$status" -ne 0 ] && ! grep -aqE '^not ok\b' "$log"; then
		echo "not ok - explorer: status $status"
	fi
}

have_scenarios() { # DIRECTORY
	[ -x "$1/quire" ] && compgen -G 'scenarios/*.lua' >/dev/null
}

section "build" build default
section "unit tests" unit build
section "a port without shootdown" missing_shootdown build
section "pairs of operations, interleaved" explorer --sample 6000
section "examples" examples build
section "symbols, layers, sizes" scripts tests/check_*.sh
if compgen -G 'tests/scripts/*.sh' >/dev/null; then
	section "the command" scripts tests/scripts/*.sh
fi
if have_scenarios build; then
	section "scenarios, library against Linux" scenarios build/quire run --on both --strict-skips
	section "a third of them as nobody, on the library" \
		as_nobody build/quire run --on quire --strict-skips
	section "a third of them as nobody, library against Linux" \
		as_nobody build/quire run --on both --strict-skips
	section "scenarios, 25 of the allocations failing, one a run" \
		scenarios build/quire run --fail-sweep 25
	section "random cases, library against Linux" random 1 6 50 build/quire check
	section "scenarios, library against the twin" \
		scenarios build/quire run --on quire,twin --strict-skips
	section "random cases, library against the twin" \
		random 1 1 60 build/quire check --against twin
	section "small page tables: scenarios, and random cases against the twin" small_tables
	section "random cases, 20 of the allocations failing, one a run" \
		random 1 2 5 build/quire check --against none --inject 20
fi

if command -v clang >/dev/null; then
	section "build with clang" build clang
	section "unit tests, clang" unit build-clang
else
	section "build with clang" echo "ok - clang # SKIP not installed"
fi
for sanitizer in asan-ubsan tsan; do
	section "build with $sanitizer" build $sanitizer
	section "unit tests, $sanitizer" unit build-$sanitizer
	section "a port without shootdown, $sanitizer" missing_shootdown build-$sanitizer
	if have_scenarios build-$sanitizer; then
		section "scenarios on the library, $sanitizer" \
			scenarios build-$sanitizer/quire run --on quire --strict-skips
		section "random cases on the library, $sanitizer" \
			random 41 44 10 $fixed_layout build-$sanitizer/quire check --against none
	fi
done
section "build without assertions" build release
if have_scenarios build-release; then
	section "scenarios on the library, without assertions" \
		scenarios build-release/quire run --on quire --strict-skips
fi

echo
printf '%d passed, %d failed' "$passed" "$failed"
if [ "$skipped" -gt 0 ]; then printf ', %d skipped' "$skipped"; fi
echo
[ "$failed" -eq 0 ]
