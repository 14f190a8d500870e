/* SPDX-License-Identifier: MIT */
/*
 * Error numbers.  Every function of Quire that can fail returns 0 or one of these, negative.  The
 * values are Linux's, so that a host kernel can hand them to its user as they are.
 */
#ifndef QUIRE_ERRNO_H
#define QUIRE_ERRNO_H

#define QUIRE_EPERM	  1
#define QUIRE_ENOENT	  2
#define QUIRE_ESRCH	  3
#define QUIRE_EIO	  5
#define QUIRE_ENOSPC	  28
#define QUIRE_EBADF	  9
#define QUIRE_EAGAIN	  11
#define QUIRE_ENOMEM	  12
#define QUIRE_EACCES	  13
#define QUIRE_EFAULT	  14
#define QUIRE_EBUSY	  16
#define QUIRE_EEXIST	  17
#define QUIRE_ENODEV	  19
#define QUIRE_EINVAL	  22
#define QUIRE_EFBIG	  27
#define QUIRE_ENOSYS	  38
#define QUIRE_EOVERFLOW	  75
#define QUIRE_EOPNOTSUPP  95
#define QUIRE_EINPROGRESS 115
#define QUIRE_EUCLEAN	  117
#define QUIRE_EHWPOISON	  133

#endif
