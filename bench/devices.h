/* SPDX-License-Identifier: MIT */
/*
 * Large leaves, on devices of the library.  The kernel here has no such device: these have no side to
 * be compared with, and say what one leaf costs at each level.
 */
#ifndef QUIRE_BENCH_DEVICES_H
#define QUIRE_BENCH_DEVICES_H

/* Seconds: mprotect to read-only and back, UFFDIO_WRITEPROTECT, fork, munmap of 1G in leaves of 4K, or
 * of 64G in leaves of 2M or 1G. */
double bench_device_protect(unsigned level);
double bench_device_writeprotect(unsigned level);
double bench_device_fork(unsigned level);
double bench_device_unmap(unsigned level);
/* A byte to each page of BENCH_TOUCH in protected leaves of 2M: the first write to a leaf cuts it. */
double bench_device_write_cut(void);
/* BENCH_LOADS loads scattered over 1G that is mapped by leaves of the level. */
double bench_device_load(unsigned level);

#endif
