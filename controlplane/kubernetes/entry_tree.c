#include "entry_tree.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

static int compare_names(const void *left, const void *right)
{
	return strcmp(left, right);
}

void *entry_tree_find(const struct entry_tree *tree, const char *name)
{
	void **place = tfind(name, &tree->root, compare_names);

	return place == NULL ? NULL : *place;
}

int entry_tree_put(struct entry_tree *tree, void *entry)
{
	return tsearch(entry, &tree->root, compare_names) == NULL ? -ENOMEM : 0;
}

void entry_tree_remove(struct entry_tree *tree, void *entry)
{
	tdelete(entry, &tree->root, compare_names);
}

void entry_tree_clear(struct entry_tree *tree, void (*free_entry)(void *))
{
	tdestroy(tree->root, free_entry);
	tree->root = NULL;
}

static void count_entry(const void *, VISIT visit, void *argument)
{
	size_t *n = argument;

	*n += visit == preorder || visit == leaf;
}

static void add_entry(const void *place, VISIT visit, void *argument)
{
	struct entry_row *row = argument;

	if (visit == postorder || visit == leaf)
		row->entries[row->n++] = *(void *const *)place;
}

struct entry_row entry_tree_list(const struct entry_tree *tree)
{
	struct entry_row row = {0};
	size_t n = 0;

	twalk_r(tree->root, count_entry, &n);
	row.entries = calloc(n + 1, sizeof(void *));
	if (row.entries != NULL)
		twalk_r(tree->root, add_entry, &row);
	return row;
}
