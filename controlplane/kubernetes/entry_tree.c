#include "entry_tree.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// Entries in the order of their names, side by side: a whole list comes in that order and is put at
// the end, and walking along ten thousand of them takes no look at any.

enum { ROOM_FIRST = 64 };

// Where the entry of that name is, or would be.
static size_t place_of(const struct entry_tree *tree, const char *name, bool *ret_is_there)
{
	size_t low = 0, high = tree->n;

	*ret_is_there = false;
	while (low < high) {
		// The last one first: what comes in order is put there.
		size_t middle = high == tree->n ? high - 1 : low + (high - low) / 2;
		int order = strcmp(tree->entries[middle], name);

		*ret_is_there |= order == 0;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void *entry_tree_find(const struct entry_tree *tree, const char *name)
{
	bool is_there;
	size_t at = place_of(tree, name, &is_there);

	return is_there ? tree->entries[at] : NULL;
}

size_t entry_tree_after(const struct entry_tree *tree, const char *name)
{
	bool is_there;
	size_t at = place_of(tree, name, &is_there);

	return at + is_there;
}

static int make_room(struct entry_tree *tree)
{
	size_t room = tree->room == 0 ? ROOM_FIRST : 2 * tree->room;
	void **more;

	if (tree->n < tree->room)
		return 0;
	more = realloc(tree->entries, room * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	tree->entries = more;
	tree->room = room;
	return 0;
}

int entry_tree_put(struct entry_tree *tree, void *entry)
{
	bool is_there;
	size_t at = place_of(tree, entry, &is_there);

	if (make_room(tree) < 0)
		return -ENOMEM;
	memmove(&tree->entries[at + 1], &tree->entries[at], (tree->n - at) * sizeof(void *));
	tree->entries[at] = entry;
	tree->n++;
	return 0;
}

void entry_tree_remove(struct entry_tree *tree, void *entry)
{
	bool is_there;
	size_t at = place_of(tree, entry, &is_there);

	if (!is_there)
		return;
	tree->n--;
	memmove(&tree->entries[at], &tree->entries[at + 1], (tree->n - at) * sizeof(void *));
}

void entry_tree_clear(struct entry_tree *tree, void (*free_entry)(void *))
{
	for (size_t i = 0; i < tree->n; i++)
		free_entry(tree->entries[i]);
	free(tree->entries);
	*tree = (struct entry_tree){0};
}

struct entry_row entry_tree_list(const struct entry_tree *tree)
{
	struct entry_row row = {.entries = calloc(tree->n + 1, sizeof(void *))};

	if (row.entries == NULL)
		return row;
	if (tree->n > 0)
		memcpy(row.entries, tree->entries, tree->n * sizeof(void *));
	row.n = tree->n;
	return row;
}
