/* SPDX-License-Identifier: MIT */
/*
 * Holes between VMAs.
 *
 * Each VMA knows the gap in front of it, and the largest one in front of any VMA of its subtree.
 * Whoever looks for a hole below (or above) a VMA climbs from it towards the root, and descends
 * into the first subtree on the wanted side that has a gap large enough: O(log n).
 *
 *	lowest          A.end  B.start                       highest
 *	|....[ A ]......       [ B ]........[ C ].............|
 *	 gap      gap in front      gap of C     the last gap has no VMA behind it
 *	 of A     of B
 *
 * A search inside [low, high) takes the gap that one of these cuts by itself: it counts only as far
 * as it lies inside.  The others lie inside or are met too late to matter.
 */
#include "space/vma.h"

static struct vma *vma_of(struct tree_node *node)
{
	return node ? container_of(node, struct vma, node) : NULL;
}

static uint64_t largest_below(const struct tree_node *node)
{
	return node ? container_of(node, const struct vma, node)->largest_gap : 0;
}

void gap_summarize(struct tree_node *node)
{
	struct vma *vma = vma_of(node);

	vma->largest_gap = max_u64(
		vma->gap, max_u64(largest_below(node->child[0]), largest_below(node->child[1])));
}

static void update_gap(struct quire_space *space, struct vma *vma)
{
	const struct vma *previous = vma_previous(vma);

	vma->gap = vma->start - (previous ? previous->end : space->lowest);
	tree_changed(&space->vmas, &vma->node);
}

void gap_changed(struct quire_space *space, struct vma *vma)
{
	struct vma *next;

	if (!vma)
		return;
	update_gap(space, vma);
	next = vma_next(vma);
	if (next)
		update_gap(space, next);
}

/* In the subtree of `node`, which has a gap of `length`: the outermost VMA on `side` that has. */
static struct vma *outermost(struct tree_node *node, int side, uint64_t length)
{
	for (;;) {
		if (largest_below(node->child[side]) >= length)
			node = node->child[side];
		else if (vma_of(node)->gap >= length)
			return vma_of(node);
		else
			node = node->child[!side];
	}
}

/* The nearest VMA on `side` (0 before, 1 after) of `vma`, itself included, with a gap of `length`,
 * or NULL. */
static struct vma *nearest(struct vma *vma, int side, uint64_t length)
{
	struct tree_node *node;

	for (node = vma ? &vma->node : NULL; node; node = node->parent) {
		if (vma_of(node)->gap >= length)
			return vma_of(node);
		if (largest_below(node->child[side]) >= length)
			return outermost(node->child[side], !side, length);
		/* Up to the first ancestor that lies on that side. */
		while (node->parent && node->parent->child[side] == node)
			node = node->parent;
	}
	return NULL;
}

static struct vma *last(const struct quire_space *space)
{
	return vma_of(tree_last(&space->vmas));
}

bool gap_find_highest(const struct quire_space *space, uint64_t low, uint64_t high, uint64_t length,
		      uint64_t *address)
{
	struct vma *above, *below;
	uint64_t floor;

	if (low > high || length > high - low)
		return false;
	/* The gap that `high` cuts, or ends, if any. */
	above = vma_find(space, high - 1);
	below = above ? vma_previous(above) : last(space);
	floor = below ? below->end : space->lowest;
	if (above && above->start < high) {
		below = above;
	} else if (high - max_u64(floor, low) >= length) {
		*address = high - length;
		return true;
	}
	below = nearest(below, 0, length);
	if (!below || below->start < low + length)
		return false;
	*address = below->start - length;
	return true;
}

bool gap_find_lowest(const struct quire_space *space, uint64_t low, uint64_t high, uint64_t length,
		     uint64_t *address)
{
	struct vma *above;

	if (low > high || length > high - low)
		return false;
	/* The gap that `low` cuts, or begins, if any. */
	above = vma_find(space, low);
	*address = low;
	if (!above || low + length <= above->start)
		return true;
	above = nearest(vma_next(above), 1, length);
	*address = above ? above->start - above->gap : last(space)->end;
	return *address <= high - length;
}
