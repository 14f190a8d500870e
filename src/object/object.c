/* SPDX-License-Identifier: MIT */
/*
 * Making and ending objects; shared memory, the kind of object that Quire brings.
 */
#include "object/object.h"

static const struct quire_object_operations shmem_operations;

static struct quire_object *object_new(struct quire_machine *machine, uint64_t size,
				       const struct quire_object_operations *operations,
				       void *context)
{
	struct quire_object *object = slab_alloc(machine, sizeof(*object));

	if (!object)
		return NULL;
	object->machine = machine;
	object->operations = operations;
	object->context = context;
	object->kind = operations == &shmem_operations ? FRAME_SHMEM : FRAME_FILE;
	object->users = 1;
	object->size = size;
	list_init(&object->rmap.vmas);
	machine_lock(machine, &machine->objects_lock);
	list_insert_after(machine->objects.previous, &object->link);
	machine_unlock(machine, &machine->objects_lock);
	return object;
}

int quire_object_create(struct quire_machine *machine, uint64_t size,
			const struct quire_object_operations *operations, void *context,
			struct quire_object **object)
{
	unsigned tries = 0;

	if (size > QUIRE_OBJECT_MAX)
		return -QUIRE_EINVAL;
	do {
		*object = object_new(machine, size, operations, context);
		if (*object && operations->write_page)
			spare_keep(machine);
		if (*object)
			return 0;
	} while (machine_reclaim(machine, &tries));
	return -QUIRE_ENOMEM;
}

int quire_shmem_create(struct quire_machine *machine, uint64_t size, struct quire_object **object)
{
	return quire_object_create(machine, size, &shmem_operations, NULL, object);
}

void quire_object_get(struct quire_object *object)
{
	atomic_fetch_add_explicit(&object->users, 1, memory_order_relaxed);
}

bool object_try_get(struct quire_object *object)
{
	uint64_t users = atomic_load_explicit(&object->users, memory_order_relaxed);

	while (users)
		if (atomic_compare_exchange_weak_explicit(&object->users, &users, users + 1,
							  memory_order_relaxed,
							  memory_order_relaxed))
			return true;
	return false;
}

bool object_unget(struct quire_object *object)
{
	return atomic_fetch_sub_explicit(&object->users, 1, memory_order_acq_rel) == 1;
}

void object_end(struct quire_object *object)
{
	void (*release)(void *context);

	quire_assert(list_empty(&object->rmap.vmas));
	machine_lock(object->machine, &object->machine->objects_lock);
	list_remove(&object->link);
	machine_unlock(object->machine, &object->machine->objects_lock);
	object_drop_pages(object, 0, UINT64_MAX, false);
	/* Whoever found the object through one of its pages has let go of it. */
	machine_lock(object->machine, &object->machine->rmap_lock);
	machine_unlock(object->machine, &object->machine->rmap_lock);
	release = object->device ? object->device->release : object->operations->release;
	if (release)
		release(object->context);
	slab_free(object->machine, object);
}

void quire_object_put(struct quire_object *object)
{
	if (object_unget(object))
		object_end(object);
}

uint64_t quire_object_size(struct quire_object *object)
{
	uint64_t size;

	object_lock(object);
	size = object->size;
	object_unlock(object);
	return size;
}
