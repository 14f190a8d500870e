/* SPDX-License-Identifier: MIT */
/*
 * A balanced binary tree (AVL) with the node inside the element, and one value a subtree that the
 * owner keeps.
 *
 * The tree never compares: the owner descends by itself and says where to link.  It calls
 * `summarize` on a node whenever the node's children may have changed, bottom up, so that the owner
 * can keep a summary of the subtree (for VMAs: the largest gap).  No allocation, no recursion.
 */
#ifndef QUIRE_BASE_TREE_H
#define QUIRE_BASE_TREE_H

#include "base/base.h"

struct tree_node {
	struct tree_node *parent;
	struct tree_node *child[2]; /* [0] before, [1] after this node */
	int height;		    /* of the subtree; a leaf has 1 */
};

struct tree {
	struct tree_node *root;
	void (*summarize)(struct tree_node *node); /* may be NULL */
};

/*
 * Links `node` as child[side] of `parent`, where nothing stands now (parent NULL: as the root of an
 * empty tree), and rebalances.
 */
void tree_insert(struct tree *tree, struct tree_node *parent, int side, struct tree_node *node);
/* Unlinks `node`, which must be in the tree. */
void tree_remove(struct tree *tree, struct tree_node *node);
/*
 * The owner has changed what `summarize` reads from `node`: brings the summaries above it up to
 * date.
 */
void tree_changed(struct tree *tree, struct tree_node *node);

struct tree_node *tree_first(const struct tree *tree);
struct tree_node *tree_last(const struct tree *tree);
struct tree_node *tree_next(const struct tree_node *node);
struct tree_node *tree_previous(const struct tree_node *node);

/*
 * Whether parents, heights and balance are right everywhere (for tests and the checker; visits
 * every node).
 */
bool tree_valid(const struct tree *tree);

#endif
