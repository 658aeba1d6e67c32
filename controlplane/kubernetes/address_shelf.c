#include "kubernetes/address_shelf.h"

#include <string.h>

#include "clock.h"

// Which address comes next
// ========================
//
// The one that was out of use for longest: never used before, as the pool has them in order, else
// freed first. Freed ones stand in a queue of at most BOOK_FREED_MAX once they have rested; those
// before count as never used, and are met again when the search comes round.
//
// A search steps over as many addresses as have records or are reserved, at most, and over those
// that are left out: the size of a pool costs nothing.

uint64_t address_hash(const struct address *address)
{
	return mix(address->halves[0] ^ mix(address->halves[1]));
}

struct record *record_find(const struct map *records, const struct address *address)
{
	struct map_link *at = map_find(records, address_hash(address));

	for (; at != NULL; at = map_find_next(at)) {
		struct record *record = MAP_THING(at, struct record, by_address);

		if (address_equal(&record->address, address))
			return record;
	}
	return NULL;
}

// The first of those with the address, which is the file's if it is one of these.
const struct reserved_address *reserved_find(
	const struct reserved_list *reserved, const struct address *address)
{
	size_t low = 0, high = reserved->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (memcmp(&reserved->addresses[middle].address, address, sizeof(*address)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < reserved->n && address_equal(&reserved->addresses[low].address, address)
		? &reserved->addresses[low]
		: NULL;
}

static const struct address_range *range_of(const struct shelf *shelf)
{
	return &shelf->pool->ranges[shelf->range];
}

static void go_to(struct shelf *shelf, size_t range)
{
	shelf->range = range;
	shelf->next = address_number(&range_of(shelf)->first);
}

void shelf_begin(struct shelf *shelf, const struct address_pool *pool, enum family family)
{
	*shelf = (struct shelf){.pool = pool, .family = family};
	TAILQ_INIT(&shelf->freed);
	if (pool == NULL)
		return;
	shelf->size = address_pool_size(pool, family);
	if (pool->n_ranges > 0)
		go_to(shelf, 0);
}

void shelf_go_on(struct shelf *shelf, const struct shelf *before)
{
	struct address next = address_of_number(before->next);

	for (size_t i = 0; i < shelf->pool->n_ranges; i++) {
		if (address_range_has(&shelf->pool->ranges[i], &next)) {
			shelf->range = i;
			shelf->next = before->next;
			return;
		}
	}
}

static void step(struct shelf *shelf)
{
	if (shelf->next < address_number(&range_of(shelf)->last))
		shelf->next++;
	else
		go_to(shelf, (shelf->range + 1) % shelf->pool->n_ranges);
}

bool shelf_find_fresh(struct shelf *shelf, const struct map *records,
	const struct reserved_list *reserved, struct address *ret_address)
{
	size_t n_tried = 0;

	if (shelf->n_records >= shelf->size)
		return false;

	// There is one, or it is reserved. Ranges of the other family are stepped over whole.
	while (n_tried <= shelf->n_records + reserved->n) {
		if (address_family(&range_of(shelf)->first) != shelf->family) {
			go_to(shelf, (shelf->range + 1) % shelf->pool->n_ranges);
			continue;
		}

		struct address address = address_of_number(shelf->next);
		bool is_one = !address_pool_avoids(shelf->pool, &address);
		if (is_one && record_find(records, &address) == NULL &&
			reserved_find(reserved, &address) == NULL) {
			*ret_address = address;
			return true;
		}
		n_tried += is_one;
		step(shelf);
	}
	return false;
}

bool record_rests(const struct record *record, uint64_t now_ns)
{
	return record->holds == NULL && now_ns < record->freed_ns + BOOK_REST_S * NSEC_PER_SEC;
}

struct record *shelf_find_rested(
	const struct shelf *shelf, const struct reserved_list *reserved, uint64_t now_ns)
{
	struct record *record;

	TAILQ_FOREACH(record, &shelf->freed, queue)
	{
		if (record_rests(record, now_ns))
			break;
		if (reserved_find(reserved, &record->address) == NULL)
			return record;
	}
	return NULL;
}

uint64_t shelf_count_resting(const struct shelf *shelf, uint64_t now_ns)
{
	struct record *record;
	uint64_t n = 0;

	TAILQ_FOREACH_REVERSE(record, &shelf->freed, record_queue, queue)
	{
		if (!record_rests(record, now_ns))
			break;
		n++;
	}
	return n;
}

static void push_freed(struct record *record)
{
	TAILQ_INSERT_TAIL(&record->shelf->freed, record, queue);
	record->shelf->n_freed++;
}

static void take_freed(struct record *record)
{
	TAILQ_REMOVE(&record->shelf->freed, record, queue);
	record->shelf->n_freed--;
}

void shelf_put(struct shelf *shelf, struct record *record)
{
	record->shelf = shelf;
	shelf->n_records++;
	if (record->holds == NULL)
		push_freed(record);
	else
		shelf->n_held++;
}

void shelf_hold(struct record *record)
{
	take_freed(record);
	record->shelf->n_held++;
}

void shelf_free(struct record *record)
{
	push_freed(record);
	record->shelf->n_held--;
}

void shelf_remove(struct record *record)
{
	if (record->holds == NULL)
		take_freed(record);
	else
		record->shelf->n_held--;
	record->shelf->n_records--;
}

struct record *shelf_find_stale(const struct shelf *shelf, uint64_t now_ns)
{
	struct record *oldest = TAILQ_FIRST(&shelf->freed);

	return shelf->n_freed > BOOK_FREED_MAX && !record_rests(oldest, now_ns) ? oldest : NULL;
}
