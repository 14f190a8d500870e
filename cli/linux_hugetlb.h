/* SPDX-License-Identifier: MIT */
#ifndef QUIRE_CLI_LINUX_HUGETLB_H
#define QUIRE_CLI_LINUX_HUGETLB_H

#include "linux_target.h"

/* Of a memfd of pages of `page` bytes: as in struct target_ops. */
int hugetlb_write(int file, uint64_t page, uint64_t offset, const void *bytes, size_t length,
		  size_t *done);
int hugetlb_resident(int file, uint64_t page, uint64_t offset, uint64_t length, uint64_t *pages);

int hugetlb_count(struct target *target, enum pool pool, struct target_pool *count);
int hugetlb_resize(struct target *target, enum pool pool, uint64_t pages, int64_t overcommit);

#endif
