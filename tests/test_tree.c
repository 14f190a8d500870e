/* SPDX-License-Identifier: MIT */
/* The balanced tree, against a sorted array. */
#include "base/tree.h"
#include "test_support.h"

/* An element: a number, and the sum of the numbers in its subtree as the summary. */
struct item {
	struct tree_node node;
	uint64_t key;
	uint64_t sum;
};

static struct item *item_of(struct tree_node *node)
{
	return container_of(node, struct item, node);
}

static uint64_t sum_of(struct tree_node *node)
{
	return node ? item_of(node)->sum : 0;
}

static void summarize(struct tree_node *node)
{
	item_of(node)->sum = item_of(node)->key + sum_of(node->child[0]) + sum_of(node->child[1]);
}

static void insert(struct tree *tree, struct item *item)
{
	struct tree_node *parent = NULL, *node = tree->root;
	int side = 0;

	while (node) {
		parent = node;
		side = item->key > item_of(node)->key;
		node = node->child[side];
	}
	tree_insert(tree, parent, side, &item->node);
}

/* The model: the items that are in the tree, by key. */
#define ITEMS 200
struct model {
	struct item *sorted[ITEMS];
	unsigned count;
};

static void model_insert(struct model *model, struct item *item)
{
	unsigned at = model->count++;

	for (; at > 0 && model->sorted[at - 1]->key > item->key; at--)
		model->sorted[at] = model->sorted[at - 1];
	model->sorted[at] = item;
}

static struct item *model_remove(struct model *model, unsigned at)
{
	struct item *item = model->sorted[at];

	for (model->count--; at < model->count; at++)
		model->sorted[at] = model->sorted[at + 1];
	return item;
}

static void assert_summaries(struct model *model)
{
	for (unsigned i = 0; i < model->count; i++) {
		struct item *item = model->sorted[i];

		assert_int_equal(item->sum, item->key + sum_of(item->node.child[0]) +
						    sum_of(item->node.child[1]));
	}
}

/*
 * The tree is valid, holds just the model's items in order both ways, and every summary is right.
 */
static void assert_same(struct tree *tree, struct model *model)
{
	struct tree_node *up = tree_first(tree), *down = tree_last(tree);

	assert_true(tree_valid(tree));
	for (unsigned i = 0; i < model->count; i++) {
		assert_ptr_equal(up, &model->sorted[i]->node);
		up = tree_next(up);
		assert_ptr_equal(down, &model->sorted[model->count - 1 - i]->node);
		down = tree_previous(down);
	}
	assert_null(up);
	assert_null(down);
	if (tree->summarize)
		assert_summaries(model);
}

static void an_empty_tree_has_no_first_and_no_last(void **state)
{
	struct tree tree = {0};

	(void)state;
	assert_null(tree_first(&tree));
	assert_null(tree_last(&tree));
	assert_true(tree_valid(&tree));
}

/*
 * Inserted in order, n nodes are at most 1.44 log2(n + 2) high: 200 nodes 11, where a plain tree
 * has 200.
 */
static void inserting_in_order_keeps_it_low(void **state)
{
	static struct item items[ITEMS];
	struct tree tree = {.summarize = summarize};
	struct model model = {0};

	(void)state;
	for (unsigned i = 0; i < ITEMS; i++) {
		items[i].key = i;
		insert(&tree, &items[i]);
		model_insert(&model, &items[i]);
		assert_same(&tree, &model);
	}
	assert_in_range(tree.root->height, 8, 11);
}

/*
 *	      2
 *	     / \
 *	    1   4		without 2: 3 stands in its place, without 3: 4
 *	       /
 *	      3
 */
static void a_removed_node_is_replaced_by_the_next(void **state)
{
	struct item items[] = {{.key = 2}, {.key = 1}, {.key = 4}, {.key = 3}};
	struct tree tree = {.summarize = summarize};

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		insert(&tree, &items[i]);
	assert_ptr_equal(tree.root, &items[0].node);

	tree_remove(&tree, &items[0].node);
	assert_ptr_equal(tree.root, &items[3].node);
	assert_int_equal(items[3].sum, 1 + 3 + 4);
	assert_true(tree_valid(&tree));

	tree_remove(&tree, &items[3].node);
	assert_ptr_equal(tree.root, &items[2].node);
	assert_int_equal(items[2].sum, 1 + 4);
	assert_true(tree_valid(&tree));
}

static void a_change_reaches_every_summary_above(void **state)
{
	static struct item items[ITEMS];
	struct tree tree = {.summarize = summarize};
	struct model model = {0};
	uint64_t before;

	(void)state;
	for (unsigned i = 0; i < ITEMS; i++) {
		items[i].key = 10 * i;
		insert(&tree, &items[i]);
		model_insert(&model, &items[i]);
	}
	before = sum_of(tree.root);
	for (unsigned i = 0; i < ITEMS; i++) {
		items[i].key += 3;
		tree_changed(&tree, &items[i].node);
	}
	assert_same(&tree, &model);
	assert_int_equal(sum_of(tree.root), before + 3 * ITEMS);
}

static void run_random(struct tree *tree)
{
	static struct item items[ITEMS];
	struct random random = random_start();
	struct model model = {0};
	struct item *unused[ITEMS];
	unsigned unused_count = ITEMS;

	for (unsigned i = 0; i < ITEMS; i++)
		unused[i] = &items[i];
	for (unsigned step = 0; step < 20000; step++) {
		/* Mostly growing, then mostly shrinking, so that both ends are reached. */
		bool grow = random_below(&random, 8) < (step / 1000 % 2 ? 3 : 5);

		if (grow && unused_count) {
			struct item *item = unused[--unused_count];

			item->key = random_below(&random, 1000);
			while (item->key % ITEMS != (uint64_t)(item - items))
				item->key++; /* no two alike */
			insert(tree, item);
			model_insert(&model, item);
		} else if (!grow && model.count) {
			unsigned at = (unsigned)random_below(&random, model.count);
			struct item *item = model_remove(&model, at);

			tree_remove(tree, &item->node);
			unused[unused_count++] = item;
		}
		assert_same(tree, &model);
	}
}

static void random_changes_agree_with_a_sorted_array(void **state)
{
	struct tree tree = {.summarize = summarize};

	(void)state;
	run_random(&tree);
}

static void random_changes_without_summaries(void **state)
{
	struct tree tree = {0};

	(void)state;
	run_random(&tree);
}

/* tree_valid() is what the tests above rely on: it must see each thing that can be wrong. */
static void a_broken_tree_is_seen(void **state)
{
	struct item items[] = {{.key = 2}, {.key = 1}, {.key = 3}, {.key = 4}};
	struct tree tree = {.summarize = summarize};
	struct tree_node saved;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		insert(&tree, &items[i]);
	assert_true(tree_valid(&tree));

	saved = items[2].node; /* a height that is not its children's */
	items[2].node.height = 1;
	assert_false(tree_valid(&tree));
	items[2].node = saved;

	saved = items[1].node; /* a child that knows another parent */
	items[1].node.parent = &items[3].node;
	assert_false(tree_valid(&tree));
	items[1].node = saved;

	saved = items[0].node; /* a subtree two higher than its sibling */
	items[0].node.child[0] = NULL;
	assert_false(tree_valid(&tree));
	items[0].node = saved;

	items[0].node.parent = &items[1].node; /* a root with a parent */
	assert_false(tree_valid(&tree));
	items[0].node.parent = NULL;
	assert_true(tree_valid(&tree));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_tree_has_no_first_and_no_last),
		cmocka_unit_test(inserting_in_order_keeps_it_low),
		cmocka_unit_test(a_removed_node_is_replaced_by_the_next),
		cmocka_unit_test(a_change_reaches_every_summary_above),
		cmocka_unit_test(random_changes_agree_with_a_sorted_array),
		cmocka_unit_test(random_changes_without_summaries),
		cmocka_unit_test(a_broken_tree_is_seen),
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
