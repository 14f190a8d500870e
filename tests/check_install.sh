#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What is installed can be used: the lines that the README prints, run as they stand there, build its
# program and an example on the soft port; and a host of any tier links with the library of its tier.
# All of it from wherever the tree came to be.
set -u
cd "$(dirname "$0")/.." || exit 1
repository=$PWD
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
status=0

report() { # HELD NAME
	if [ "$1" -eq 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2"
		sed 's/^/# /' "$work/log"
		status=1
	fi
}

# The first block of the README that has a line with the text, and the first of that kind of code.
block() { # FENCE TEXT
	awk -v fence="^\`\`\`$1\$" -v text="$2" '
		inside && /^```$/ { if (index(block, text)) { printf "%s", block; exit } inside = 0; next }
		inside { block = block $0 "\n" }
		!inside && $0 ~ fence { inside = 1; block = ""; next }
		!inside && /^```/ { while ((getline line) > 0 && line != "```") ; }' README.md
}

DESTDIR="$work" cmake --install build --prefix /opt/quire >"$work/log" 2>&1 &&
	mv "$work/opt/quire" "$work/elsewhere"
report $? "it installs, and can be moved"
PREFIX=$work/elsewhere
PKG_CONFIG_PATH=$(dirname "$(find "$PREFIX" -name quire-soft.pc)")
export PREFIX PKG_CONFIG_PATH
mkdir "$work/new" && cd "$work/new" || exit 1

# As a reader of the README has it: the program copied from there, the lines typed from there.
readme() { # EXAMPLE PROGRAM-TO-RUN WANT LINES
	[ -n "$4" ] || { echo "the README has no such lines" >"$work/log"; return 1; }
	printf '%s\n' "$4" >"$work/lines"
	bash -e "$work/lines" >"$work/log" 2>&1 && grep -qF "$3" "$work/log"
}
(cd "$repository" && block c quire_port_flush) >embed.c
lines=$(cd "$repository" && block "" quire-tier0\))
readme embed.c ./embed "parent sees p, child sees c" "$lines"
report $? "the README's program builds and runs by the README's lines"
cp "$repository/examples/event_loop.c" .
lines=$(cd "$repository" && block "" quire-soft\))
readme event_loop.c ./event-loop "round 3" "$lines"
report $? "an example on the soft port builds and runs by the README's lines"

# Hosts of the other tiers, that do as little as will link.
cat >host.c <<'END_OF_HOST'
#include <quire/port.h>
#include <quire/quire.h>
#include <stdlib.h>

void quire_port_flush(void *host, const struct quire_flush *flushes, unsigned count)
{
	(void)host, (void)flushes, (void)count;
}
_Noreturn void quire_port_panic(void *host, const char *file, int line, const char *what)
{
	(void)host, (void)file, (void)line, (void)what, abort();
}
#if QUIRE_PORT_TIER >= 1
#define NOTHING(name, type) void quire_port_##name(void *host, type *it) { (void)host, (void)it; }
NOTHING(lock, struct quire_lock)
NOTHING(unlock, struct quire_lock)
NOTHING(read_lock, struct quire_rwlock)
NOTHING(read_unlock, struct quire_rwlock)
NOTHING(write_lock, struct quire_rwlock)
NOTHING(write_unlock, struct quire_rwlock)
NOTHING(wait, _Atomic uint32_t)
NOTHING(wake, _Atomic uint32_t)
struct quire_thread *quire_port_current(void *host) { return host; }
unsigned quire_port_cpu(void *host) { return host != NULL; }
#endif
#if QUIRE_PORT_TIER >= 2
int quire_port_swap_write(void *host, uint64_t slot, const void *page) { return host || !page || slot; }
int quire_port_swap_read(void *host, uint64_t slot, void *page) { return host || !page || slot; }
void quire_port_swap_free(void *host, uint64_t slot) { (void)host, (void)slot; }
#endif

int main(void)
{
	const struct quire_machine_config config = {.memory = aligned_alloc(4096, 1 << 20), .bytes = 1 << 20};
	struct quire_machine *machine;
	struct quire_space *space;

	if (QUIRE_PORT_TIER != TIER || !config.memory || quire_machine_create(&config, &machine) ||
	    quire_space_create(machine, &(struct quire_space_config){0}, &space))
		return 1;
	quire_space_destroy(space);
	return quire_machine_destroy(machine);
}
END_OF_HOST
for tier in 0 1 2; do
	package=quire-tier$tier
	[ $tier -eq 2 ] && package=quire
	# shellcheck disable=SC2046 # a list of words
	gcc -std=c11 -Wall -Wextra -Werror -DTIER=$tier host.c -o host$tier \
		$(pkg-config --cflags --libs $package) >"$work/log" 2>&1 && ./host$tier
	report $? "a host of tier $tier links with $package"
done

"$PREFIX/bin/quire" --version >"$work/log" 2>&1
report $? "the command is installed"
exit $status
