#include "index_builder.h"

#include <assert.h>

size_t index_builder_slots(size_t n_keys)
{
	size_t n = 8; // A cache line.

	while (n < n_keys * 2)
		n *= 2;
	return n;
}

struct index index_builder_begin(struct index_slot *slots, size_t n_slots)
{
	assert((n_slots & (n_slots - 1)) == 0 && n_slots - 1 <= UINT32_MAX);

	for (size_t i = 0; i < n_slots; i++)
		slots[i] = (struct index_slot){.at = INDEX_EMPTY};
	return (struct index){.mask = (uint32_t)(n_slots - 1), .slots = slots};
}

void index_builder_put(struct index *index, uint64_t hash, uint32_t at)
{
	// Ours until the table is published.
	struct index_slot *slots = (struct index_slot *)index->slots;
	uint32_t i = (uint32_t)hash & index->mask;

	while (slots[i].at != INDEX_EMPTY)
		i = (i + 1) & index->mask;
	slots[i] = (struct index_slot){.tag = (uint32_t)(hash >> 32), .at = at};
}
