#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What an embedder relies on: libquire.a needs nothing but mem* and the port, shows nothing but
# quire_*, and is freestanding.
#
#   check_symbols.sh [BUILD-DIRECTORY]
set -u
cd "$(dirname "$0")/.." || exit 1
build=${1:-build}
library=$build/libquire.a
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

report() { # NAME CULPRITS: ok when there are none
	if [ -z "$2" ]; then
		echo "ok - $1"
	else
		echo "not ok - $1"
		printf '%s\n' "$2" | sed 's/^/# /'
		status=1
	fi
}

undefined() { # FILE
	nm -u "$1" | awk 'NF == 2 { print $2 }' | sort -u
}

[ -f "$library" ] || { report "$library is there" "$library"; exit 1; }

report "libquire.a needs only mem* and quire_port_*" \
	"$(undefined "$library" | grep -vxE 'mem(cpy|move|set|cmp)|quire_port_[a-z_]+')"

report "libquire.a shows only quire_*" \
	"$(nm --defined-only --extern-only "$library" | awk 'NF == 3 { print $3 }' | grep -v '^quire_')"

# .data.rel.ro is constant but for the addresses in it, which the linker fills in.
# Some processors' compilers call a library for atomic operations on less than a word (riscv64).
report "no atomic is smaller than a word" \
	"$(grep -rnE '_Atomic[ (](bool|char|u?int8_t|u?int16_t|short)(\)| [a-z])' include src)"

report "libquire.a has no data that can be written" \
	"$(objdump -h "$library" | awk '$2 ~ /^\.t?(data|bss)/ && $2 !~ /^\.data\.rel\.ro/ &&
		$3 !~ /^0+$/ { print $2 ": " $3 " bytes" }')"

declared=$(cat include/quire/*.h | grep -oE '\bquire_port_[a-z_]+' | sort -u)
report "every quire_port_* that it needs is declared in port.h" \
	"$(undefined "$library" | grep '^quire_port_' | grep -vxF "$declared")"

defined=$(nm --defined-only --extern-only "$library" | awk 'NF == 3 { print $3 }')
report "every function that a public header declares exists" \
	"$(cat include/quire/*.h | sed 's|^ \*.*||' | grep -v '^static inline' |
		grep -oE '\bquire_[a-z_0-9]+\(' | tr -d '(' | grep -v '^quire_port_' | sort -u |
		grep -vxF "$defined")"

# Each header by itself, for a host that has no C library.
for header in include/quire/*.h; do
	name=${header#include/}
	printf '#include <%s>\nextern int not_empty;\n' "$name" >"$work/header.c"
	report "<$name> compiles by itself, freestanding" \
		"$(gcc -std=c11 -ffreestanding -nostdlib -pedantic -Wall -Wextra -Werror -Iinclude \
			-fsyntax-only "$work/header.c" 2>&1)"
done

# The whole library for a kernel: no floating point or vector registers, no red zone, nothing to
# link with; and for a host of tier 0.
sources="$(find src -name '*.c' -not -path 'src/arch/*') $(find src/arch/x86_64 -name '*.c')"
kernel="-mgeneral-regs-only -mno-red-zone -mcmodel=kernel -fno-pic -fno-stack-protector"
for tier in 0 1; do
	# shellcheck disable=SC2086 # lists of words
	report "the library compiles for a kernel, tier $tier" \
		"$(cd "$work" && gcc -std=c11 -O1 -ffreestanding -nostdlib -r -o "tier$tier.o" $kernel \
			-Wall -Wextra -Werror -DQUIRE_PORT_TIER=$tier -I"$OLDPWD/include" \
			-I"$OLDPWD/src" -I"$OLDPWD/src/arch/x86_64" \
			$(printf "$OLDPWD/%s " $sources) 2>&1)"
done
if [ -f "$work/tier0.o" ]; then
	report "tier 0 needs only quire_port_panic and quire_port_flush" \
		"$(undefined "$work/tier0.o" | grep -vxE 'mem(cpy|move|set|cmp)|quire_port_(panic|flush)')"
fi
exit $status
