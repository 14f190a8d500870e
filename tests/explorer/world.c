/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <string.h>
#include <sys/types.h>

#include "store.h"

#define MACHINE_BYTES MIB
#define LARGE_BYTES   (4 * MIB)

/*
 * All machines lie in the same memory, one after the other: to clear it takes less time than to have
 * it from the host anew (linked with -Wl,--wrap).
 */
static _Alignas(4096) unsigned char arena[MACHINE_BYTES];

void *__real_mmap(void *address, size_t length, int prot, int flags, int file, off_t offset);
void *__wrap_mmap(void *address, size_t length, int prot, int flags, int file, off_t offset);
int __real_munmap(void *address, size_t length);
int __wrap_munmap(void *address, size_t length);

void *__wrap_mmap(void *address, size_t length, int prot, int flags, int file, off_t offset)
{
	if (length != MACHINE_BYTES)
		return __real_mmap(address, length, prot, flags, file, offset);
	return memset(arena, 0, sizeof(arena));
}

int __wrap_munmap(void *address, size_t length)
{
	return address == arena ? 0 : __real_munmap(address, length);
}

/* --- kinds of memory --- */

static void load_all(struct world *world, struct quire_space *space)
{
	uint64_t value;

	soft_cpu_enter(world->judge, space);
	for (unsigned i = 0; i < PAGES; i++)
		must(soft_load64(world->judge, world->page[i], &value).outcome == QUIRE_DONE);
}

static void nothing(struct world *world)
{
	(void)world;
}

static void read_all(struct world *world)
{
	load_all(world, world->space[0]);
}

static void both_read_all(struct world *world)
{
	load_all(world, world->space[0]);
	load_all(world, world->space[1]);
}

static void write_all(struct world *world)
{
	soft_cpu_enter(world->judge, world->space[0]);
	for (unsigned i = 0; i < PAGES; i++)
		must(soft_store64(world->judge, world->page[i], VALUE_INITIAL + i).outcome ==
		     QUIRE_DONE);
}

static void share(struct world *world)
{
	write_all(world);
	must(!quire_fork(world->space[0], &world->space[1]));
}

static void advise(struct world *world, int advice)
{
	must(!quire_madvise(world->space[0], BASE, world->length, advice));
}

static void page_out(struct world *world)
{
	write_all(world);
	advise(world, QUIRE_MADV_PAGEOUT);
	must(entry_of(world->space[0], world->page[TARGET]).kind == QUIRE_ENTRY_SWAP);
}

/* Pages that several processes map go by the clock alone. */
static void reclaim_all(struct world *world)
{
	struct quire_machine_counters counters;

	for (unsigned i = 0; i < 16; i++)
		quire_reclaim(world->machine, 64);
	quire_machine_count(world->machine, &counters);
	must(!counters.frames_shmem && !counters.frames_file);
	must(entry_of(world->space[0], world->page[TARGET]).kind != QUIRE_ENTRY_LEAF);
}

static void share_paged_out(struct world *world)
{
	share(world);
	reclaim_all(world);
}

static void swap_cache(struct world *world)
{
	store_refuse(true);
	page_out(world);
	store_refuse(false);
}

static void swap_cache_refused(struct world *world)
{
	store_refuse(true);
	page_out(world);
}

static void share_swap_cache(struct world *world)
{
	store_refuse(true);
	share(world);
	for (unsigned i = 0;
	     i < 16 && entry_of(world->space[0], world->page[TARGET]).kind != QUIRE_ENTRY_SWAP; i++)
		quire_reclaim(world->machine, 64);
	store_refuse(false);
	must(entry_of(world->space[0], world->page[TARGET]).kind == QUIRE_ENTRY_SWAP);
}

static void swapped_in(struct world *world)
{
	page_out(world);
	read_all(world);
}

static void share_swapped_in(struct world *world)
{
	share_paged_out(world);
	both_read_all(world);
}

static void give_up(struct world *world)
{
	write_all(world);
	advise(world, QUIRE_MADV_FREE);
}

static void share_swapped_in_given_up(struct world *world)
{
	share_swapped_in(world);
	advise(world, QUIRE_MADV_FREE);
}

static void lock_all(struct world *world)
{
	write_all(world);
	must(!quire_mlock(world->space[0], BASE, world->length));
}

static void guard_target(struct world *world)
{
	write_all(world);
	must(!quire_madvise(world->space[0], world->page[TARGET], PAGE, QUIRE_MADV_GUARD_INSTALL));
}

static void pin_all(struct world *world)
{
	write_all(world);
	world->pin = (struct quire_pin){
		.address = BASE, .length = world->length, .frames = world->frames};
	must(!quire_pin(world->space[0], &world->pin));
}

static void write_file(struct world *world)
{
	size_t done;

	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t value = VALUE_INITIAL + i;

		must(!quire_object_write(world->object, world->page[i] - BASE, &value,
					 sizeof(value), &done));
	}
}

static void write_file_read_all(struct world *world)
{
	write_file(world);
	read_all(world);
}

static void write_all_both_read(struct world *world)
{
	write_all(world);
	load_all(world, world->space[1]);
}

static void write_all_reclaim(struct world *world)
{
	write_all_both_read(world);
	soft_cpu_leave(world->judge);
	reclaim_all(world);
}

static void shmem_swapped_in(struct world *world)
{
	write_all_reclaim(world);
	both_read_all(world);
}

static void share_private_copies(struct world *world)
{
	write_file(world);
	write_all(world);
}

/* One page is a copy, the others the device's. */
static void share_private_pages(struct world *world)
{
	read_all(world);
	must(soft_store64(world->judge, world->page[0], VALUE_INITIAL).outcome == QUIRE_DONE);
}

const struct memory memories[] = {
	{.name = "anon-absent", .prepare = nothing},
	{.name = "anon-zero", .rare = true, .prepare = read_all},
	{.name = "anon", .prepare = write_all},
	{.name = "anon-shared", .shared = true, .prepare = share},
	{.name = "anon-swap", .prepare = page_out},
	{.name = "anon-swap-shared", .rare = true, .shared = true, .prepare = share_paged_out},
	{.name = "anon-cached", .rare = true, .prepare = swap_cache},
	{.name = "anon-cached-refused", .rare = true, .prepare = swap_cache_refused},
	{.name = "anon-cached-shared", .rare = true, .shared = true, .prepare = share_swap_cache},
	{.name = "anon-swapped-in", .rare = true, .prepare = swapped_in},
	{.name = "anon-swapped-in-shared", .shared = true, .prepare = share_swapped_in},
	{.name = "anon-free", .given_up = true, .rare = true, .prepare = give_up},
	{.name = "anon-free-shared", .shared = true, .prepare = share_swapped_in_given_up},
	{.name = "anon-locked", .locked = true, .rare = true, .prepare = lock_all},
	{.name = "anon-guarded", .rare = true, .prepare = guard_target},
	{.name = "anon-pinned", .rare = true, .pinned = true, .prepare = pin_all},
	{.name = "anon-large", .rare = true, .large = true, .prepare = nothing},
	{.name = "shmem-absent", .kind = SHMEM, .hollow = true, .shared = true, .prepare = nothing},
	{.name = "shmem-unmapped",
	 .rare = true,
	 .kind = SHMEM,
	 .shared = true,
	 .prepare = write_file},
	{.name = "shmem", .kind = SHMEM, .shared = true, .prepare = write_all_both_read},
	{.name = "shmem-alone",
	 .rare = true,
	 .kind = SHMEM,
	 .shared = true,
	 .no_fault_around = true,
	 .prepare = write_file_read_all},
	{.name = "shmem-swap", .kind = SHMEM, .shared = true, .prepare = write_all_reclaim},
	{.name = "shmem-swap-reported",
	 .rare = true,
	 .kind = SHMEM,
	 .shared = true,
	 .report_swapped = true,
	 .prepare = write_all_reclaim},
	{.name = "shmem-swapped-in",
	 .rare = true,
	 .kind = SHMEM,
	 .shared = true,
	 .prepare = shmem_swapped_in},
	{.name = "shmem-strict",
	 .rare = true,
	 .kind = SHMEM,
	 .shared = true,
	 .strict_written = true,
	 .prepare = write_all_both_read},
	{.name = "shmem-large",
	 .rare = true,
	 .kind = SHMEM,
	 .hollow = true,
	 .shared = true,
	 .large = true,
	 .report_swapped = true,
	 .prepare = nothing},
	{.name = "shmem-private",
	 .kind = SHMEM,
	 .private = true,
	 .shared = true,
	 .prepare = write_file_read_all},
	{.name = "shmem-private-absent",
	 .rare = true,
	 .kind = SHMEM,
	 .hollow = true,
	 .private = true,
	 .shared = true,
	 .prepare = nothing},
	{.name = "shmem-private-own",
	 .rare = true,
	 .kind = SHMEM,
	 .private = true,
	 .shared = true,
	 .prepare = share_private_copies},
	{.name = "file", .kind = HOST_OBJECT, .hollow = true, .shared = true, .prepare = nothing},
	{.name = "file-read",
	 .rare = true,
	 .kind = HOST_OBJECT,
	 .shared = true,
	 .prepare = both_read_all},
	{.name = "file-written",
	 .rare = true,
	 .kind = HOST_OBJECT,
	 .shared = true,
	 .prepare = write_all_both_read},
	{.name = "file-private",
	 .rare = true,
	 .kind = HOST_OBJECT,
	 .hollow = true,
	 .private = true,
	 .shared = true,
	 .prepare = read_all},
	{.name = "dax-absent",
	 .rare = true,
	 .kind = DEVICE,
	 .device = QUIRE_DEVICE_DAX,
	 .shared = true,
	 .prepare = nothing},
	{.name = "dax",
	 .kind = DEVICE,
	 .device = QUIRE_DEVICE_DAX,
	 .shared = true,
	 .prepare = write_all_both_read},
	{.name = "fsdax-absent",
	 .kind = DEVICE,
	 .device = QUIRE_DEVICE_FSDAX,
	 .shared = true,
	 .prepare = nothing},
	{.name = "fsdax",
	 .kind = DEVICE,
	 .device = QUIRE_DEVICE_FSDAX,
	 .shared = true,
	 .prepare = write_all_both_read},
	{.name = "fsdax-private",
	 .kind = DEVICE,
	 .device = QUIRE_DEVICE_FSDAX,
	 .private = true,
	 .shared = true,
	 .prepare = read_all},
	{.name = "pfn",
	 .kind = DEVICE,
	 .device = QUIRE_DEVICE_PFN,
	 .shared = true,
	 .prepare = write_all_both_read},
	{.name = "pfn-private",
	 .rare = true,
	 .kind = DEVICE,
	 .device = QUIRE_DEVICE_PFN,
	 .private = true,
	 .shared = true,
	 .prepare = share_private_pages},
};
const unsigned memory_count = sizeof(memories) / sizeof(memories[0]);

/* --- registrations --- */

#define MODE(name) QUIRE_UFFDIO_REGISTER_MODE_##name
#define HAS(name)  QUIRE_UFFD_FEATURE_##name
#define EVENTS	   (HAS(EVENT_FORK) | HAS(EVENT_REMAP) | HAS(EVENT_REMOVE) | HAS(EVENT_UNMAP))
#define KINDS	   (HAS(MISSING_SHMEM) | HAS(MINOR_SHMEM) | HAS(WP_HUGETLBFS_SHMEM))

const struct registration registrations[] = {
	{"none", 0, 0, false, false},
	{"missing", MODE(MISSING), 0, false, true},
	{"missing-sigbus", MODE(MISSING), HAS(SIGBUS), false, true},
	{"wp", MODE(WP), HAS(WP_UNPOPULATED), true, false},
	{"wp-open", MODE(WP), 0, false, true},
	{"missing-wp", MODE(MISSING) | MODE(WP), HAS(WP_UNPOPULATED), true, false},
	{"wp-sigbus", MODE(WP), HAS(WP_UNPOPULATED) | HAS(SIGBUS), true, true},
	{"minor", MODE(MINOR), 0, false, true},
	{"minor-sigbus", MODE(MINOR), HAS(SIGBUS), false, true},
	{"minor-wp", MODE(MINOR) | MODE(WP), HAS(WP_UNPOPULATED), true, true},
	{"async", MODE(WP), HAS(WP_ASYNC), true, false},
	{"events", MODE(MISSING) | MODE(WP), EVENTS | HAS(WP_UNPOPULATED), true, true},
	{"events-missing", MODE(MISSING), EVENTS, false, true},
};
const unsigned registration_count = sizeof(registrations) / sizeof(registrations[0]);

static bool register_range(struct world *world, uint64_t start, uint64_t length, uint64_t mode)
{
	struct quire_uffdio_register request = {.range = {start, length}, .mode = mode};

	return !quire_userfault_ioctl(world->context, QUIRE_UFFDIO_REGISTER, &request, NULL);
}

static bool set_up_context(struct world *world)
{
	const struct registration *how = world->registration;
	struct quire_uffdio_api api = {.api = QUIRE_UFFD_API, .features = how->features | KINDS};
	struct quire_uffdio_writeprotect protect = {.range = {BASE, world->length},
						    .mode = QUIRE_UFFDIO_WRITEPROTECT_MODE_WP};

	if (how->features & HAS(WP_ASYNC))
		api.features |= HAS(WP_UNPOPULATED);
	must(!quire_userfault_open(world->space[0], &(struct quire_userfault_config){0},
				   &world->context));
	must(!quire_userfault_ioctl(world->context, QUIRE_UFFDIO_API, &api, NULL));
	if (!how->mode)
		return true;
	if (!register_range(world, BASE, world->length, how->mode))
		return false;
	if (how->mode != MODE(MINOR))
		must(register_range(world, HOLE, 2 * PAGE, how->mode & ~MODE(MINOR)));
	if (how->protect)
		must(!quire_userfault_ioctl(world->context, QUIRE_UFFDIO_WRITEPROTECT, &protect,
					    NULL));
	return true;
}

/* --- all of it --- */

struct quire_entry_report entry_of(struct quire_space *space, uint64_t address)
{
	struct quire_entry_report entry;

	must(!quire_entry(space, address, &entry));
	return entry;
}

static void map_region(struct world *world, struct quire_space *space, bool private)
{
	uint64_t result;
	int flags = private ? QUIRE_MAP_PRIVATE : QUIRE_MAP_SHARED;
	int prot = world->memory->device == QUIRE_DEVICE_PFN ? RWX & ~QUIRE_PROT_EXEC : RWX;

	if (world->object)
		must(!quire_mmap_object(space, BASE, world->length, prot, flags | QUIRE_MAP_FIXED,
					world->object, 0, &result));
	else
		must(!quire_mmap(space, BASE, world->length, RWX, PRIVATE, &result));
}

static void map_places_for_move(struct world *world)
{
	uint64_t result;

	must(!quire_mmap(world->space[0], SOURCE, 2 * PAGE, RWX, PRIVATE, &result));
	must(!quire_mmap(world->space[0], HOLE, 2 * PAGE, RWX, PRIVATE, &result));
	soft_cpu_enter(world->judge, world->space[0]);
	for (unsigned i = 0; i < 2; i++)
		must(soft_store64(world->judge, SOURCE + i * PAGE, VALUE_SOURCE + i).outcome ==
		     QUIRE_DONE);
}

static void open_machine(struct world *world)
{
	const struct memory *memory = world->memory;
	struct soft_config config = {
		.memory = MACHINE_BYTES,
		.cpus = ACTORS + 1,
		.commit_limit = 64 * MIB,
		.swap = store_open(),
		.strict_written = memory->strict_written,
		.report_swapped = memory->report_swapped,
		.no_fault_around = memory->no_fault_around,
	};

	must(!soft_machine_open(&config, &world->soft));
	world->machine = soft_machine_core(world->soft);
	world->judge = soft_machine_cpu(world->soft, ACTORS);
	for (unsigned i = 0; i < ACTORS; i++) {
		world->actor[i].world = world;
		world->actor[i].number = i;
		world->actor[i].cpu = soft_machine_cpu(world->soft, i);
		world->actor[i].thread.id = i + 1;
	}
}

static void make_object(struct world *world)
{
	file_reset(VALUE_INITIAL);
	if (world->memory->kind == SHMEM)
		must(!quire_shmem_create(world->machine, world->length, &world->object));
	if (world->memory->kind == DEVICE) {
		must(!quire_device_memory_add(world->machine, DEVICE_FRAME, DEVICE_PAGES,
					      device_reset()));
		must(!quire_device_create(world->machine, world->length,
					  device_operations(world->memory->device), NULL,
					  &world->object));
	}
	if (world->memory->kind == HOST_OBJECT)
		must(!quire_object_create(world->machine, world->length, &file_operations, NULL,
					  &world->object));
}

bool world_open(struct world *world, const struct memory *memory,
		const struct registration *registration)
{
	static const struct quire_space_config config = {.lowest = 16 * PAGE};
	bool large = memory->large || memory->kind == DEVICE;
	uint64_t first;
	bool registered;

	memset(world, 0, sizeof(*world));
	world->memory = memory;
	world->registration = registration;
	world->length = large ? LARGE_BYTES : PAGES * PAGE;
	first = large ? 300 * PAGE : PAGE;
	world->page[0] = BASE;
	world->page[1] = BASE + first;
	world->page[2] = BASE + first + PAGE;
	world->page[3] = BASE + world->length - PAGE;
	if (memory->large && !registration->protect)
		return false;
	open_machine(world);
	must(!quire_space_create(world->machine, &config, &world->space[0]));
	make_object(world);
	map_region(world, world->space[0], memory->private);
	if (world->object) {
		must(!quire_space_create(world->machine, &config, &world->space[1]));
		map_region(world, world->space[1], false);
	}
	memory->prepare(world);
	map_places_for_move(world);
	registered = set_up_context(world);
	soft_cpu_leave(world->judge);
	if (!registered)
		must(!world_close(world));
	return registered;
}

void world_enter(struct world *world, struct soft_cpu *cpu, struct quire_space *space)
{
	uint64_t value;

	soft_cpu_enter(cpu, space);
	for (unsigned i = 0; i < PAGES; i++)
		if (entry_of(space, world->page[i]).kind == QUIRE_ENTRY_LEAF)
			soft_load64(cpu, world->page[i], &value);
	if (entry_of(space, SOURCE).kind == QUIRE_ENTRY_LEAF)
		soft_load64(cpu, SOURCE, &value);
}

void world_leave(struct world *world, struct quire_space *space)
{
	for (unsigned i = 0; i < soft_machine_cpus(world->soft); i++)
		if (soft_cpu_space(soft_machine_cpu(world->soft, i)) == space)
			soft_cpu_leave(soft_machine_cpu(world->soft, i));
}

static void close_space(struct world *world, struct quire_space *space)
{
	if (!space)
		return;
	world_leave(world, space);
	quire_space_destroy(space);
}

int world_close(struct world *world)
{
	for (unsigned i = 0; i < ACTORS; i++)
		if (world->actor[i].pin.count)
			quire_unpin(world->machine, &world->actor[i].pin, false);
	if (world->pin.count)
		quire_unpin(world->machine, &world->pin, true);
	for (unsigned i = 0; i < world->child_count; i++)
		quire_userfault_close(world->children[i]);
	if (world->context)
		quire_userfault_close(world->context);
	close_space(world, world->space[0]);
	close_space(world, world->space[1]);
	for (unsigned i = 0; i < ACTORS; i++)
		close_space(world, world->actor[i].made);
	if (world->object)
		quire_object_put(world->object);
	return soft_machine_close(world->soft);
}
