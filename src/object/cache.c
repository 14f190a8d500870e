/* SPDX-License-Identifier: MIT */
/*
 * The page cache of an object: from an index to a frame.
 *
 * A radix tree of nodes that are frames: 512 slots each, as in a page table.  A tree of height h
 * holds the indexes below 512^h; it grows at the root when a larger one comes, and a node that has
 * become empty is freed.  So an object of 2M takes one node, whatever its pages.
 *
 *	height 2        [ . | . |   | ...  ]            root: node of nodes
 *	                  |   |
 *	height 1      [f|f| ...] [ |f| ...]             f: a frame of the cache
 */
#include "object/object.h"

#define NODE_BITS  9
#define NODE_SLOTS (1u << NODE_BITS)
#define HEIGHT_MAX 6 /* QUIRE_OBJECT_MAX has 51 bits of pages */

/* A slot of the lowest nodes holds a cache_entry, one of the others a node, or NULL. */
static struct frame **slots_of(const struct quire_object *object, const struct frame *node)
{
	return (struct frame **)frame_memory(object->machine, node);
}

static unsigned slot_index(uint64_t index, unsigned height)
{
	return (unsigned)(index >> (NODE_BITS * (height - 1))) & (NODE_SLOTS - 1);
}

/* How many indexes a tree of this height holds. */
static uint64_t capacity(unsigned height)
{
	return (uint64_t)1 << (NODE_BITS * height);
}

static cache_entry *lowest_slot(const struct quire_object *object, struct frame *node,
				uint64_t index)
{
	return (cache_entry *)frame_memory(object->machine, node) + slot_index(index, 1);
}

/* The node that has the slot for `index`, or NULL. */
static struct frame *lowest_node(const struct quire_object *object, uint64_t index)
{
	struct frame *node = object->root;

	if (object->height == 0 || index >= capacity(object->height))
		return NULL;
	for (unsigned height = object->height; node && height > 1; height--)
		node = slots_of(object, node)[slot_index(index, height)];
	return node;
}

cache_entry cache_find(const struct quire_object *object, uint64_t index)
{
	struct frame *node = lowest_node(object, index);

	return node ? *lowest_slot(object, node, index) : 0;
}

void cache_find_range(const struct quire_object *object, uint64_t index, unsigned count,
		      cache_entry *entries)
{
	struct frame *node = NULL;

	for (unsigned i = 0; i < count; i++) {
		if (i == 0 || slot_index(index + i, 1) == 0)
			node = lowest_node(object, index + i);
		entries[i] = node ? *lowest_slot(object, node, index + i) : 0;
	}
}

/* The first entry from *index on below `node`, whose slots span what `height` says. */
static cache_entry next_below(const struct quire_object *object, struct frame *node,
			      unsigned height, uint64_t *index, uint64_t end)
{
	while (*index < end) {
		uint64_t span = capacity(height - 1);

		if (height == 1) {
			cache_entry entry = *lowest_slot(object, node, *index);

			if (entry)
				return entry;
		} else {
			struct frame *below = slots_of(object, node)[slot_index(*index, height)];

			if (below) {
				node = below;
				height--;
				continue;
			}
		}
		*index = (*index & ~(span - 1)) + span;
		if (slot_index(*index, height) == 0)
			break; /* behind this node */
	}
	return 0;
}

cache_entry cache_next(const struct quire_object *object, uint64_t *index, uint64_t end)
{
	cache_entry found = 0;

	if (object->height == 0)
		return 0;
	end = min_u64(end, capacity(object->height));
	/* Each step from the root finds an entry, or passes over the rest of a node. */
	while (!found && *index < end)
		found = next_below(object, object->root, object->height, index, end);
	return found;
}

static struct frame *new_node(struct quire_object *object)
{
	struct frame *node = frame_alloc_zeroed(object->machine);

	if (!node)
		return NULL;
	frame_set_kind(object->machine, node, FRAME_NODE);
	node->node.live = 0;
	return node;
}

/* How high a tree must be to hold `index`. */
static unsigned height_for(uint64_t index)
{
	unsigned height = 1;

	while (index >= capacity(height))
		height++;
	quire_assert(height <= HEIGHT_MAX);
	return height;
}

/* A higher root, until the tree holds `index`; the first one has the height that it needs. */
static int grow(struct quire_object *object, uint64_t index)
{
	unsigned height = height_for(index);

	while (object->height < height) {
		struct frame *root = new_node(object);

		if (!root)
			return -NO_FRAMES;
		if (object->root) {
			slots_of(object, root)[0] = object->root;
			root->node.live = 1;
			object->height++;
		} else {
			object->height = height;
		}
		object->root = root;
	}
	return 0;
}

/* The nodes from the root down to the one that has the slot for `index`, by height. */
static void find_path(const struct quire_object *object, uint64_t index, struct frame **path)
{
	struct frame *node = object->root;

	for (unsigned height = object->height; height > 0; height--) {
		path[height] = node;
		if (node)
			node = slots_of(object, node)[slot_index(index, height)];
	}
}

/* The lock is a short one: object_unlock() does the rest. */
static void free_node(struct quire_object *object, struct frame *node)
{
	node->next = object->emptied;
	object->emptied = node;
}

/* Takes out the nodes above `index` that hold nothing. */
static void prune(struct quire_object *object, uint64_t index)
{
	struct frame *path[HEIGHT_MAX + 1];
	unsigned top = object->height;

	find_path(object, index, path);
	for (unsigned height = 1; height <= top; height++) {
		if (!path[height])
			continue;
		if (path[height]->node.live)
			return;
		free_node(object, path[height]);
		if (height == top) {
			object->root = NULL;
			object->height = 0;
			return;
		}
		slots_of(object, path[height + 1])[slot_index(index, height + 1)] = NULL;
		path[height + 1]->node.live--;
	}
}

/* The lowest node for `index`, made if need be; NULL: no frames. */
static struct frame *reach(struct quire_object *object, uint64_t index)
{
	struct frame *node;

	if (grow(object, index))
		return NULL;
	node = object->root;
	for (unsigned height = object->height; node && height > 1; height--) {
		struct frame **slot = &slots_of(object, node)[slot_index(index, height)];

		if (!*slot) {
			*slot = new_node(object);
			node->node.live += *slot != NULL;
		}
		node = *slot;
	}
	return node;
}

/* What stands there enters or leaves the cache. */
static void account(struct quire_object *object, uint64_t index, cache_entry was, cache_entry is)
{
	struct folio *left = cache_page(was), *came = cache_page(is);

	if (left)
		atomic_store_explicit(&left->head.content.owner, 0, memory_order_release);
	if (came) {
		folio_set_slot(came, 0);
		folio_set_owner(came, object, index);
	}
	object->pages += (uint64_t)(came != NULL) - (uint64_t)(left != NULL);
	object->swapped += (uint64_t)(cache_slot(is) != 0) - (uint64_t)(cache_slot(was) != 0);
}

int cache_insert(struct quire_object *object, uint64_t index, struct folio *folio)
{
	struct frame *node = reach(object, index);
	cache_entry *slot;

	if (!node) {
		/* What was made on the way; a root that did not get high enough has the old one. */
		if (index < capacity(object->height))
			prune(object, index);
		return -NO_FRAMES;
	}
	slot = lowest_slot(object, node, index);
	quire_assert(!*slot);
	*slot = cache_entry_of(folio);
	node->node.live++;
	account(object, index, 0, *slot);
	return 0;
}

void cache_replace(struct quire_object *object, uint64_t index, cache_entry entry)
{
	struct frame *path[HEIGHT_MAX + 1];
	cache_entry *slot, was;

	find_path(object, index, path);
	slot = lowest_slot(object, path[1], index);
	was = *slot;
	quire_assert(was);
	*slot = entry;
	account(object, index, was, entry);
	if (entry)
		return;
	if (--path[1]->node.live == 0)
		prune(object, index);
}

/* Goes down HEIGHT_MAX levels at most. */
static bool node_valid(const struct quire_object *object, const struct frame *node, unsigned height,
		       uint64_t *nodes)
{
	struct frame **slots = slots_of(object, node);
	unsigned live = 0;

	if (node->kind != FRAME_NODE)
		return false;
	++*nodes;
	for (unsigned i = 0; i < NODE_SLOTS; i++) {
		live += slots[i] != NULL;
		if (slots[i] && height > 1 && !node_valid(object, slots[i], height - 1, nodes))
			return false;
	}
	return live && live == node->node.live;
}

bool cache_valid(const struct quire_object *object, uint64_t *nodes)
{
	if (!object->root)
		return object->height == 0;
	return node_valid(object, object->root, object->height, nodes);
}
