#include "entry_list.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// Entries in the order of their names, side by side: a whole list comes in that order and is put at
// the end, and walking along ten thousand of them takes no look at any.

enum { ROOM_FIRST = 64 };

// Where the entry of that name is, or would be.
static size_t place_of(const struct entry_list *list, const char *name, bool *ret_is_there)
{
	size_t low = 0, high = list->n;

	*ret_is_there = false;
	while (low < high) {
		// The last one first: what comes in order is put there.
		size_t middle = high == list->n ? high - 1 : low + (high - low) / 2;
		int order = strcmp(list->entries[middle], name);

		*ret_is_there |= order == 0;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void *entry_list_find(const struct entry_list *list, const char *name)
{
	bool is_there;
	size_t at = place_of(list, name, &is_there);

	return is_there ? list->entries[at] : NULL;
}

size_t entry_list_after(const struct entry_list *list, const char *name)
{
	bool is_there;
	size_t at = place_of(list, name, &is_there);

	return at + is_there;
}

static int make_room(struct entry_list *list)
{
	size_t room = list->room == 0 ? ROOM_FIRST : 2 * list->room;
	void **more;

	if (list->n < list->room)
		return 0;
	more = realloc(list->entries, room * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	list->entries = more;
	list->room = room;
	return 0;
}

int entry_list_put(struct entry_list *list, void *entry)
{
	bool is_there;
	size_t at = place_of(list, entry, &is_there);

	if (make_room(list) < 0)
		return -ENOMEM;
	memmove(&list->entries[at + 1], &list->entries[at], (list->n - at) * sizeof(void *));
	list->entries[at] = entry;
	list->n++;
	return 0;
}

void entry_list_remove(struct entry_list *list, void *entry)
{
	bool is_there;
	size_t at = place_of(list, entry, &is_there);

	if (!is_there)
		return;
	list->n--;
	memmove(&list->entries[at], &list->entries[at + 1], (list->n - at) * sizeof(void *));
}

void entry_list_clear(struct entry_list *list, void (*free_entry)(void *))
{
	for (size_t i = 0; i < list->n; i++)
		free_entry(list->entries[i]);
	free(list->entries);
	*list = (struct entry_list){0};
}
