/* SPDX-License-Identifier: MIT */
/*
 * mmap.
 *
 * Refusals come in the order in which Linux has them: the length, the number of VMAs, the place,
 * the kind of mapping, the amount.  What a fixed address covers is taken out in the same unit of
 * work: if the mapping cannot be made, it is all still there.
 */
#include "space/vma.h"

/* A mapping type of Linux that the public header does not offer. */
#define MAP_DROPPABLE 0x08
/* What MAP_SHARED_VALIDATE lets pass. */
#define VALIDATED_FLAGS 0xfc1fff77

struct mapping {
	uint64_t address; /* asked for */
	uint64_t length;
	int prot, flags;	     /* QUIRE_PROT_*, QUIRE_MAP_* */
	struct quire_object *object; /* NULL: private anonymous memory */
	uint64_t index;		     /* in the object: of the first page */
	uint64_t vma_flags;
	uint64_t result; /* where it came to be */
	struct event_chain events;
};

static bool is_shared(int flags)
{
	int type = flags & QUIRE_MAP_TYPE;

	return type == QUIRE_MAP_SHARED || type == QUIRE_MAP_SHARED_VALIDATE;
}

/* What drivers make of them: nothing of a device is locked, and a window is no memory. */
static uint64_t device_flags(uint64_t flags, enum quire_device_kind kind)
{
	flags &= ~VMA_LOCKED;
	if (kind != QUIRE_DEVICE_PFN)
		return flags | VMA_HUGEPAGE;
	return (flags & ~VMA_MAYEXEC) | VMA_PFNMAP | VMA_IO | VMA_DONTEXPAND | VMA_DONTDUMP;
}

static uint64_t flags_for(const struct quire_space *space, int prot, int flags,
			  const struct quire_object *object)
{
	uint64_t result = vma_protection(space, prot) | VMA_MAYREAD | VMA_MAYWRITE | VMA_MAYEXEC;

	if (flags & QUIRE_MAP_NORESERVE)
		result |= VMA_NORESERVE;
	else if ((prot & QUIRE_PROT_WRITE) && !is_shared(flags))
		result |= VMA_ACCOUNT;
	if (is_shared(flags))
		result |= VMA_MAYSHARE | VMA_SHARED;
	/* What cannot be written to through any mapping is as good as private. */
	if (is_shared(flags) && object && object->operations->read_only)
		result &= ~(VMA_SHARED | VMA_MAYWRITE);
	if (flags & QUIRE_MAP_LOCKED)
		result |= VMA_LOCKED;
	if (flags & QUIRE_MAP_STACK)
		result |= VMA_NOHUGEPAGE;
	return object && object->device ? device_flags(result, object->device->kind) : result;
}

/* Whether a device can be. */
static int check_device(const struct mapping *mapping)
{
	const struct quire_device_operations *device = mapping->object->device;
	uint64_t inside = table_span(device->level) - 1;

	if (device->kind == QUIRE_DEVICE_PFN && (mapping->prot & QUIRE_PROT_EXEC))
		return -QUIRE_EPERM;
	if (device->kind != QUIRE_DEVICE_DAX)
		return 0;
	if (!is_shared(mapping->flags) || (mapping->result & inside) || (mapping->length & inside))
		return -QUIRE_EINVAL;
	/* Linux puts it where its address is as misaligned, and does not find it fit then. */
	if (!mapping->address &&
	    !(mapping->flags & (QUIRE_MAP_FIXED | QUIRE_MAP_FIXED_NOREPLACE)) &&
	    ((mapping->index << PAGE_SHIFT) & inside))
		return -QUIRE_EINVAL;
	return 0;
}

/* Whether an object can be mapped so. */
static int check_object(const struct mapping *mapping, int prot)
{
	/* Whole pages of what an object can have; this comes before every question of kind. */
	if (mapping->index + (mapping->length >> PAGE_SHIFT) > QUIRE_OBJECT_MAX >> PAGE_SHIFT)
		return -QUIRE_EOVERFLOW;
	if ((mapping->flags & QUIRE_MAP_TYPE) == QUIRE_MAP_SHARED_VALIDATE &&
	    ((unsigned)mapping->flags & ~VALIDATED_FLAGS))
		return -QUIRE_EOPNOTSUPP;
	if (is_shared(mapping->flags) && (prot & QUIRE_PROT_WRITE) &&
	    mapping->object->operations->read_only)
		return -QUIRE_EACCES;
	if (mapping->flags & QUIRE_MAP_GROWSDOWN)
		return -QUIRE_EINVAL;
	return mapping->object->device ? check_device(mapping) : 0;
}

/* Whether this kind of memory exists, and here. */
static int check_kind(const struct mapping *mapping)
{
	int flags = mapping->flags;

	switch (flags & QUIRE_MAP_TYPE) {
	case QUIRE_MAP_PRIVATE:
		break;
	case QUIRE_MAP_SHARED:
		if (flags & QUIRE_MAP_GROWSDOWN)
			return -QUIRE_EINVAL;
		break;
	case QUIRE_MAP_SHARED_VALIDATE:
		if (!mapping->object || (flags & QUIRE_MAP_ANONYMOUS))
			return -QUIRE_EINVAL;
		break;
	case MAP_DROPPABLE:
		return flags & QUIRE_MAP_GROWSDOWN ? -QUIRE_EINVAL : -QUIRE_ENOSYS;
	default:
		return -QUIRE_EINVAL;
	}
	if (flags & (QUIRE_MAP_GROWSDOWN | QUIRE_MAP_HUGETLB))
		return mapping->object && mapping->object->device ? -QUIRE_EINVAL : -QUIRE_ENOSYS;
	if (mapping->object && !(flags & QUIRE_MAP_ANONYMOUS))
		return check_object(mapping, mapping->prot);
	return 0;
}

/* Pages of [start, end) that are accounted for already. */
static uint64_t accounted(const struct quire_space *space, uint64_t start, uint64_t end)
{
	uint64_t pages = 0;

	for (const struct vma *vma = vma_find(space, start); vma && vma->start < end;
	     vma = vma_next(vma))
		if (vma->flags & VMA_ACCOUNT)
			pages +=
				(min_u64(vma->end, end) - max_u64(vma->start, start)) >> PAGE_SHIFT;
	return pages;
}

static int check_amount(const struct quire_space *space, const struct mapping *mapping)
{
	uint64_t pages = mapping->length >> PAGE_SHIFT, there;

	if (!(mapping->vma_flags & VMA_ACCOUNT)) {
		/* Shared anonymous memory is accounted for with its object. */
		bool counts = (mapping->flags & QUIRE_MAP_ANONYMOUS) && mapping->object &&
			      !(mapping->flags & QUIRE_MAP_NORESERVE);

		return counts && commit_refused(space, pages) ? -QUIRE_ENOMEM : 0;
	}
	there = accounted(space, mapping->result, mapping->result + mapping->length);
	return commit_refused(space, pages - there) ? -QUIRE_ENOMEM : 0;
}

static int check(struct quire_space *space, struct mapping *mapping)
{
	int error;

	if (space->vma_count > space->machine->max_maps)
		return -QUIRE_ENOMEM;
	error = place_mapping(space, mapping->address, mapping->length, mapping->flags,
			      mapping->object, mapping->index, &mapping->result);
	if (!error)
		error = check_kind(mapping);
	if (!error)
		error = check_amount(space, mapping);
	return error;
}

static void commit(struct quire_space *space, const struct mapping *mapping,
		   struct removal *removal, struct vma *vma)
{
	struct gather gather;

	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_UNMAP);
	removal_commit(space, removal, &gather);
	gather_end(&gather);
	vma->start = mapping->result;
	vma->end = mapping->result + mapping->length;
	vma->index = mapping->object ? mapping->index : vma->start >> PAGE_SHIFT;
	vma_set_object(vma, mapping->object);
	/* At a given address a page of its own size may be named by its middle (as on Linux). */
	vma->index -= vma->index % (vma_page_size(vma) >> PAGE_SHIFT);
	vma->flags = mapping->vma_flags;
	vma_link(space, vma);
	vma_merge(space, vma);
}

static int map(struct quire_space *space, struct mapping *mapping)
{
	struct removal removal = {0};
	struct vma *vma;
	int error = check(space, mapping);

	if (error)
		return error;
	removal.start = mapping->result;
	removal.end = mapping->result + mapping->length;
	error = events_unmap(space, removal.start, removal.end, &mapping->events);
	if (!error)
		error = removal_prepare(space, &removal);
	if (error) {
		events_abandon(space, &mapping->events);
		return error;
	}
	vma = vma_new(space);
	if (!vma) {
		removal_abandon(space, &removal);
		events_abandon(space, &mapping->events);
		return -NO_FRAMES;
	}
	commit(space, mapping, &removal, vma);
	return 0;
}

static bool populates(int flags)
{
	if (flags & QUIRE_MAP_LOCKED)
		return true;
	return (flags & QUIRE_MAP_POPULATE) && !(flags & QUIRE_MAP_NONBLOCK);
}

static int map_and_reclaim(struct quire_space *space, struct mapping *mapping)
{
	unsigned tries = 0;
	int error;

	do {
		space_write_lock(space);
		error = map(space, mapping);
		space_write_unlock(space);
	} while (error == -NO_FRAMES && space_reclaim(space, &tries));
	return public_error(error);
}

static int map_and_tell(struct quire_space *space, struct mapping *mapping,
			const struct quire_call *call)
{
	int error = map_and_reclaim(space, mapping);

	return events_tell(space, call, &mapping->events, error, mapping->result, NULL);
}

/* Shared anonymous memory is an object that nobody else knows. */
static int map_shared_anonymous(struct quire_space *space, struct mapping *mapping,
				const struct quire_call *call)
{
	int error;

	/* More than an address space has: before there is an object of that size. */
	if (mapping->length > space->highest)
		return -QUIRE_ENOMEM;
	error = quire_shmem_create(space->machine, mapping->length, &mapping->object);
	if (error)
		return error;
	mapping->object->anonymous = true;
	error = map_and_tell(space, mapping, call);
	quire_object_put(mapping->object);
	return error;
}

static int map_anywhere(struct quire_space *space, struct mapping *mapping,
			const struct quire_call *call, uint64_t *result)
{
	bool creates = !mapping->object && (mapping->flags & QUIRE_MAP_TYPE) == QUIRE_MAP_SHARED;
	void *nothing;
	int error;

	if (mapping->length == 0)
		return -QUIRE_ENOMEM;
	if (QUIRE_MISTAKE(MMAP_CREATES_FIRST) && creates &&
	    quire_shmem_create(space->machine, mapping->length, &mapping->object))
		return -QUIRE_ENOMEM;
	if (call_resumes(space, call))
		error = events_resume(space, call, &mapping->result, &nothing);
	else if (creates)
		error = map_shared_anonymous(space, mapping, call);
	else
		error = map_and_tell(space, mapping, call);
	if (error)
		return error;
	/* That memory does not last is no error here: what is missing faults in when it is used. */
	if (populates(mapping->flags))
		error = populate_further(space, call, mapping->result,
					 mapping->result + mapping->length, mapping->result);
	if (!error)
		*result = mapping->result;
	return error;
}

static uint64_t pack(int prot, int flags)
{
	return (uint64_t)(uint32_t)prot << 32 | (uint32_t)flags;
}

int quire_mmap(struct quire_space *space, uint64_t address, uint64_t length, int prot, int flags,
	       uint64_t *result)
{
	struct mapping mapping = {
		.address = address,
		.length = page_up(length),
		.prot = prot,
		.flags = flags,
		.vma_flags = flags_for(space, prot, flags, NULL),
	};
	const struct quire_call call = {
		QUIRE_CALL_MMAP, space, {address, length, pack(prot, flags)}};

	if (length == 0)
		return -QUIRE_EINVAL;
	if (!(flags & QUIRE_MAP_ANONYMOUS))
		return -QUIRE_EBADF;
	return map_anywhere(space, &mapping, &call, result);
}

int quire_map_shadow_stack(struct quire_space *space, uint64_t address, uint64_t length,
			   uint64_t *result)
{
	const int prot = QUIRE_PROT_READ | QUIRE_PROT_WRITE;
	const int flags =
		QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | (address ? QUIRE_MAP_FIXED_NOREPLACE : 0);
	struct mapping mapping = {
		.address = address,
		.length = page_up(length),
		.prot = prot,
		.flags = flags,
		.vma_flags = flags_for(space, prot, flags, NULL) | VMA_SHADOW_STACK,
	};
	const struct quire_call call = {
		QUIRE_CALL_MMAP, space, {address, length, pack(prot, flags), 1}};

	if (length == 0)
		return -QUIRE_EINVAL;
	return map_anywhere(space, &mapping, &call, result);
}

int quire_mmap_object(struct quire_space *space, uint64_t address, uint64_t length, int prot,
		      int flags, struct quire_object *object, uint64_t offset, uint64_t *result)
{
	struct mapping mapping = {
		.address = address,
		.length = page_up(length),
		.prot = prot,
		.flags = flags & ~QUIRE_MAP_ANONYMOUS,
		.object = object,
		.index = offset >> PAGE_SHIFT,
		.vma_flags = flags_for(space, prot, flags, object),
	};
	const struct quire_call call = {
		QUIRE_CALL_MMAP_OBJECT,
		space,
		{address, length, pack(prot, flags), (uintptr_t)object, offset}};

	if (!page_aligned(offset) || length == 0)
		return -QUIRE_EINVAL;
	return map_anywhere(space, &mapping, &call, result);
}
