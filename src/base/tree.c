/* SPDX-License-Identifier: MIT */
/*
 * The AVL tree: the heights of a node's two subtrees differ by one at most.
 *
 * Every change is made at one place, and what it upsets lies on the path from there to the root.
 * So insertion and removal link or unlink, and then repair() walks that path once: each node's
 * height and summary are made anew from its children, and where one side has become two higher, a
 * rotation lifts the higher child (or, when that leans inwards, its inner child first).
 *
 *	      node                high                    node                  inner
 *	     /    \              /    \                  /    \                /     \
 *	    a     high    →    node    c                a     high    →     node     high
 *	         /    \       /    \                         /    \         /  \     /  \
 *	        b      c     a      b                    inner     d       a    b   c    d
 *	                                                 /   \
 *	                                                b     c
 */
#include "base/tree.h"

static int height(const struct tree_node *node)
{
	return node ? node->height : 0;
}

/* How much higher the subtree after `node` is than the one before it. */
static int lean(const struct tree_node *node)
{
	return height(node->child[1]) - height(node->child[0]);
}

static int height_over_children(const struct tree_node *node)
{
	return 1 + height(node->child[lean(node) > 0]);
}

static void update(const struct tree *tree, struct tree_node *node)
{
	node->height = height_over_children(node);
	if (tree->summarize)
		tree->summarize(node);
}

/* Where the tree points to `node` from above. */
static struct tree_node **place_of(struct tree *tree, struct tree_node *node)
{
	struct tree_node *parent = node->parent;

	return parent ? &parent->child[parent->child[1] == node] : &tree->root;
}

/* Makes `node`, which may be NULL, child[side] of `parent`. */
static void set_child(struct tree_node *parent, int side, struct tree_node *node)
{
	parent->child[side] = node;
	if (node)
		node->parent = parent;
}

/* Puts `heir`, which may be NULL, where `node` stands.  The children of both stay as they are. */
static void take_place(struct tree *tree, struct tree_node *node, struct tree_node *heir)
{
	*place_of(tree, node) = heir;
	if (heir)
		heir->parent = node->parent;
}

/* Lifts child[side] of `node` above it, and returns it. */
static struct tree_node *lift(struct tree *tree, struct tree_node *node, int side)
{
	struct tree_node *high = node->child[side];

	take_place(tree, node, high);
	set_child(node, side, high->child[!side]);
	set_child(high, !side, node);
	update(tree, node);
	update(tree, high);
	return high;
}

/* Rotates if `node` leans too far; returns what stands in its place then. */
static struct tree_node *balance(struct tree *tree, struct tree_node *node)
{
	int leaning = lean(node), side = leaning > 0;
	struct tree_node *high = node->child[side];

	if (leaning >= -1 && leaning <= 1)
		return node;
	if (height(high->child[!side]) > height(high->child[side]))
		lift(tree, high, !side);
	return lift(tree, node, side);
}

static void repair(struct tree *tree, struct tree_node *node)
{
	while (node) {
		update(tree, node);
		node = balance(tree, node)->parent;
	}
}

void tree_insert(struct tree *tree, struct tree_node *parent, int side, struct tree_node *node)
{
	struct tree_node **place = parent ? &parent->child[side] : &tree->root;

	quire_assert(!*place);
	*place = node;
	*node = (struct tree_node){.parent = parent};
	repair(tree, node);
}

/*
 * A node with two children is replaced by the one after it, `heir`, which has no child before it.
 * The lowest place that has changed is then the heir's old parent, or the heir itself if the
 * removed node was that.
 */
void tree_remove(struct tree *tree, struct tree_node *node)
{
	struct tree_node *lowest = node->parent;

	if (!node->child[0] || !node->child[1]) {
		take_place(tree, node, node->child[!node->child[0]]);
	} else {
		struct tree_node *heir = tree_next(node);

		lowest = heir->parent == node ? heir : heir->parent;
		take_place(tree, heir, heir->child[1]);
		take_place(tree, node, heir);
		set_child(heir, 0, node->child[0]);
		set_child(heir, 1, node->child[1]);
	}
	*node = (struct tree_node){0};
	repair(tree, lowest);
}

void tree_changed(struct tree *tree, struct tree_node *node)
{
	for (; tree->summarize && node; node = node->parent)
		tree->summarize(node);
}

/* The outermost node on `side` of the subtree of `node`. */
static struct tree_node *outermost(struct tree_node *node, int side)
{
	while (node && node->child[side])
		node = node->child[side];
	return node;
}

/*
 * The node next to `node` on `side`: the nearest below, else the first ancestor that has `node` on
 * its other side.
 */
static struct tree_node *neighbour(const struct tree_node *node, int side)
{
	struct tree_node *parent = node->parent;

	if (node->child[side])
		return outermost(node->child[side], !side);
	while (parent && parent->child[side] == node) {
		node = parent;
		parent = node->parent;
	}
	return parent;
}

struct tree_node *tree_first(const struct tree *tree)
{
	return outermost(tree->root, 0);
}

struct tree_node *tree_last(const struct tree *tree)
{
	return outermost(tree->root, 1);
}

struct tree_node *tree_next(const struct tree_node *node)
{
	return neighbour(node, 1);
}

struct tree_node *tree_previous(const struct tree_node *node)
{
	return neighbour(node, 0);
}

static bool node_valid(const struct tree_node *node)
{
	for (int side = 0; side < 2; side++)
		if (node->child[side] && node->child[side]->parent != node)
			return false;
	return lean(node) >= -1 && lean(node) <= 1 && node->height == height_over_children(node);
}

/* The node after `node` when each stands before what is below it. */
static const struct tree_node *next_parents_first(const struct tree_node *node)
{
	const struct tree_node *parent = node->parent;

	if (node->child[0] || node->child[1])
		return node->child[!node->child[0]];
	while (parent && (parent->child[1] == node || !parent->child[1])) {
		node = parent;
		parent = node->parent;
	}
	return parent ? parent->child[1] : NULL;
}

/*
 * Right locally everywhere is right as a whole: by induction from the leaves, whose height must be
 * 1.  Parents come first in the walk, so that it climbs only by links that have been found right.
 */
bool tree_valid(const struct tree *tree)
{
	if (tree->root && tree->root->parent)
		return false;
	for (const struct tree_node *node = tree->root; node; node = next_parents_first(node))
		if (!node_valid(node))
			return false;
	return true;
}
