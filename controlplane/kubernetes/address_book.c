#include "kubernetes/address_book.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"
#include "clock.h"
#include "kubernetes/address_shelf.h"
#include "kubernetes/service_object.h"

// Who has what
// ============
//
// A holder has at most two addresses of a family: the one that it is served at, and the one before,
// until it is settled. Each is a hold, and an address's record has a list of its holds: of one
// holder, or of several that share it.
//
// An answer is found first, of all families, and nothing is changed meanwhile; then what it needs
// is allocated; then it is put down, which cannot fail.

struct hold {
	struct record *record; // NULL for none.
	struct holder *holder;
	struct hold *next; // Of the same record.
};

// As it asked last.
struct claim {
	char *sharing;           // NULL for none.
	struct book_port *ports; // [n_ports], sorted, none twice.
	size_t n_ports;
};

struct holder {
	struct map_link by_owner;
	char *owner;
	char *space;
	struct claim claim;
	struct hold now[N_FAMILIES];
	struct hold before[N_FAMILIES];
	bool is_disallowed[N_FAMILIES]; // By the pool of what it has now.
};

// A range of a pool, for finding it.
struct span {
	unsigned __int128 first;
	unsigned __int128 last;
	size_t pool;
};

// All that follows from the pools.
struct layout {
	struct address_pool *pools; // [n_pools]
	size_t n_pools;
	struct shelf (*shelves)[N_FAMILIES]; // [n_pools]
	struct span *spans;                  // [n_spans], sorted.
	size_t n_spans;
};

struct address_book {
	struct layout layout;
	struct reserved_list reserved;
	struct shelf outside;
	struct map records; // By their addresses,
	struct map shared;  // and those that may be shared, by namespace and key.
	struct map holders; // By their owners.
	uint64_t freed_order;
};

// A question on its way to its answer.
struct question {
	struct address_book *book;
	const struct address_wish *wish;
	uint64_t now_ns;
	struct holder *holder; // NULL if nothing is held.
	struct claim claim;

	struct address current[N_FAMILIES]; // What it has, or publishes, and may keep.
	struct address target[N_FAMILIES];  // What it is to have.

	// Allocated before anything is changed.
	struct record *spares[2 * N_FAMILIES]; // [n_spares]
	size_t n_spares;
	struct holder *spare_holder;

	char *why; // [BOOK_WHY_MAX]
};

const char *book_answer_word(enum book_answer answer)
{
	static const char *const words[] = {
		[BOOK_GIVEN] = "Given",
		[BOOK_PARTLY] = "PartlyGiven",
		[BOOK_EXHAUSTED] = "Exhausted",
		[BOOK_NO_POOL] = "NoPool",
		[BOOK_OUTSIDE] = "OutsidePools",
		[BOOK_FORBIDDEN] = "Forbidden",
		[BOOK_TAKEN] = "Taken",
		[BOOK_RESTING] = "Resting",
		[BOOK_NO_FAMILY] = "NoFamily",
		[BOOK_NO_MEMORY] = "NoMemory",
	};
	static_assert(sizeof(words) / sizeof(words[0]) == N_BOOK_ANSWERS);

	return words[answer];
}

// Sentences
//
// They stay as they are while the answer does: who waits is asked for each second, and people are
// told of what is new.

static void say(struct question *q, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Goes on where the last one ended.
static void say(struct question *q, const char *format, ...)
{
	size_t len = strlen(q->why);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(q->why + len, BOOK_WHY_MAX - len, format, arguments);
	va_end(arguments);
}

static const char *family_word(enum family family)
{
	return family == IPV4 ? "IPv4" : "IPv6";
}

// Claims

static int compare_ports(const void *left, const void *right)
{
	const struct book_port *a = left, *b = right;

	return a->protocol != b->protocol ? (int)a->protocol - (int)b->protocol
					  : (int)a->port - (int)b->port;
}

static void free_claim(struct claim *claim)
{
	free(claim->sharing);
	free(claim->ports);
	*claim = (struct claim){0};
}

static int read_claim(const struct address_wish *wish, struct claim *ret_claim)
{
	struct claim claim = {.ports = malloc((wish->n_ports + 1) * sizeof(*claim.ports))};

	if (wish->sharing != NULL)
		claim.sharing = strdup(wish->sharing);
	if (claim.ports == NULL || (wish->sharing != NULL && claim.sharing == NULL)) {
		free_claim(&claim);
		return -ENOMEM;
	}
	if (wish->n_ports > 0)
		memcpy(claim.ports, wish->ports, wish->n_ports * sizeof(*claim.ports));
	claim.n_ports = wish->n_ports;
	qsort(claim.ports, claim.n_ports, sizeof(*claim.ports), compare_ports);
	*ret_claim = claim;
	return 0;
}

// A port that both have, or NULL.
static const struct book_port *find_common_port(const struct claim *a, const struct claim *b)
{
	size_t i = 0, j = 0;

	while (i < a->n_ports && j < b->n_ports) {
		int order = compare_ports(&a->ports[i], &b->ports[j]);

		if (order == 0)
			return &a->ports[i];
		if (order < 0)
			i++;
		else
			j++;
	}
	return NULL;
}

static bool has_key_of(const struct question *q, const struct holder *other)
{
	return q->claim.sharing != NULL && other->claim.sharing != NULL &&
		strcmp(q->wish->space, other->space) == 0 &&
		strcmp(q->claim.sharing, other->claim.sharing) == 0;
}

// Who of those that have the address keeps the one that asks from it, or NULL.
static const struct holder *find_rival(const struct question *q, const struct record *record)
{
	for (const struct hold *hold = record->holds; hold != NULL; hold = hold->next) {
		const struct holder *other = hold->holder;

		if (other != q->holder &&
			(!has_key_of(q, other) ||
				find_common_port(&q->claim, &other->claim) != NULL))
			return other;
	}
	return NULL;
}

static bool rests_from_another(const struct question *q, const struct record *record)
{
	return record_rests(record, q->now_ns) &&
		(record->last_owner == NULL || strcmp(record->last_owner, q->wish->owner) != 0);
}

// Pools

static struct shelf *find_shelf(struct address_book *book, const struct address *address)
{
	const struct layout *layout = &book->layout;
	unsigned __int128 number = address_number(address);
	size_t low = 0, high = layout->n_spans;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (layout->spans[middle].first <= number)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && number <= layout->spans[low - 1].last
		? &layout->shelves[layout->spans[low - 1].pool][address_family(address)]
		: &book->outside;
}

// The shelf that has it, or that of what is in no pool, where those are that a pool leaves out.
static struct shelf *shelf_of(struct address_book *book, const struct address *address)
{
	struct shelf *shelf = find_shelf(book, address);

	return shelf->pool != NULL && address_pool_avoids(shelf->pool, address) ? &book->outside
										: shelf;
}

static bool allows(const struct question *q, const struct address_pool *pool)
{
	const struct address_wish *wish = q->wish;

	return address_pool_allows(pool, wish->space, wish->space_labels, wish->labels);
}

static const struct address_pool *find_pool(const struct question *q, const char *name)
{
	const struct layout *layout = &q->book->layout;

	for (size_t i = 0; i < layout->n_pools; i++) {
		if (strcmp(layout->pools[i].name, name) == 0)
			return &layout->pools[i];
	}
	return NULL;
}

// Whether what is in the shelf may be given if nothing but a pool, or nothing, is asked for.
static bool is_asked_for(const struct question *q, const struct shelf *shelf)
{
	const struct address_wish *wish = q->wish;

	if (shelf->pool == NULL)
		return false;
	return wish->pool == NULL ? shelf->pool->automatic
				  : strcmp(wish->pool, shelf->pool->name) == 0;
}

// What it has

static bool is_of_file(const struct question *q, const struct address *address)
{
	return address_book_is_of_file(q->book, address);
}

// Whether the Service may have the address that it says it has, whoever else has it. Who writes
// metadata of a Service writes of any address that it is recorded, and bears any finalizer; so what
// no pool has for it is believed only if its status says it, which takes a right of its own.
static bool is_believed(const struct question *q, enum family family, const struct address *address)
{
	const struct address_wish *wish = q->wish;

	if (address_is_none(address) || address_family(address) != family || is_of_file(q, address))
		return false;
	if (wish->published_is_ours && address_equal(address, &wish->published[family]))
		return true;

	const struct shelf *shelf = shelf_of(q->book, address);
	return shelf->pool != NULL && allows(q, shelf->pool) &&
		reserved_find(&q->book->reserved, address) == NULL;
}

// Whether that may be taken for held.
static bool is_to_be_had(
	const struct question *q, enum family family, const struct address *address)
{
	const struct record *record = record_find(&q->book->records, address);

	return is_believed(q, family, address) &&
		(record == NULL ||
			(find_rival(q, record) == NULL && !rests_from_another(q, record)));
}

static void find_current(struct question *q, enum family family)
{
	const struct address_wish *wish = q->wish;
	const struct record *record = q->holder == NULL ? NULL : q->holder->now[family].record;

	if (record != NULL) {
		if (find_rival(q, record) == NULL && !is_of_file(q, &record->address))
			q->current[family] = record->address;
	} else if (is_to_be_had(q, family, &wish->recorded[family]))
		q->current[family] = wish->recorded[family];
	else if (is_to_be_had(q, family, &wish->published[family]))
		q->current[family] = wish->published[family];
}

// An address by name

// The pool that would have it, were it not for the routers; or NULL.
static const struct address_pool *find_pool_around(
	const struct question *q, const struct address *address)
{
	const struct layout *layout = &q->book->layout;

	for (size_t i = 0; i < layout->n_pools; i++) {
		if (address_pool_leaves_to_routers(&layout->pools[i], address))
			return &layout->pools[i];
	}
	return NULL;
}

static enum book_answer refuse_outside(struct question *q, const struct address *address)
{
	const struct shelf *shelf = find_shelf(q->book, address);
	const struct address_pool *around = find_pool_around(q, address);
	char text[ADDRESS_TEXT_MAX];

	address_format(address, text);
	if (shelf->pool != NULL)
		say(q, "pool %s leaves out %s, as all addresses that end in .0 or .255",
			shelf->pool->name, text);
	else if (around != NULL)
		say(q,
			"pool %s leaves out %s, the first address of an IPv6 prefix, to which its "
			"routers answer; it is given only where 'addresses' names it by itself",
			around->name, text);
	else
		say(q, "no pool has %s", text);
	return BOOK_OUTSIDE;
}

static enum book_answer refuse_taken(
	struct question *q, const struct record *record, const struct holder *rival)
{
	const struct book_port *port = find_common_port(&q->claim, &rival->claim);
	const struct address_pool *pool = record->shelf->pool;
	char text[ADDRESS_TEXT_MAX];

	say(q, "%s of pool %s is held by %s", address_format(&record->address, text),
		pool == NULL ? "(none)" : pool->name, rival->owner);
	if (port != NULL && has_key_of(q, rival))
		say(q, ", which has port %u/%s too", port->port,
			service_protocol_word(port->protocol));
	return BOOK_TAKEN;
}

static enum book_answer refuse_reserved(
	struct question *q, const struct shelf *shelf, const struct reserved_address *reserved)
{
	bool is_node = reserved->node[0] != '\0';
	char text[ADDRESS_TEXT_MAX];

	say(q, "%s of pool %s is an address of %s%s", address_format(&reserved->address, text),
		shelf->pool->name, is_node ? "node " : "the load balancer's configuration",
		reserved->node);
	return BOOK_TAKEN;
}

static enum book_answer refuse_resting(struct question *q, const struct record *record)
{
	char text[ADDRESS_TEXT_MAX];

	say(q, "%s of pool %s was held by %s less than %u s ago, and rests",
		address_format(&record->address, text),
		record->shelf->pool == NULL ? "(none)" : record->shelf->pool->name,
		record->last_owner == NULL ? "another Service" : record->last_owner, BOOK_REST_S);
	return BOOK_RESTING;
}

// Of an address that a pool has: whether that pool is for the one that asks.
static enum book_answer ask_pool(
	struct question *q, const struct address_pool *pool, const struct address *address)
{
	const char *asked = q->wish->pool;
	char text[ADDRESS_TEXT_MAX];

	address_format(address, text);
	if (asked != NULL && find_pool(q, asked) == NULL) {
		say(q, "no pool is called %s", asked);
		return BOOK_NO_POOL;
	}
	if (asked != NULL && strcmp(asked, pool->name) != 0) {
		say(q, "%s is of pool %s, not of pool %s, which is asked for as well", text,
			pool->name, asked);
		return BOOK_FORBIDDEN;
	}
	if (!allows(q, pool)) {
		say(q, "%s is of pool %s, which is not for %s by its namespace or labels", text,
			pool->name, q->wish->owner);
		return BOOK_FORBIDDEN;
	}
	return BOOK_GIVEN;
}

static enum book_answer choose_requested(struct question *q, enum family family)
{
	const struct address *address = &q->wish->requested[family];
	const struct shelf *shelf = shelf_of(q->book, address);

	// What it has, it keeps, whatever became of the pool.
	if (address_equal(address, &q->current[family]) &&
		(q->wish->pool == NULL || is_asked_for(q, shelf))) {
		q->target[family] = *address;
		return BOOK_GIVEN;
	}
	if (shelf->pool == NULL)
		return refuse_outside(q, address);

	enum book_answer answer = ask_pool(q, shelf->pool, address);
	if (answer != BOOK_GIVEN)
		return answer;

	const struct reserved_address *reserved = reserved_find(&q->book->reserved, address);
	const struct record *record = record_find(&q->book->records, address);
	const struct holder *rival = record == NULL ? NULL : find_rival(q, record);
	if (reserved != NULL)
		return refuse_reserved(q, shelf, reserved);
	if (rival != NULL)
		return refuse_taken(q, record, rival);
	if (record != NULL && rests_from_another(q, record))
		return refuse_resting(q, record);
	q->target[family] = *address;
	return BOOK_GIVEN;
}

// Any address

static uint64_t sharing_hash(const char *space, const char *key)
{
	return mix(name_hash(space) ^ mix(name_hash(key)));
}

static bool can_share(const struct question *q, const struct record *record, enum family family)
{
	const struct address_pool *pool = record->shelf->pool;

	return address_family(&record->address) == family && has_key_of(q, record->holds->holder) &&
		find_rival(q, record) == NULL && pool != NULL && allows(q, pool) &&
		(q->wish->pool == NULL || strcmp(q->wish->pool, pool->name) == 0);
}

// An address that others of its key have, and where its ports are free.
static bool choose_shared(struct question *q, enum family family)
{
	if (q->claim.sharing == NULL)
		return false;

	uint64_t hash = sharing_hash(q->wish->space, q->claim.sharing);
	struct map_link *at = map_find(&q->book->shared, hash);
	for (size_t i = 0; at != NULL && i < BOOK_SHARED_MAX; at = map_find_next(at), i++) {
		const struct record *record = MAP_THING(at, struct record, by_sharing);

		if (can_share(q, record, family)) {
			q->target[family] = record->address;
			return true;
		}
	}
	return false;
}

static bool choose_free(struct question *q, struct shelf *shelf, enum family family)
{
	const struct reserved_list *reserved = &q->book->reserved;
	const struct record *rested = shelf_find_rested(shelf, reserved, q->now_ns);

	if (shelf_find_fresh(shelf, &q->book->records, reserved, &q->target[family]))
		return true;
	if (rested != NULL)
		q->target[family] = rested->address;
	return rested != NULL;
}

static void say_full(struct question *q, const struct shelf *shelf)
{
	if (*q->why == '\0')
		say(q, "no %s address is free: in use, or resting, are all",
			family_word(shelf->family));
	else
		say(q, ", all");
	say(q, " %llu of pool %s", (unsigned long long)shelf->size, shelf->pool->name);
}

// Of the pool that is asked for by name, why it has nothing at all.
static enum book_answer refuse_named(struct question *q, enum family family)
{
	const struct address_pool *pool = find_pool(q, q->wish->pool);

	if (pool == NULL) {
		say(q, "no pool is called %s", q->wish->pool);
		return BOOK_NO_POOL;
	}
	if (!allows(q, pool)) {
		say(q, "pool %s is not for %s by its namespace or labels", pool->name,
			q->wish->owner);
		return BOOK_FORBIDDEN;
	}
	say(q, "pool %s has no %s addresses", pool->name, family_word(family));
	return BOOK_NO_POOL;
}

static enum book_answer refuse_any(struct question *q, enum family family)
{
	say(q, "no pool gives %s addresses to %s without being asked for by name",
		family_word(family), q->wish->owner);
	return BOOK_NO_POOL;
}

static enum book_answer choose_any(struct question *q, enum family family)
{
	const struct layout *layout = &q->book->layout;
	bool is_full = false;

	if (choose_shared(q, family))
		return BOOK_GIVEN;
	for (size_t i = 0; i < layout->n_pools; i++) {
		struct shelf *shelf = &layout->shelves[i][family];

		if (shelf->size == 0 || !is_asked_for(q, shelf) || !allows(q, shelf->pool))
			continue;
		if (choose_free(q, shelf, family))
			return BOOK_GIVEN;
		say_full(q, shelf);
		is_full = true;
	}
	if (is_full)
		return BOOK_EXHAUSTED;
	return q->wish->pool != NULL ? refuse_named(q, family) : refuse_any(q, family);
}

static enum book_answer choose(struct question *q, enum family family)
{
	const struct address *current = &q->current[family];

	if (!address_is_none(&q->wish->requested[family]))
		return choose_requested(q, family);
	if (!address_is_none(current) &&
		(q->wish->pool == NULL || is_asked_for(q, shelf_of(q->book, current)))) {
		q->target[family] = *current;
		return BOOK_GIVEN;
	}

	size_t len = strlen(q->why);
	enum book_answer answer = choose_any(q, family);
	// Pools that were full before one that was not are no news.
	if (answer == BOOK_GIVEN)
		q->why[len] = '\0';
	return answer;
}

// All families

static bool asks_for_family(const struct address_wish *wish, enum family family)
{
	for (size_t i = 0; i < wish->n_families; i++) {
		if (wish->families[i] == family)
			return true;
	}
	return false;
}

static bool has_family(const struct address_wish *wish, enum family family)
{
	return wish->keeps[family] || asks_for_family(wish, family);
}

static enum book_answer refuse_family(struct question *q, enum family family)
{
	char text[ADDRESS_TEXT_MAX];

	say(q, "%s is asked for, but %s has no %s",
		address_format(&q->wish->requested[family], text), q->wish->owner,
		family_word(family));
	return BOOK_NO_FAMILY;
}

// What it has stays.
static void keep(struct question *q)
{
	for (enum family family = IPV4; family < N_FAMILIES; family++)
		q->target[family] =
			has_family(q->wish, family) ? q->current[family] : (struct address){0};
}

static void keep_what_is_not_asked_for(struct question *q)
{
	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		if (!asks_for_family(q->wish, family) && has_family(q->wish, family))
			q->target[family] = q->current[family];
	}
}

static enum book_answer choose_all(struct question *q)
{
	const struct address_wish *wish = q->wish;

	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		if (!address_is_none(&wish->requested[family]) && !has_family(wish, family))
			return refuse_family(q, family);
	}

	keep_what_is_not_asked_for(q);
	if (wish->n_families == 0)
		return BOOK_GIVEN;
	enum book_answer answer = choose(q, wish->families[0]);
	if (answer != BOOK_GIVEN || wish->n_families == 1)
		return answer;
	answer = choose(q, wish->families[1]);
	if (answer == BOOK_GIVEN || wish->all_or_nothing)
		return answer;
	q->target[wish->families[1]] = q->current[wish->families[1]];
	return BOOK_PARTLY;
}

// What it takes

static void free_record(struct record *record)
{
	free(record->last_owner);
	free(record);
}

static void free_holder(struct holder *holder)
{
	if (holder == NULL)
		return;
	free(holder->owner);
	free(holder->space);
	free_claim(&holder->claim);
	free(holder);
}

static struct holder *make_holder(const struct address_wish *wish)
{
	struct holder *holder = calloc(1, sizeof(*holder));
	if (holder == NULL)
		return NULL;

	holder->owner = strdup(wish->owner);
	holder->space = strdup(wish->space);
	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		holder->now[family].holder = holder;
		holder->before[family].holder = holder;
	}
	if (holder->owner == NULL || holder->space == NULL) {
		free_holder(holder);
		return NULL;
	}
	return holder;
}

static int prepare_record(struct question *q, const struct address *address)
{
	const struct record *there = record_find(&q->book->records, address);

	// One that nobody holds may be forgotten on the way.
	if (address_is_none(address) || (there != NULL && there->holds != NULL))
		return 0;

	struct record *record = calloc(1, sizeof(*record));
	if (record == NULL)
		return -ENOMEM;
	q->spares[q->n_spares++] = record;
	return 0;
}

static int prepare(struct question *q)
{
	int r = 0;

	for (enum family family = IPV4; family < N_FAMILIES && r == 0; family++) {
		r = prepare_record(q, &q->target[family]);
		if (r == 0 && !address_equal(&q->current[family], &q->target[family]))
			r = prepare_record(q, &q->current[family]);
	}
	if (r == 0 && q->holder == NULL) {
		q->spare_holder = make_holder(q->wish);
		r = q->spare_holder == NULL ? -ENOMEM : 0;
	}
	return r;
}

static void clear(struct question *q)
{
	while (q->n_spares > 0)
		free(q->spares[--q->n_spares]);
	free_holder(q->spare_holder);
	free_claim(&q->claim);
}

// Putting it down

static void forget(struct address_book *book, struct record *record)
{
	shelf_remove(record);
	map_remove(&book->records, &record->by_address);
	free_record(record);
}

static void forget_stale(struct address_book *book, const struct shelf *shelf, uint64_t now_ns)
{
	struct record *record;

	while ((record = shelf_find_stale(shelf, now_ns)) != NULL)
		forget(book, record);
}

// Those that hold it have one key, or none: then it is alone.
static void file_by_sharing(struct address_book *book, struct record *record)
{
	const struct holder *holder = record->holds == NULL ? NULL : record->holds->holder;
	bool shares = holder != NULL && holder->claim.sharing != NULL;
	uint64_t hash = shares ? sharing_hash(holder->space, holder->claim.sharing) : 0;

	if (shares && record->is_shared && record->by_sharing.hash == hash)
		return;
	if (record->is_shared)
		map_remove(&book->shared, &record->by_sharing);
	record->is_shared = shares;
	if (shares)
		map_put(&book->shared, &record->by_sharing, hash);
}

static struct record *take_record(struct question *q, const struct address *address)
{
	struct address_book *book = q->book;
	struct record *record = record_find(&book->records, address);

	if (record == NULL) {
		record = q->spares[--q->n_spares];
		record->address = *address;
		map_put(&book->records, &record->by_address, address_hash(address));
	}
	return record;
}

static void link_hold(struct address_book *book, struct hold *hold, struct record *record)
{
	bool was_free = record->holds == NULL;

	hold->record = record;
	hold->next = record->holds;
	record->holds = hold;
	if (record->shelf == NULL)
		shelf_put(shelf_of(book, &record->address), record);
	else if (was_free)
		shelf_hold(record);
}

static void unlink_hold(struct hold *hold)
{
	struct hold **at = &hold->record->holds;

	while (*at != hold)
		at = &(*at)->next;
	*at = hold->next;
	hold->record = NULL;
	hold->next = NULL;
}

// The address is free if nobody else has it.
static void drop(struct address_book *book, struct hold *hold, uint64_t now_ns)
{
	struct record *record = hold->record;
	if (record == NULL)
		return;

	unlink_hold(hold);
	if (record->holds != NULL)
		return;
	free(record->last_owner);
	record->last_owner = strdup(hold->holder->owner);
	record->freed_ns = now_ns;
	record->freed_order = ++book->freed_order;
	file_by_sharing(book, record);
	shelf_free(record);
	forget_stale(book, record->shelf, now_ns);
}

// From one hold to another of the same holder. It is never free meanwhile.
static void move(struct hold *from, struct hold *to)
{
	struct record *record = from->record;

	unlink_hold(from);
	to->record = record;
	to->next = record->holds;
	record->holds = to;
}

static bool is_at(const struct hold *hold, const struct address *address)
{
	return hold->record != NULL && address_equal(&hold->record->address, address);
}

// What it had goes to 'before', but for one that was never settled: what came before that is what
// is served still.
static void step_back(struct question *q, struct holder *holder, enum family family)
{
	struct hold *now = &holder->now[family], *before = &holder->before[family];
	const struct address *current = &q->current[family];

	if (now->record != NULL && before->record != NULL)
		drop(q->book, now, q->now_ns);
	else if (now->record != NULL)
		move(now, before);
	else if (before->record == NULL && !address_is_none(current) &&
		!address_equal(current, &q->target[family]))
		link_hold(q->book, before, take_record(q, current));
}

static void put_down_family(struct question *q, struct holder *holder, enum family family)
{
	struct hold *now = &holder->now[family], *before = &holder->before[family];
	const struct address *target = &q->target[family];

	if (is_at(now, target))
		return;
	// It had this one before, and comes back to it before it was settled elsewhere.
	if (is_at(before, target)) {
		drop(q->book, now, q->now_ns);
		move(before, now);
		return;
	}
	step_back(q, holder, family);
	if (!address_is_none(target))
		link_hold(q->book, now, take_record(q, target));
}

// What others' ports or the file keep it from now, it has no more.
static void settle_family(struct question *q, struct holder *holder, enum family family)
{
	struct hold *now = &holder->now[family], *before = &holder->before[family];

	if (before->record != NULL &&
		(find_rival(q, before->record) != NULL || is_of_file(q, &before->record->address)))
		drop(q->book, before, q->now_ns);
	if (before->record != NULL)
		file_by_sharing(q->book, before->record);
	if (now->record == NULL)
		return;
	file_by_sharing(q->book, now->record);
	holder->is_disallowed[family] =
		now->record->shelf->pool != NULL && !allows(q, now->record->shelf->pool);
}

static bool holds_nothing(const struct holder *holder)
{
	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		if (holder->now[family].record != NULL || holder->before[family].record != NULL)
			return false;
	}
	return true;
}

static void remove_if_empty(struct address_book *book, struct holder *holder)
{
	if (!holds_nothing(holder))
		return;
	map_remove(&book->holders, &holder->by_owner);
	free_holder(holder);
}

static void put_down(struct question *q)
{
	struct address_book *book = q->book;
	struct holder *holder = q->holder;

	if (holder == NULL) {
		q->holder = holder = q->spare_holder;
		q->spare_holder = NULL;
		map_put(&book->holders, &holder->by_owner, name_hash(holder->owner));
	}

	struct claim claim = holder->claim;
	holder->claim = q->claim;
	for (enum family family = IPV4; family < N_FAMILIES; family++)
		put_down_family(q, holder, family);
	for (enum family family = IPV4; family < N_FAMILIES; family++)
		settle_family(q, holder, family);
	q->claim = claim;
	remove_if_empty(book, holder);
}

// The book

static struct holder *find_holder(const struct address_book *book, const char *owner)
{
	struct map_link *at = map_find(&book->holders, name_hash(owner));

	for (; at != NULL; at = map_find_next(at)) {
		struct holder *holder = MAP_THING(at, struct holder, by_owner);

		if (strcmp(holder->owner, owner) == 0)
			return holder;
	}
	return NULL;
}

// Puts a thing in and takes it out, so that from here on there are buckets, and no map_put() fails.
static int furnish(struct map *map)
{
	struct map_link link;
	int r = map_put(map, &link, 0);

	if (r == 0)
		map_remove(map, &link);
	return r;
}

struct address_book *address_book_create(void)
{
	struct address_book *book = calloc(1, sizeof(*book));
	if (book == NULL)
		return NULL;

	shelf_begin(&book->outside, NULL, IPV4);
	if (furnish(&book->records) < 0 || furnish(&book->shared) < 0 ||
		furnish(&book->holders) < 0) {
		address_book_destroy(book);
		return NULL;
	}
	return book;
}

static void free_layout(struct layout *layout)
{
	address_pools_free(layout->pools, layout->n_pools);
	free(layout->shelves);
	free(layout->spans);
}

void address_book_destroy(struct address_book *book)
{
	struct map_link *next;

	if (book == NULL)
		return;
	for (struct map_link *at = map_after(&book->holders, NULL); at != NULL; at = next) {
		next = map_after(&book->holders, at);
		free_holder(MAP_THING(at, struct holder, by_owner));
	}
	for (struct map_link *at = map_after(&book->records, NULL); at != NULL; at = next) {
		next = map_after(&book->records, at);
		free_record(MAP_THING(at, struct record, by_address));
	}
	map_clear(&book->holders);
	map_clear(&book->records);
	map_clear(&book->shared);
	free_layout(&book->layout);
	free(book->reserved.addresses);
	free(book);
}

// What is reserved, and believed

static int compare_reserved(const void *left, const void *right)
{
	const struct reserved_address *a = left, *b = right;
	int order = memcmp(&a->address, &b->address, sizeof(a->address));

	return order != 0 ? order : (int)(a->node[0] != '\0') - (b->node[0] != '\0');
}

int address_book_reserve(
	struct address_book *book, const struct reserved_address *reserved, size_t n)
{
	struct reserved_address *copy = malloc((n + 1) * sizeof(*copy));

	if (copy == NULL)
		return -ENOMEM;
	if (n > 0)
		memcpy(copy, reserved, n * sizeof(*copy));
	qsort(copy, n, sizeof(*copy), compare_reserved);
	free(book->reserved.addresses);
	book->reserved = (struct reserved_list){copy, n};
	return 0;
}

bool address_book_is_of_file(const struct address_book *book, const struct address *address)
{
	const struct reserved_address *reserved = reserved_find(&book->reserved, address);

	return reserved != NULL && reserved->node[0] == '\0';
}

void address_book_believe(const struct address_book *book, const struct address_wish *wish,
	struct address ret_addresses[N_FAMILIES])
{
	const struct question q = {.book = (struct address_book *)book, .wish = wish};

	memset(ret_addresses, 0, N_FAMILIES * sizeof(*ret_addresses));
	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		if (is_believed(&q, family, &wish->recorded[family]))
			ret_addresses[family] = wish->recorded[family];
		else if (is_believed(&q, family, &wish->published[family]))
			ret_addresses[family] = wish->published[family];
	}
}

enum book_answer address_book_ask(struct address_book *book, const struct address_wish *wish,
	uint64_t now_ns, struct address ret_addresses[N_FAMILIES], char ret_why[BOOK_WHY_MAX])
{
	struct question q = {.book = book, .wish = wish, .now_ns = now_ns, .why = ret_why};
	enum book_answer answer = BOOK_NO_MEMORY;

	*ret_why = '\0';
	q.holder = find_holder(book, wish->owner);
	forget_stale(book, &book->outside, now_ns);
	if (read_claim(wish, &q.claim) == 0) {
		for (enum family family = IPV4; family < N_FAMILIES; family++)
			find_current(&q, family);
		answer = choose_all(&q);
		if (answer != BOOK_GIVEN && answer != BOOK_PARTLY)
			keep(&q);
		if (prepare(&q) == 0)
			put_down(&q);
		else
			answer = BOOK_NO_MEMORY;
	}
	if (answer == BOOK_NO_MEMORY)
		snprintf(ret_why, BOOK_WHY_MAX, "out of memory");
	clear(&q);

	struct book_holder holder = {0};
	address_book_read(book, wish->owner, &holder);
	memcpy(ret_addresses, holder.address, sizeof(holder.address));
	return answer;
}

void address_book_settle(struct address_book *book, const char *owner, uint64_t now_ns)
{
	struct holder *holder = find_holder(book, owner);
	if (holder == NULL)
		return;

	for (enum family family = IPV4; family < N_FAMILIES; family++)
		drop(book, &holder->before[family], now_ns);
	remove_if_empty(book, holder);
}

void address_book_release(struct address_book *book, const char *owner, uint64_t now_ns)
{
	struct holder *holder = find_holder(book, owner);
	if (holder == NULL)
		return;

	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		drop(book, &holder->before[family], now_ns);
		drop(book, &holder->now[family], now_ns);
	}
	remove_if_empty(book, holder);
}

// Other pools

static int compare_spans(const void *left, const void *right)
{
	const struct span *a = left, *b = right;

	return a->first < b->first ? -1 : a->first > b->first;
}

static void fill_spans(struct layout *layout)
{
	for (size_t i = 0; i < layout->n_pools; i++) {
		const struct address_pool *pool = &layout->pools[i];

		for (size_t j = 0; j < pool->n_ranges; j++)
			layout->spans[layout->n_spans++] =
				(struct span){address_number(&pool->ranges[j].first),
					address_number(&pool->ranges[j].last), i};
	}
	qsort(layout->spans, layout->n_spans, sizeof(*layout->spans), compare_spans);
}

// The shelves of the pool that has this name, or NULL.
static const struct shelf *find_shelves(const struct layout *layout, const char *name)
{
	for (size_t i = 0; i < layout->n_pools; i++) {
		if (strcmp(layout->pools[i].name, name) == 0)
			return layout->shelves[i];
	}
	return NULL;
}

static void begin_shelves(struct layout *layout, const struct layout *before)
{
	for (size_t i = 0; i < layout->n_pools; i++) {
		const struct address_pool *pool = &layout->pools[i];
		const struct shelf *was = find_shelves(before, pool->name);

		for (enum family family = IPV4; family < N_FAMILIES; family++) {
			shelf_begin(&layout->shelves[i][family], pool, family);
			if (was != NULL)
				shelf_go_on(&layout->shelves[i][family], &was[family]);
		}
	}
}

static int make_layout(const struct address_pool *pools, size_t n, const struct layout *before,
	struct layout *ret_layout)
{
	struct layout layout = {.n_pools = n};
	size_t n_spans = 0;
	int r = address_pools_copy(pools, n, &layout.pools);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		n_spans += pools[i].n_ranges;
	layout.shelves = calloc(n + 1, sizeof(*layout.shelves));
	layout.spans = malloc((n_spans + 1) * sizeof(*layout.spans));
	if (layout.shelves == NULL || layout.spans == NULL) {
		free_layout(&layout);
		return -ENOMEM;
	}
	fill_spans(&layout);
	begin_shelves(&layout, before);
	*ret_layout = layout;
	return 0;
}

static int compare_freed(const void *left, const void *right)
{
	const struct record *a = *(struct record *const *)left, *b = *(struct record *const *)right;

	return a->freed_order < b->freed_order ? -1 : a->freed_order > b->freed_order;
}

// All records, those held first and then those freed, the oldest first. Returns NULL when out of
// memory.
static struct record **sort_records(const struct address_book *book)
{
	struct record **records = malloc((book->records.n + 1) * sizeof(*records));
	size_t n = 0, n_held = 0;

	if (records == NULL)
		return NULL;
	for (int freed = 0; freed < 2; freed++) {
		struct map_link *at = map_after(&book->records, NULL);

		n_held = n;
		for (; at != NULL; at = map_after(&book->records, at)) {
			struct record *record = MAP_THING(at, struct record, by_address);

			if ((record->holds == NULL) == freed)
				records[n++] = record;
		}
	}
	qsort(records + n_held, n - n_held, sizeof(struct record *), compare_freed);
	return records;
}

int address_book_set_pools(struct address_book *book, const struct address_pool *pools, size_t n)
{
	struct layout layout;
	struct record **records = sort_records(book);
	int r = records == NULL ? -ENOMEM : make_layout(pools, n, &book->layout, &layout);

	if (r < 0) {
		free(records);
		return r;
	}
	for (size_t i = 0; i < book->records.n; i++)
		shelf_remove(records[i]);
	free_layout(&book->layout);
	book->layout = layout;
	for (size_t i = 0; i < book->records.n; i++)
		shelf_put(shelf_of(book, &records[i]->address), records[i]);
	free(records);
	return 0;
}

// What is there

static void describe(const struct holder *holder, struct book_holder *ret_holder)
{
	*ret_holder = (struct book_holder){.owner = holder->owner};
	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		const struct record *now = holder->now[family].record;
		const struct record *before = holder->before[family].record;

		if (before != NULL)
			ret_holder->leaving[family] = before->address;
		if (now == NULL)
			continue;
		ret_holder->address[family] = now->address;
		if (now->shelf->pool == NULL || holder->is_disallowed[family])
			ret_holder->is_outside = true;
	}
}

bool address_book_read(
	const struct address_book *book, const char *owner, struct book_holder *ret_holder)
{
	const struct holder *holder = find_holder(book, owner);

	if (holder != NULL)
		describe(holder, ret_holder);
	return holder != NULL;
}

bool address_book_is_outside(const struct address_book *book, const char *owner)
{
	struct book_holder holder = {0};

	return address_book_read(book, owner, &holder) && holder.is_outside;
}

void address_book_each(const struct address_book *book, book_holder_fn *fn, void *argument)
{
	struct map_link *at = map_after(&book->holders, NULL);

	for (; at != NULL; at = map_after(&book->holders, at)) {
		struct book_holder holder;

		describe(MAP_THING(at, struct holder, by_owner), &holder);
		fn(argument, &holder);
	}
}

size_t address_book_count_pools(const struct address_book *book)
{
	return book->layout.n_pools;
}

void address_book_read_pool(
	const struct address_book *book, size_t i, uint64_t now_ns, struct book_pool *ret_pool)
{
	*ret_pool = (struct book_pool){.name = book->layout.pools[i].name};
	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		const struct shelf *shelf = &book->layout.shelves[i][family];

		ret_pool->size[family] = shelf->size;
		ret_pool->used[family] = shelf->n_held;
		ret_pool->resting[family] = shelf_count_resting(shelf, now_ns);
	}
}
