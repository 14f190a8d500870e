/* SPDX-License-Identifier: MIT */
/* The one entry for all requests, by Linux's numbers. */
#include "userfault/userfault.h"

static int wake(struct quire_userfault *context, const struct quire_uffdio_range *range)
{
	if (!range_valid(context, range->start, range->len))
		return -QUIRE_EINVAL;
	userfault_wake(context, range->start, range->start + range->len);
	return 0;
}

int quire_userfault_ioctl(struct quire_userfault *context, uint32_t request, void *argument,
			  struct quire_space *source)
{
	if (request != QUIRE_UFFDIO_API && !context_negotiated(context))
		return -QUIRE_EINVAL;
	switch (request) {
	case QUIRE_UFFDIO_API:
		return userfault_api(context, argument);
	case QUIRE_UFFDIO_REGISTER:
		return userfault_register(context, argument);
	case QUIRE_UFFDIO_UNREGISTER:
		return userfault_unregister(context, argument);
	case QUIRE_UFFDIO_WAKE:
		return wake(context, argument);
	case QUIRE_UFFDIO_COPY:
		return userfault_copy(context, argument, source);
	case QUIRE_UFFDIO_ZEROPAGE:
		return userfault_zeropage(context, argument);
	case QUIRE_UFFDIO_MOVE:
		return userfault_move(context, argument);
	case QUIRE_UFFDIO_WRITEPROTECT:
		return userfault_writeprotect(context, argument);
	case QUIRE_UFFDIO_CONTINUE:
		return userfault_continue(context, argument);
	case QUIRE_UFFDIO_POISON:
		return userfault_poison(context, argument);
	default:
		return -QUIRE_EINVAL;
	}
}
