#pragma once

#include <stddef.h>

// Entries found by their names. What an entry is, its owner knows: here it is whatever begins with
// its name, a text that does not change while it is in the list.
struct entry_list {
	void **entries; // [n], in the order of their names.
	size_t n;
	size_t room;
};

// The entry of that name, or NULL.
void *entry_list_find(const struct entry_list *list, const char *name);

// 'entry' stays its owner's, and none of its name is in the list. Returns 0 or -ENOMEM.
int entry_list_put(struct entry_list *list, void *entry);

void entry_list_remove(struct entry_list *list, void *entry);

// Leaves it empty; 'free_entry' is called for each.
void entry_list_clear(struct entry_list *list, void (*free_entry)(void *));

// Where the first entry is whose name comes after 'name'; list->n if there is none.
size_t entry_list_after(const struct entry_list *list, const char *name);
