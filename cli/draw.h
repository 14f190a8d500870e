/* SPDX-License-Identifier: MIT */
/* Page tables as a picture in text. */
#ifndef QUIRE_CLI_DRAW_H
#define QUIRE_CLI_DRAW_H

struct quire_space;

/* VMA by VMA, pages that are alike on one line; malloc'ed, lines end with a newline. */
char *draw_space(struct quire_space *space);

#endif
