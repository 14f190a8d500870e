# SPDX-License-Identifier: MIT
#
#	make            builds into build/: libquire.a, the quire command, tests, examples
#	make run        the tour, on the library and on this kernel; or ARGS="--on both --trace scenarios/x.lua"
#	make test       everything that is checked; ends with "N passed, N failed"
#	make bench      benchmarks, without assertions          ARGS=...
#	make count      what operations cost in locks, flushes, atomics and instructions   ARGS=...
#	make soak       random tests with new seeds, for long   SECONDS=3600
#	make install    PREFIX=/usr/local DESTDIR=
#	make format     clang-format over all C files
#	make clean      removes what was built

PREFIX  ?= /usr/local
SECONDS ?= 3600
ARGS    ?=

.PHONY: all setup run test bench count soak install format clean

all: setup
	@scripts/build.sh default

setup:
	@scripts/setup.sh

run: all
	build/quire run $(or $(ARGS),--trace --on both scenarios/tour.lua)

test:
	@scripts/setup.sh test
	@tests/run.sh

bench: setup
	@scripts/build.sh release
	build-release/quire_bench $(ARGS)

count: setup
	@scripts/build.sh release quire_count
	build-release/quire_count $(ARGS)

soak: setup
	@scripts/build.sh default
	@scripts/build.sh asan-ubsan
	@scripts/build.sh tsan
	@tests/soak.sh $(SECONDS)

install: all
	DESTDIR="$(DESTDIR)" cmake --install build --prefix "$(PREFIX)"

format:
	clang-format -i $$(find src include ports cli bench examples tests -name '*.[ch]')

clean:
	rm -rf build build-release build-clang build-asan-ubsan build-tsan
