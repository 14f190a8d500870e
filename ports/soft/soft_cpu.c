/* SPDX-License-Identifier: MIT */
/*
 * Loads, stores and fetches of a CPU, where the inline functions of soft.h have missed.
 *
 * An access is open from open_access() to soft_end(): the TLB lookup, the walk and the movement of
 * data happen in it, and a flush waits for its end.  A fault is taken outside, since Quire may need
 * locks there that the flusher holds; afterwards the access is made again from its start.
 *
 * Programs may race on guest memory as they do on hardware, so data moves in relaxed atomic cells,
 * the largest that alignment and length allow.
 */
#include "soft_internal.h"

static void open_access(struct soft_cpu *cpu)
{
	if (atomic_load_explicit(&cpu->attention, memory_order_relaxed) & SOFT_FENCE)
		atomic_exchange(&cpu->in_access, 1);
	else
		atomic_store_explicit(&cpu->in_access, 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	soft_flush_drain(cpu);
}

/* Bytes of [address, address + length) in its first page. */
static size_t in_first_page(uint64_t address, size_t length)
{
	uint64_t room = QUIRE_PAGE_SIZE - address % QUIRE_PAGE_SIZE;

	return length < room ? length : (size_t)room;
}

/*
 * Opens an access to [address, address + length), which lies on two pages at most, faulting until
 * it may be made.  With QUIRE_DONE the access is open and place[] says where each page's part is
 * in the direct map; otherwise it is not open.
 */
static struct quire_fault_result begin(struct soft_cpu *cpu, uint64_t address, size_t length,
				       enum quire_access access, unsigned char *place[2])
{
	size_t first = in_first_page(address, length);
	struct quire_fault_result fault;

	if (!cpu->space)
		quire_port_panic(NULL, __FILE__, __LINE__, "a CPU in no space makes an access");
	do {
		uint64_t refused = address;

		open_access(cpu);
		place[0] = soft_tlb_reach(cpu, address, access);
		if (place[0] && first < length) {
			refused = address + first;
			place[1] = soft_tlb_reach(cpu, refused, access);
		}
		if (place[0] && (first == length || place[1]))
			return (struct quire_fault_result){.outcome = QUIRE_DONE};
		soft_end(cpu, 0);
		cpu->counters.faults++;
		fault = quire_fault(cpu->space, refused, access);
	} while (fault.outcome == QUIRE_DONE);
	return fault;
}

static struct soft_result failed(struct quire_fault_result fault)
{
	return (struct soft_result){.outcome = fault.outcome, .code = fault.code};
}

/* --- moving data --- */

/* The largest cell that may begin at `place` and holds no more than `length` bytes. */
static size_t cell_size(const unsigned char *place, size_t length)
{
	size_t size = 8;

	while (size > length || (uintptr_t)place % size)
		size /= 2;
	return size;
}

#define CELL(bits, place) ((soft_cell##bits *)(void *)(place))

static void load_cell(unsigned char *buffer, unsigned char *place, size_t size)
{
	uint64_t cell64;
	uint32_t cell32;
	uint16_t cell16;

	switch (size) {
	case 8:
		cell64 = __atomic_load_n(CELL(64, place), __ATOMIC_RELAXED);
		__builtin_memcpy(buffer, &cell64, 8);
		break;
	case 4:
		cell32 = __atomic_load_n(CELL(32, place), __ATOMIC_RELAXED);
		__builtin_memcpy(buffer, &cell32, 4);
		break;
	case 2:
		cell16 = __atomic_load_n(CELL(16, place), __ATOMIC_RELAXED);
		__builtin_memcpy(buffer, &cell16, 2);
		break;
	default:
		*buffer = __atomic_load_n(place, __ATOMIC_RELAXED);
	}
}

static void store_cell(unsigned char *place, const unsigned char *buffer, size_t size)
{
	uint64_t cell64;
	uint32_t cell32;
	uint16_t cell16;

	switch (size) {
	case 8:
		__builtin_memcpy(&cell64, buffer, 8);
		__atomic_store_n(CELL(64, place), cell64, __ATOMIC_RELAXED);
		break;
	case 4:
		__builtin_memcpy(&cell32, buffer, 4);
		__atomic_store_n(CELL(32, place), cell32, __ATOMIC_RELAXED);
		break;
	case 2:
		__builtin_memcpy(&cell16, buffer, 2);
		__atomic_store_n(CELL(16, place), cell16, __ATOMIC_RELAXED);
		break;
	default:
		__atomic_store_n(place, *buffer, __ATOMIC_RELAXED);
	}
}

static void load_bytes(unsigned char *buffer, unsigned char *place, size_t length)
{
	while (length) {
		size_t size = cell_size(place, length);
		size_t run = size;

		if (size < 8)
			load_cell(buffer, place, size);
		else
			for (run = 0; run + 8 <= length; run += 8)
				load_cell(buffer + run, place + run, 8);
		buffer += run;
		place += run;
		length -= run;
	}
}

static void store_bytes(unsigned char *place, const unsigned char *buffer, size_t length)
{
	while (length) {
		size_t size = cell_size(place, length);
		size_t run = size;

		if (size < 8)
			store_cell(place, buffer, size);
		else
			for (run = 0; run + 8 <= length; run += 8)
				store_cell(place + run, buffer + run, 8);
		buffer += run;
		place += run;
		length -= run;
	}
}

/* --- accesses --- */

struct soft_result soft_load_slow(struct soft_cpu *cpu, uint64_t address, void *buffer,
				  size_t length)
{
	size_t first = in_first_page(address, length);
	unsigned char *bytes = buffer;
	unsigned char *place[2];
	struct quire_fault_result fault = begin(cpu, address, length, QUIRE_READ, place);

	if (fault.outcome != QUIRE_DONE)
		return failed(fault);
	load_bytes(bytes, place[0], first);
	if (first < length)
		load_bytes(bytes + first, place[1], length - first);
	return soft_end(cpu, length);
}

struct soft_result soft_store_slow(struct soft_cpu *cpu, uint64_t address, const void *buffer,
				   size_t length)
{
	size_t first = in_first_page(address, length);
	const unsigned char *bytes = buffer;
	unsigned char *place[2];
	struct quire_fault_result fault = begin(cpu, address, length, QUIRE_WRITE, place);

	if (fault.outcome != QUIRE_DONE)
		return failed(fault);
	store_bytes(place[0], bytes, first);
	if (first < length)
		store_bytes(place[1], bytes + first, length - first);
	return soft_end(cpu, length);
}

struct soft_result soft_load(struct soft_cpu *cpu, uint64_t address, void *buffer, size_t length)
{
	unsigned char *bytes = buffer;
	struct soft_result result = {.outcome = QUIRE_DONE};
	uint64_t done = 0;

	while (done < length && result.outcome == QUIRE_DONE) {
		size_t piece = in_first_page(address + done, length - done);

		result = soft_load_slow(cpu, address + done, bytes + done, piece);
		done += result.done;
	}
	result.done = done;
	return result;
}

struct soft_result soft_store(struct soft_cpu *cpu, uint64_t address, const void *buffer,
			      size_t length)
{
	const unsigned char *bytes = buffer;
	struct soft_result result = {.outcome = QUIRE_DONE};
	uint64_t done = 0;

	while (done < length && result.outcome == QUIRE_DONE) {
		size_t piece = in_first_page(address + done, length - done);

		result = soft_store_slow(cpu, address + done, bytes + done, piece);
		done += result.done;
	}
	result.done = done;
	return result;
}

struct soft_result soft_touch(struct soft_cpu *cpu, uint64_t address, enum quire_access access)
{
	unsigned char *place[2];
	struct quire_fault_result fault = begin(cpu, address, 1, access, place);

	if (fault.outcome != QUIRE_DONE)
		return failed(fault);
	if (access == QUIRE_READ)
		(void)__atomic_load_n(place[0], __ATOMIC_RELAXED);
	else if (access == QUIRE_WRITE)
		__atomic_fetch_or(place[0], 0, __ATOMIC_RELAXED);
	return soft_end(cpu, 1);
}
