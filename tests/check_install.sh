#!/bin/sh
# SPDX-License-Identifier: MIT
# What is installed can be used: a program finds the headers and the library by pkg-config, from
# wherever the tree came to be, and runs.
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

cat >"$work/program.c" <<'END'
#include <quire/quire.h>
#include <soft.h>
#include <stdio.h>

int main(void)
{
	const struct soft_config config = {.memory = 16 << 20, .cpus = 1};
	struct soft_machine *machine;
	struct quire_space *space;
	uint64_t page, value = 0;

	if (soft_machine_open(&config, &machine) ||
	    quire_space_create(soft_machine_core(machine), &(struct quire_space_config){0}, &space) ||
	    quire_mmap(space, 0, 4096, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
		       QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, &page))
		return 1;
	soft_cpu_enter(soft_machine_cpu(machine, 0), space);
	soft_store64(soft_machine_cpu(machine, 0), page, 42);
	soft_load64(soft_machine_cpu(machine, 0), page, &value);
	soft_cpu_leave(soft_machine_cpu(machine, 0));
	quire_space_destroy(space);
	printf("%d\n", (int)value);
	return soft_machine_close(machine);
}
END

use() {
	DESTDIR="$work" cmake --install build --prefix /opt/quire &&
		mv "$work/opt/quire" "$work/elsewhere" || return 1
	directory=$(dirname "$(find "$work/elsewhere" -name quire-soft.pc)")
	flags=$(PKG_CONFIG_PATH=$directory pkg-config --cflags --libs quire-soft) || return 1
	# shellcheck disable=SC2086 # a list of words
	gcc -std=c11 -Wall -Wextra -Werror "$work/program.c" -o "$work/program" $flags &&
		[ "$("$work/program")" = 42 ] && "$work/elsewhere/bin/quire" --version
}

if use >"$work/log" 2>&1; then
	echo "ok - a program uses what is installed"
else
	echo "not ok - a program uses what is installed"
	sed 's/^/# /' "$work/log"
	exit 1
fi
