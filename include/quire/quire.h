/* SPDX-License-Identifier: MIT */
/* Quire: an embeddable virtual-memory manager with the semantics of Linux.  This header takes in
 * all of the public interface. */
#ifndef QUIRE_QUIRE_H
#define QUIRE_QUIRE_H

#include <quire/device.h>
#include <quire/errno.h>
#include <quire/fault.h>
#include <quire/machine.h>
#include <quire/migrate.h>
#include <quire/notifier.h>
#include <quire/object.h>
#include <quire/pin.h>
#include <quire/report.h>
#include <quire/scan.h>
#include <quire/space.h>
#include <quire/swap.h>
#include <quire/thread.h>
#include <quire/userfault.h>

#endif
