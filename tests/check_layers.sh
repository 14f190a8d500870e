#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The rules of docs/DESIGN.md that the compiler does not see: which file may use what, and how long
# it may be.
set -u
cd "$(dirname "$0")/.." || exit 1
status=0
longest=600 # lines a file

report() { # NAME CULPRITS: ok when there are none
	if [ -z "$2" ]; then
		echo "ok - $1"
	else
		echo "not ok - $1"
		printf '%s\n' "$2" | sed 's/^/# /'
		status=1
	fi
}

# Lowest first.  Those of one line may include each other.
layers="base
frame
arch table
object
space
reclaim
userfault
report"

sources() { # DIRECTORY...
	find "$@" -name '*.[ch]' 2>/dev/null | sort
}

rank() { # LAYER: its line; nothing if there is no such layer
	printf '%s\n' "$layers" | grep -nw -- "$1" | cut -d: -f1
}

upward_includes() {
	local file layer own line included other
	while read -r file; do
		layer=${file#src/}
		layer=${layer%%/*}
		own=$(rank "$layer")
		if [ -z "$own" ]; then
			echo "$file: src/$layer is no layer"
			continue
		fi
		while IFS=: read -r line included; do
			other=${included%%/*}
			case $included in
			*/*) ;;
			arch_*) other=arch ;;
			*) other=$layer ;;
			esac
			other=$(rank "$other")
			if [ -z "$other" ] || [ "$other" -gt "$own" ]; then
				echo "$file:$line: includes \"$included\""
			fi
		done < <(grep -nE '^[[:space:]]*#[[:space:]]*include "' "$file" |
			sed -E 's/^([0-9]+):[^"]*"([^"]*)".*/\1:\2/')
	done < <(sources src)
}
report "includes in src point downward" "$(upward_includes)"

report "src includes no header of a C library" \
	"$(sources src include | xargs grep -nE '#[[:space:]]*include <' |
		grep -vE '<(quire/[a-z_]+\.h|stdatomic\.h|stdbool\.h|stddef\.h|stdint\.h|stdalign\.h|stdnoreturn\.h)>')"

report "only src/table and src/arch know entries" \
	"$(sources src | grep -vE '^src/(table|arch)/' |
		xargs -r grep -nE '"arch_entry\.h"|\bentry_[a-z0-9_]+\(|\bentry_t\b')"

report "only src/arch knows the architecture" \
	"$(sources src include | grep -v '^src/arch/' |
		xargs -r grep -nE '^[[:space:]]*#[[:space:]]*(el)?if.*(__x86_64__|__aarch64__|__riscv|__powerpc|QUIRE_ARCH)')"

# A host sees <quire/...> and what is its own.
report "twin uses its own header, the requests of cli, and the C library" \
	"$(sources twin | xargs -r grep -nE '^[[:space:]]*#[[:space:]]*include' |
		grep -vE '"(twin|target)\.h"|<(errno|fcntl|signal|stdio|stdlib|string|sys/mman)\.h>')"

for directory in ports cli examples bench; do
	report "$directory uses the public interface only" \
		"$(sources $directory | xargs -r grep -nE \
			'#[[:space:]]*include "([^"]*\.\./|(base|frame|arch|table|object|space|reclaim|userfault|report)/)|"arch_entry\.h"')"
done

report "no file has more than $longest lines" \
	"$(sources src include ports twin cli bench examples tests | xargs -r wc -l |
		awk -v longest=$longest '$2 != "total" && $1 > longest { print $2 ": " $1 }')"

report "every file says its licence first" \
	"$(sources src include ports twin cli bench examples tests |
		xargs -r awk 'FNR == 1 && !/SPDX-License-Identifier: MIT/ { print FILENAME }')"
exit $status
