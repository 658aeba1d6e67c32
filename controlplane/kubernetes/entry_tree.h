#pragma once

#include <stddef.h>

// Entries found by their names. What an entry is, its owner knows: here it is whatever begins with
// its name, a text that does not change while it is in the tree.
struct entry_tree {
	void **entries; // [n], in the order of their names.
	size_t n;
	size_t room;
};

// The entry of that name, or NULL.
void *entry_tree_find(const struct entry_tree *tree, const char *name);

// 'entry' stays its owner's, and none of its name is in the tree. Returns 0 or -ENOMEM.
int entry_tree_put(struct entry_tree *tree, void *entry);

void entry_tree_remove(struct entry_tree *tree, void *entry);

// Leaves it empty; 'free_entry' is called for each.
void entry_tree_clear(struct entry_tree *tree, void (*free_entry)(void *));

// Where the first entry is whose name comes after 'name'; tree->n if there is none.
size_t entry_tree_after(const struct entry_tree *tree, const char *name);

// Of a tree's entries, in the order of their names. Entries may be changed, and removed from the
// tree, while one walks along.
struct entry_row {
	void **entries; // [n], to be freed.
	size_t n;
};

// Out of memory, its entries are NULL, and n is 0.
struct entry_row entry_tree_list(const struct entry_tree *tree);
