/* SPDX-License-Identifier: MIT */
/*
 * The quire target's files: shared memory objects of the library, and devices (library_device.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "library_target.h"

struct file {
	struct target *target;
	struct quire_object *object;
	struct device *device; /* what reads and writes it; NULL: the library */
	struct file *next;     /* open files of the target */
};

struct file *library_file(struct target *target, struct quire_object *object, struct device *device)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		target_fail("quire: the host is out of memory");
	*file = (struct file){
		.target = target, .object = object, .device = device, .next = target->files};
	target->files = file;
	return file;
}

struct file *library_file_shmem(struct target *target, uint64_t size)
{
	struct quire_object *object;
	int error = quire_shmem_create(soft_machine_core(target->machine), size, &object);

	if (error) {
		errno = -error;
		return NULL;
	}
	return library_file(target, object, NULL);
}

static bool awaited(const struct file *file)
{
	for (struct process *process = file->target->processes; process; process = process->next)
		for (struct thread *thread = process->threads; thread; thread = thread->next)
			if (thread->pending && thread->pending->file == file)
				return true;
	return false;
}

/* A call that sleeps will be made with it again; then it is closed with the target. */
void library_file_close(struct file *file)
{
	struct file **link = &file->target->files;

	if (awaited(file))
		return;
	while (*link != file)
		link = &(*link)->next;
	*link = file->next;
	quire_object_put(file->object);
	free(file);
}

struct quire_object *library_file_object(struct file *file)
{
	return file->object;
}

int library_file_write(struct file *file, uint64_t offset, const void *bytes, size_t length,
		       size_t *done)
{
	if (file->device)
		return library_device_write(file->device, offset, bytes, length, done);
	return -quire_object_write(file->object, offset, bytes, length, done);
}

int library_file_read(struct file *file, uint64_t offset, void *bytes, size_t length, size_t *done)
{
	if (file->device)
		return library_device_read(file->device, offset, bytes, length, done);
	return -quire_object_read(file->object, offset, bytes, length, done);
}

int library_file_truncate(struct file *file, uint64_t size)
{
	return -quire_object_truncate(file->object, size);
}

int library_file_punch(struct file *file, uint64_t offset, uint64_t length)
{
	return -quire_object_punch(file->object, offset, length);
}

int library_file_allocate(struct file *file, uint64_t offset, uint64_t length)
{
	return -quire_object_allocate(file->object, offset, length);
}

int library_file_resident(struct file *file, uint64_t offset, uint64_t length, uint64_t *pages)
{
	*pages = 0;
	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return EINVAL;
	*pages = quire_object_resident(file->object, offset, length);
	return 0;
}
