/* SPDX-License-Identifier: MIT */
/*
 * VMAs in their tree.
 *
 * The tree is ordered by address; VMAs never overlap.  What is counted of all VMAs (how many, their
 * pages, the locked pages) changes here and nowhere else:
 *
 *	vma_count = VMAs in the tree
 *	mapped    = sum of (end - start) / PAGE_SIZE
 *	locked    = the same over VMAs with VMA_LOCKED
 */
#include "space/rmap.h"
#include "space/vma.h"

static struct vma *vma_of(struct tree_node *node)
{
	return node ? container_of(node, struct vma, node) : NULL;
}

void vma_tree_init(struct quire_space *space)
{
	space->vmas = (struct tree){.summarize = gap_summarize};
}

struct vma *vma_find(const struct quire_space *space, uint64_t address)
{
	struct tree_node *node = space->vmas.root;
	struct vma *found = NULL;

	while (node) {
		struct vma *vma = vma_of(node);
		bool ends_above = address < vma->end;

		if (ends_above)
			found = vma;
		node = node->child[!ends_above];
	}
	return found;
}

struct vma *vma_first(const struct quire_space *space)
{
	return vma_of(tree_first(&space->vmas));
}

struct vma *vma_next(const struct vma *vma)
{
	return vma_of(tree_next(&vma->node));
}

struct vma *vma_previous(const struct vma *vma)
{
	return vma_of(tree_previous(&vma->node));
}

struct vma *vma_new(struct quire_space *space)
{
	return slab_alloc(space->machine, sizeof(struct vma));
}

void vma_free(struct quire_space *space, struct vma *vma)
{
	if (vma->object && QUIRE_MISTAKE(MUNMAP_DROPS_PAGES)) {
		quire_object_put(vma->object);
	} else if (vma->object && object_unget(vma->object)) {
		vma->object->next = space->orphans;
		space->orphans = vma->object;
	}
	if (vma->family)
		family_put(space->machine, vma->family);
	slab_free(space->machine, vma);
}

bool vma_swapped(const struct vma *vma, uint64_t address)
{
	struct folio *folio;
	enum object_page answer;

	if (!vma->object)
		return false;
	answer = object_find_page(vma->object, vma_index(vma, address), &folio);
	if (answer == PAGE_FOUND)
		folio_put(vma->object->machine, folio);
	return answer == PAGE_SWAPPED;
}

/* `pages` more (or, negative, fewer) belong to VMAs with these flags. */
static void count_pages(struct quire_space *space, uint64_t flags, uint64_t pages)
{
	space->mapped += pages;
	if (flags & VMA_LOCKED)
		space->locked += pages;
}

static void insert(struct quire_space *space, struct vma *vma)
{
	struct tree_node *parent = NULL, *node = space->vmas.root;
	int side = 0;

	while (node) {
		parent = node;
		side = vma->start >= vma_of(node)->end;
		quire_assert(side || vma->end <= vma_of(node)->start);
		node = node->child[side];
	}
	tree_insert(&space->vmas, parent, side, &vma->node);
}

void vma_insert(struct quire_space *space, struct vma *vma)
{
	quire_assert(vma->start < vma->end && vma->end <= space->highest);
	insert(space, vma);
	space->vma_count++;
	count_pages(space, vma->flags, vma_pages(vma));
	gap_changed(space, vma);
}

void vma_link(struct quire_space *space, struct vma *vma)
{
	vma_insert(space, vma);
	rmap_link_vma(space, vma);
}

void vma_unlink(struct quire_space *space, struct vma *vma)
{
	rmap_unlink_vma(space, vma);
	vma_remove(space, vma);
}

void vma_remove(struct quire_space *space, struct vma *vma)
{
	struct vma *next = vma_next(vma);

	assert_written(space);
	tree_remove(&space->vmas, &vma->node);
	space->vma_count--;
	count_pages(space, vma->flags, -vma_pages(vma));
	gap_changed(space, next);
}

void vma_resize(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end)
{
	uint64_t before = vma_pages(vma);

	assert_written(space);
	quire_assert(start < end && end <= space->highest);
	rmap_resize_vma(space, vma, start, end);
	count_pages(space, vma->flags, vma_pages(vma) - before);
	gap_changed(space, vma);
}

void vma_set_flags(struct quire_space *space, struct vma *vma, uint64_t flags)
{
	assert_written(space);
	count_pages(space, vma->flags, -vma_pages(vma));
	vma->flags = flags;
	count_pages(space, flags, vma_pages(vma));
}

void vma_free_all(struct quire_space *space)
{
	struct vma *vma;

	while ((vma = vma_first(space))) {
		vma_unlink(space, vma);
		vma_free(space, vma);
	}
}

static bool vma_valid(const struct quire_space *space, const struct vma *vma)
{
	const struct vma *previous = vma_previous(vma);
	struct vma again = *vma;

	gap_summarize(&again.node);
	return page_aligned(vma->start) && page_aligned(vma->end) && vma->start < vma->end &&
	       vma->end <= space->highest && (!previous || previous->end <= vma->start) &&
	       vma->start - vma->gap == (previous ? previous->end : space->lowest) &&
	       vma->largest_gap == again.largest_gap && (vma->anon || !vma->inherited);
}

bool vma_tree_valid(struct quire_space *space)
{
	uint64_t count = 0, mapped = 0, locked = 0;

	if (!tree_valid(&space->vmas))
		return false;
	for (const struct vma *vma = vma_first(space); vma; vma = vma_next(vma)) {
		if (!vma_valid(space, vma))
			return false;
		count++;
		mapped += vma_pages(vma);
		if (vma->flags & VMA_LOCKED)
			locked += vma_pages(vma);
	}
	return count == space->vma_count && mapped == space->mapped && locked == space->locked;
}
