// Flow memory
// ===========
//
//     header | flows, queue heads | forward buckets | return buckets
//
// A flow has a place of its own for life, and is found from two sides: by (client, port, service)
// when the client speaks, by (node, node port, SNAT address, SNAT port, protocol) when the node
// does. Each side has an index of its own, made of buckets of one line of memory: ten 16-bit tags,
// compared at once, and ten places. So a lookup waits for memory twice, once for the bucket and
// once for the flow, whether it is the first flow or the millionth.
//
// Buckets
// -------
// A flow that finds its bucket full lies in the next one that has room, and every bucket that it
// passed counts it in 'overflows'; a search goes on while that is not 0. The counts come from F14
// (Bronson and Shi, "Open-sourcing F14 for faster, more memory-efficient hash tables", Facebook
// Engineering, 2019) and let a flow be removed without tombstones. We differ in stepping to the
// neighbour, which the processor fetches along. A full table fills 6 of 10 places, where one flow
// in 100 lies outside its bucket (measured, like Knuth's figure for buckets of ten: The Art of
// Computer Programming 3, section 6.4, table 4). There are more places than flows, so an index is
// never full. Per flow the two indexes cost 2 x 64 / 6 = 21.3 bytes.
//
// Queues
// ------
// A flow in use is in exactly one queue, which says when to look at it again, so that nothing
// sweeps the table. A queue's head is an element of the same array, so that linking has no special
// case.
//
//     half open     a wheel of 64 queues, one a second: due when the flow would expire
//     established   a wheel of 1024 queues, the same
//     closing       one queue: all rest equally long, so the first is the oldest
//     resting       one queue
//
// A packet only writes 'seen_s'. When a wheel comes to a flow's second and the flow has been seen
// since, it goes to its new second, or to the furthest that the wheel has: an established flow is
// moved at most once per idle time, or per 1024 s, however many packets it has.
//
// When full
// ---------
// The longest resting gives way to a new flow, else the half-open flow that would expire first,
// else the longest closing; an established one never. A UDP flow is half open until its first
// reply, so a flood with invented addresses, of SYNs or datagrams, evicts only itself and flows
// younger than the time in which it fills the table. A half-open one that still speaks is passed
// over, a few times at most.
//
// Gauges
// ------
// The control plane reuses an id when no worker counts a flow of it. A resting flow is not counted:
// it has left the forward index, replies to it are dropped, and nothing looks up a service or node
// by it any more. If its node_id should be reused while it rests, some ports rest towards the new
// node that need not.
//
// One over another
// ----------------
// A table may lie over another (flow_table_lay_over()), as a sheet of tracing paper does: a search
// that finds nothing goes on there, and puts a copy of what it finds here. So whoever works with
// the table above sees what the table below has, and changes nothing of it.
//
// Reading along
// -------------
// Between 'state' leaving FLOW_FREE and coming back to it, the identity of a flow (all that
// flow_is() and flow_is_back() compare) does not change. flow_table_view() reads the identity, then
// the state, then the identity again. If it has seen anything of one flow and anything of its
// successor, the writer was between the two when it read the state, and that was FLOW_FREE.

#include "flow_table.h"

#include <netinet/in.h>

#include "flow_hash.h"
#include "pipeline.h"

enum {
	LAYOUT_VERSION = 2,

	HALF_OPEN_SECONDS = 64,
	ESTABLISHED_SECONDS = 1024,

	// Half-open flows that still speak and so are passed over for one that gives way.
	PASSED_OVER_MAX = 4,

	// How far ahead the memory of flows never used is asked for.
	BEGIN_AHEAD = 8,
};

// Queues by number. A link to queue q is n_flows + q.
enum {
	CLOSING_QUEUE,
	RESTING_QUEUE,
	HALF_OPEN_QUEUES,
	ESTABLISHED_QUEUES = HALF_OPEN_QUEUES + HALF_OPEN_SECONDS,
	N_QUEUES = ESTABLISHED_QUEUES + ESTABLISHED_SECONDS,
};

// A timer wheel: a queue for each of the 'n' seconds from '*next_s' on.
struct wheel {
	uint32_t first_queue;
	uint32_t n; // A power of two.
	uint32_t *next_s;
};

static struct wheel half_open_wheel(struct flow_table *ft)
{
	return (struct wheel){HALF_OPEN_QUEUES, HALF_OPEN_SECONDS, &ft->half_open_s};
}

static struct wheel established_wheel(struct flow_table *ft)
{
	return (struct wheel){ESTABLISHED_QUEUES, ESTABLISHED_SECONDS, &ft->established_s};
}

static struct flow *flow_of(const struct flow_table *ft, uint32_t link)
{
	return flow_table_flow(ft, ft->family, link);
}

// The first line holds the whole header but for what the worker writes, which has its own.
static size_t header_bytes(void)
{
	return (sizeof(struct flow_table) + 63) & ~(size_t)63;
}

static size_t flows_bytes(enum family family, size_t n_flows)
{
	size_t bytes = (n_flows + N_QUEUES) << (family == IPV4 ? 5 : 6);

	return (bytes + 63) & ~(size_t)63;
}

static size_t n_buckets_for(size_t n_flows)
{
	return (n_flows + FLOW_BUCKET_USED - 1) / FLOW_BUCKET_USED;
}

size_t flow_table_bytes(enum family family, size_t n_flows)
{
	return header_bytes() + flows_bytes(family, n_flows) +
		N_FLOW_SIDES * n_buckets_for(n_flows) * sizeof(struct flow_bucket);
}

struct flow_table *flow_table_create(void *memory, enum family family, size_t n_flows,
	const uint64_t hash_key[2], uint32_t now_s)
{
	struct flow_table *ft = memory;

	assert(n_flows >= FLOWS_MIN && n_flows <= FLOWS_MAX && (uintptr_t)memory % 64 == 0);
	ft->family = family;
	ft->version = LAYOUT_VERSION;
	ft->hash_key[0] = hash_key[0];
	ft->hash_key[1] = hash_key[1];
	ft->n_flows = (uint32_t)n_flows;
	ft->n_buckets = (uint32_t)n_buckets_for(n_flows);
	ft->flows = header_bytes();
	ft->buckets[FLOW_FORWARD] = ft->flows + flows_bytes(family, n_flows);
	ft->buckets[FLOW_BACK] =
		ft->buckets[FLOW_FORWARD] + ft->n_buckets * sizeof(struct flow_bucket);
	ft->free = FLOW_NONE;
	ft->half_open_s = now_s;
	ft->oldest_s = now_s;
	ft->established_s = now_s;
	ft->expired_s = now_s - 1;

	for (uint32_t q = ft->n_flows; q < ft->n_flows + N_QUEUES; q++)
		flow_of(ft, q)->next = flow_of(ft, q)->prev = q;
	return ft;
}

// The indexes
// -----------

static struct flow_bucket *bucket_behind(
	const struct flow_table *ft, enum flow_side side, struct flow_bucket *bucket)
{
	struct flow_bucket *first = (struct flow_bucket *)((uintptr_t)ft + ft->buckets[side]);

	return bucket + 1 == first + ft->n_buckets ? first : bucket + 1;
}

static void index_put(struct flow_table *ft, enum flow_side side, uint64_t hash, flow_at at)
{
	struct flow_bucket *bucket = flow_table_bucket(ft, side, hash);
	unsigned unused = flow_bucket_match(bucket, 0);

	while (unlikely(unused == 0)) {
		bucket->overflows++;
		bucket = bucket_behind(ft, side, bucket);
		unused = flow_bucket_match(bucket, 0);
	}
	bucket->places[__builtin_ctz(unused)] = at;
	bucket->tags[__builtin_ctz(unused)] = flow_tag(hash);
}

static bool bucket_remove(struct flow_bucket *bucket, uint16_t tag, flow_at at)
{
	for (unsigned m = flow_bucket_match(bucket, tag); m != 0; m &= m - 1) {
		if (bucket->places[__builtin_ctz(m)] == at) {
			bucket->tags[__builtin_ctz(m)] = 0;
			return true;
		}
	}
	return false;
}

static void index_remove(struct flow_table *ft, enum flow_side side, uint64_t hash, flow_at at)
{
	struct flow_bucket *bucket = flow_table_bucket(ft, side, hash);

	while (!bucket_remove(bucket, flow_tag(hash), at)) {
		assert(bucket->overflows > 0);
		bucket->overflows--;
		bucket = bucket_behind(ft, side, bucket);
	}
}

static uint64_t hash_of(const struct flow_table *ft, const struct flow *flow)
{
	return ft->family == IPV4
		? flow_hash(ft->hash_key, IPV4, flow->client, flow->client_port, flow->service)
		: flow_hash(ft->hash_key, IPV6, flow->client, flow->client_port, flow->service);
}

static uint64_t hash_back_of(const struct flow_table *ft, const struct flow *flow)
{
	return flow_hash_back(ft->hash_key, flow->back.word);
}

static inline __attribute__((always_inline)) flow_at find(const struct flow_table *ft,
	enum family family, uint64_t hash, const void *client, __be16 client_port,
	service_id service)
{
	struct flow_bucket *bucket = flow_table_bucket(ft, FLOW_FORWARD, hash);

	for (uint32_t i = 0; i < ft->n_buckets; i++) {
		for (unsigned m = flow_bucket_match(bucket, flow_tag(hash)); m != 0; m &= m - 1) {
			flow_at at = bucket->places[__builtin_ctz(m)];

			if (flow_is(flow_table_flow(ft, family, at), family, client, client_port,
				    service))
				return at;
		}
		if (likely(bucket->overflows == 0))
			return FLOW_NONE;
		bucket = bucket_behind(ft, FLOW_FORWARD, bucket);
	}
	return FLOW_NONE;
}

static inline flow_at find_back(const struct flow_table *ft, uint64_t hash, union return_key back)
{
	struct flow_bucket *bucket = flow_table_bucket(ft, FLOW_BACK, hash);

	for (uint32_t i = 0; i < ft->n_buckets; i++) {
		for (unsigned m = flow_bucket_match(bucket, flow_tag(hash)); m != 0; m &= m - 1) {
			flow_at at = bucket->places[__builtin_ctz(m)];

			if (flow_is_back(flow_of(ft, at), back))
				return at;
		}
		if (likely(bucket->overflows == 0))
			return FLOW_NONE;
		bucket = bucket_behind(ft, FLOW_BACK, bucket);
	}
	return FLOW_NONE;
}

// One over another
// ----------------

void flow_table_lay_over(struct flow_table *ft, const struct flow_table *behind)
{
	assert(ft->family == behind->family && ft->n_begun == 0);
	ft->behind = (intptr_t)behind - (intptr_t)ft;
}

static const struct flow_table *behind_of(const struct flow_table *ft)
{
	return (const struct flow_table *)((intptr_t)ft + ft->behind);
}

static flow_at take_copy(const struct flow_table *ft, flow_at at_behind);

flow_at flow_table_find(const struct flow_table *ft, uint64_t hash, const void *client,
	__be16 client_port, service_id service)
{
	flow_at at = ft->family == IPV4 ? find(ft, IPV4, hash, client, client_port, service)
					: find(ft, IPV6, hash, client, client_port, service);

	if (likely(at != FLOW_NONE || ft->behind == 0))
		return at;
	return take_copy(ft, flow_table_find(behind_of(ft), hash, client, client_port, service));
}

flow_at flow_table_find_back(const struct flow_table *ft, uint64_t hash, union return_key back)
{
	flow_at at = find_back(ft, hash, back);

	if (likely(at != FLOW_NONE || ft->behind == 0))
		return at;
	return take_copy(ft, flow_table_find_back(behind_of(ft), hash, back));
}

// The queues
// ----------

static void unlink_flow(struct flow_table *ft, const struct flow *flow)
{
	flow_of(ft, flow->prev)->next = flow->next;
	flow_of(ft, flow->next)->prev = flow->prev;
}

static void link_last(struct flow_table *ft, uint32_t queue, flow_at at)
{
	uint32_t head = ft->n_flows + queue;
	struct flow *flow = flow_of(ft, at);

	flow->next = head;
	flow->prev = flow_of(ft, head)->prev;
	flow_of(ft, flow->prev)->next = at;
	flow_of(ft, head)->prev = at;
}

// FLOW_NONE where the queue is empty.
static flow_at first_of(const struct flow_table *ft, uint32_t queue)
{
	uint32_t link = flow_of(ft, ft->n_flows + queue)->next;

	return link < ft->n_flows ? link : FLOW_NONE;
}

// The queue of second 'due_s', or the nearest that the wheel has to come to.
static uint32_t wheel_queue(const struct wheel *wheel, uint32_t due_s)
{
	uint32_t ahead_s = due_s - *wheel->next_s;

	if ((int32_t)ahead_s < 0)
		due_s = *wheel->next_s;
	else if (ahead_s >= wheel->n)
		due_s = *wheel->next_s + wheel->n - 1;
	return wheel->first_queue + (due_s & (wheel->n - 1));
}

// How long a flow in this state may be silent, or in it, by 'table'.
static uint32_t patience_s(const struct forwarding_table *table, enum flow_state state,
	uint8_t protocol, service_id id)
{
	const struct forwarding_settings *settings = &table->settings;

	switch (state) {
	case FLOW_HALF_OPEN:
		return protocol == IPPROTO_TCP ? settings->tcp_half_open_s
					       : settings->udp_one_way_s;
	case FLOW_ESTABLISHED:
		// The flows of a service that is gone go with it.
		return id < table->n_services && service_exists(&table->services[id])
			? table->services[id].idle_s
			: 0;
	case FLOW_CLOSING:
		return settings->tcp_closing_s;
	case FLOW_RESTING:
		return settings->snat_rest_s;
	default:
		return 0;
	}
}

// The second in which the flow expires if nothing comes.
static uint32_t due_s(const struct forwarding_table *table, const struct flow *flow)
{
	return flow->seen_s + patience_s(table, flow->state, flow->back.protocol, flow->service);
}

static void link_by_state(struct flow_table *ft, const struct flow_context *c, flow_at at)
{
	const struct flow *flow = flow_of(ft, at);
	struct wheel wheel;

	switch (flow->state) {
	case FLOW_HALF_OPEN:
		wheel = half_open_wheel(ft);
		if ((int32_t)(due_s(c->table, flow) - ft->oldest_s) < 0)
			ft->oldest_s = due_s(c->table, flow);
		link_last(ft, wheel_queue(&wheel, due_s(c->table, flow)), at);
		break;
	case FLOW_ESTABLISHED:
		wheel = established_wheel(ft);
		link_last(ft, wheel_queue(&wheel, due_s(c->table, flow)), at);
		break;
	case FLOW_CLOSING:
		link_last(ft, CLOSING_QUEUE, at);
		break;
	default:
		link_last(ft, RESTING_QUEUE, at);
	}
}

// The life of a flow
// ------------------

static void count_state(struct flow_table *ft, enum flow_state state, uint32_t n)
{
	_Atomic uint32_t *count = &ft->n_in_state[state];

	atomic_store_explicit(
		count, atomic_load_explicit(count, memory_order_relaxed) + n, memory_order_relaxed);
}

static void set_state(struct flow_table *ft, struct flow *flow, enum flow_state state)
{
	count_state(ft, flow->state, -1);
	count_state(ft, state, 1);
	// Release: pairs with the fences in flow_table_view(), which find the whole identity
	// before a state that says there is one.
	__atomic_store_n(&flow->state, state, __ATOMIC_RELEASE);
}

static void count_flow(const struct flow_context *c, const struct flow *flow, uint64_t n)
{
	counter_add(&c->counters->services.flows[flow->service].now, n);
	counter_add(&c->counters->nodes.flows[flow->back.node].now, n);
}

static void count_begin(const struct flow_context *c, const struct flow *flow)
{
	counter_add(&c->counters->events[EVENT_FLOWS_CREATED], 1);
	counter_add(&c->counters->services.flows[flow->service].created, 1);
	counter_add(&c->counters->nodes.flows[flow->back.node].created, 1);
	count_flow(c, flow, 1);
}

void flow_table_remove(struct flow_table *ft, const struct flow_context *c, flow_at at)
{
	struct flow *flow = flow_of(ft, at);

	unlink_flow(ft, flow);
	index_remove(ft, FLOW_BACK, hash_back_of(ft, flow), at);
	if (flow->state != FLOW_RESTING) {
		index_remove(ft, FLOW_FORWARD, hash_of(ft, flow), at);
		count_flow(c, flow, -1);
	}
	set_state(ft, flow, FLOW_FREE);
	// What overwrites the identity comes after the state that says so: with flow_table_view().
	__atomic_thread_fence(__ATOMIC_RELEASE);
	flow->next = ft->free;
	ft->free = at;
}

// FLOW_NONE where every flow is in use.
static flow_at take_free(struct flow_table *ft)
{
	flow_at at = ft->free;

	if (at != FLOW_NONE) {
		ft->free = flow_of(ft, at)->next;
		if (ft->free != FLOW_NONE)
			__builtin_prefetch(flow_of(ft, ft->free), 1);
		return at;
	}
	if (ft->n_begun == ft->n_flows)
		return FLOW_NONE;
	// May be beyond the last: a queue's head, or the first bucket.
	__builtin_prefetch(flow_of(ft, ft->n_begun + BEGIN_AHEAD), 1);
	return ft->n_begun++;
}

// Of a flow that its wheel has come to in second 'at_s': if it has spoken since, it goes on to its
// new second. Returns false if it has not.
static bool lives_on(struct flow_table *ft, const struct flow_context *c, const struct wheel *wheel,
	flow_at at, uint32_t at_s)
{
	struct flow *flow = flow_of(ft, at);
	uint32_t due = due_s(c->table, flow);

	if ((int32_t)(due - at_s) <= 0)
		return false;
	unlink_flow(ft, flow);
	link_last(ft, wheel_queue(wheel, due), at);
	return true;
}

// How many seconds of the wheel are known to be empty.
static uint32_t first_half_open(const struct flow_table *ft)
{
	int32_t n = (int32_t)(ft->oldest_s - ft->half_open_s);

	return n < 0 || n >= HALF_OPEN_SECONDS ? 0 : (uint32_t)n;
}

// The half-open flow that would expire first, or nearly.
static flow_at oldest_half_open(struct flow_table *ft, const struct flow_context *c)
{
	struct wheel wheel = half_open_wheel(ft);
	unsigned passed_over = 0;

	for (uint32_t i = first_half_open(ft); i < wheel.n; i++) {
		uint32_t second = *wheel.next_s + i;
		flow_at at = first_of(ft, wheel_queue(&wheel, second));

		while (at != FLOW_NONE && passed_over++ < PASSED_OVER_MAX &&
			lives_on(ft, c, &wheel, at, second))
			at = first_of(ft, wheel_queue(&wheel, second));
		ft->oldest_s = second;
		if (at != FLOW_NONE)
			return at;
	}
	return FLOW_NONE;
}

// Where flows go one after the other from the front of a queue: asks for what it will take to
// remove the second behind this one, and to look at the third, so that they wait for memory while
// those before are dealt with.
static void ask_ahead(const struct flow_table *ft, const struct flow *first)
{
	const struct flow *second = flow_of(ft, flow_of(ft, first->next)->next);

	__builtin_prefetch(flow_table_bucket(ft, FLOW_FORWARD, hash_of(ft, second)), 1);
	__builtin_prefetch(flow_table_bucket(ft, FLOW_BACK, hash_back_of(ft, second)), 1);
	__builtin_prefetch(flow_of(ft, second->next), 1);
}

static bool give_way(
	struct flow_table *ft, const struct flow_context *c, flow_at at, enum event event)
{
	if (at == FLOW_NONE)
		return false;
	ask_ahead(ft, flow_of(ft, at));
	flow_table_remove(ft, c, at);
	counter_add(&c->counters->events[event], 1);
	return true;
}

static bool make_room(struct flow_table *ft, const struct flow_context *c)
{
	return give_way(ft, c, first_of(ft, RESTING_QUEUE), EVENT_FLOWS_EVICTED_RESTING) ||
		give_way(ft, c, oldest_half_open(ft, c), EVENT_FLOWS_EVICTED_HALF_OPEN) ||
		give_way(ft, c, first_of(ft, CLOSING_QUEUE), EVENT_FLOWS_EVICTED_CLOSING);
}

// Of a flow of the table behind, if it is one. Nobody expires it here, so any queue will do.
static flow_at take_copy(const struct flow_table *ft, flow_at at_behind)
{
	// To who only searches it is as if the flow had been here.
	struct flow_table *here = (struct flow_table *)(uintptr_t)ft;
	flow_at at = at_behind == FLOW_NONE ? FLOW_NONE : take_free(here);
	if (at == FLOW_NONE)
		return FLOW_NONE;

	struct flow *flow = flow_of(here, at);
	memcpy(flow, flow_of(behind_of(ft), at_behind), 1u << (ft->family == IPV4 ? 5 : 6));
	count_state(here, flow->state, 1);
	if (flow->state != FLOW_RESTING)
		index_put(here, FLOW_FORWARD, hash_of(here, flow), at);
	index_put(here, FLOW_BACK, hash_back_of(here, flow), at);
	link_last(here, RESTING_QUEUE, at);
	return at;
}

// Whether the table behind has only established flows, of which none has lost its place here.
static bool is_full_behind(const struct flow_table *ft)
{
	const struct flow_table *behind = behind_of(ft);

	return atomic_load(&behind->n_in_state[FLOW_ESTABLISHED]) == behind->n_flows &&
		ft->free == FLOW_NONE &&
		atomic_load(&ft->n_in_state[FLOW_ESTABLISHED]) == flow_table_used(ft);
}

flow_at flow_table_add(struct flow_table *ft, const struct flow_context *c,
	const struct flow_identity *new, uint64_t hash, uint64_t hash_back)
{
	if (unlikely(ft->behind != 0) && is_full_behind(ft))
		return FLOW_NONE;

	flow_at at = take_free(ft);
	if (unlikely(at == FLOW_NONE)) {
		if (!make_room(ft, c))
			return FLOW_NONE;
		at = take_free(ft);
	}

	struct flow *flow = flow_of(ft, at);
	flow->seen_s = c->now_s;
	flow->service = new->service;
	flow->back = new->back;
	flow->client_port = new->client_port;
	flow->marks = 0;
	memcpy(flow->client, new->client, ft->family == IPV4 ? 4 : 16);
	set_state(ft, flow, FLOW_HALF_OPEN);

	index_put(ft, FLOW_FORWARD, hash, at);
	index_put(ft, FLOW_BACK, hash_back, at);
	link_by_state(ft, c, at);
	count_begin(c, flow);
	return at;
}

void flow_table_move(
	struct flow_table *ft, const struct flow_context *c, flow_at at, enum flow_state state)
{
	struct flow *flow = flow_of(ft, at);

	unlink_flow(ft, flow);
	flow->seen_s = c->now_s;
	set_state(ft, flow, state);
	link_by_state(ft, c, at);
}

void flow_table_end(struct flow_table *ft, const struct flow_context *c, flow_at at)
{
	struct flow *flow = flow_of(ft, at);

	index_remove(ft, FLOW_FORWARD, hash_of(ft, flow), at);
	count_flow(c, flow, -1);
	flow_table_move(ft, c, at, FLOW_RESTING);
}

// Time
// ----

// Of a queue in which all wait equally long. Returns what is left of 'budget'.
static unsigned expire_queue(
	struct flow_table *ft, const struct flow_context *c, uint32_t queue, unsigned budget)
{
	for (; budget > 0; budget--) {
		flow_at at = first_of(ft, queue);

		if (at == FLOW_NONE || (int32_t)(due_s(c->table, flow_of(ft, at)) - c->now_s) > 0)
			break;
		ask_ahead(ft, flow_of(ft, at));
		if (queue == RESTING_QUEUE) {
			flow_table_remove(ft, c, at);
		} else {
			flow_table_end(ft, c, at);
			counter_add(&c->counters->events[EVENT_FLOWS_EXPIRED], 1);
		}
	}
	return budget;
}

static unsigned expire_second(struct flow_table *ft, const struct flow_context *c,
	const struct wheel *wheel, unsigned budget)
{
	uint32_t queue = wheel_queue(wheel, *wheel->next_s);

	for (; budget > 0; budget--) {
		flow_at at = first_of(ft, queue);

		if (at == FLOW_NONE) {
			(*wheel->next_s)++;
			return budget - 1;
		}
		ask_ahead(ft, flow_of(ft, at));
		if (!lives_on(ft, c, wheel, at, *wheel->next_s)) {
			flow_table_end(ft, c, at);
			counter_add(&c->counters->events[EVENT_FLOWS_EXPIRED], 1);
		}
	}
	return 0;
}

static unsigned expire_wheel(struct flow_table *ft, const struct flow_context *c,
	const struct wheel *wheel, unsigned budget)
{
	// After a long sleep once round is enough.
	if ((int32_t)(c->now_s - *wheel->next_s) >= (int32_t)wheel->n)
		*wheel->next_s = c->now_s - wheel->n + 1;

	while (budget > 0 && (int32_t)(c->now_s - *wheel->next_s) >= 0)
		budget = expire_second(ft, c, wheel, budget);
	return budget;
}

unsigned flow_table_expire(struct flow_table *ft, const struct flow_context *c, unsigned budget)
{
	struct wheel half_open = half_open_wheel(ft);
	struct wheel established = established_wheel(ft);
	unsigned left = budget;

	if (ft->expired_s == c->now_s)
		return 0;
	left = expire_queue(ft, c, RESTING_QUEUE, left);
	left = expire_queue(ft, c, CLOSING_QUEUE, left);
	left = expire_wheel(ft, c, &half_open, left);
	left = expire_wheel(ft, c, &established, left);
	if (left > 0)
		ft->expired_s = c->now_s;
	return budget - left;
}

// Reading along
// -------------

size_t flow_table_used(const struct flow_table *ft)
{
	size_t used = 0;

	for (unsigned state = FLOW_HALF_OPEN; state < N_FLOW_STATES; state++)
		used += atomic_load_explicit(&ft->n_in_state[state], memory_order_relaxed);
	return used;
}

struct identity {
	uint64_t back;
	service_id service;
	__be16 client_port;
	__be32 client[4];
};

static void read_identity(const struct flow *flow, unsigned n_words, struct identity *ret_identity)
{
	*ret_identity = (struct identity){
		.back = __atomic_load_n(&flow->back.word, __ATOMIC_RELAXED),
		.service = __atomic_load_n(&flow->service, __ATOMIC_RELAXED),
		.client_port = __atomic_load_n(&flow->client_port, __ATOMIC_RELAXED),
	};
	for (unsigned i = 0; i < n_words; i++)
		ret_identity->client[i] = __atomic_load_n(&flow->client[i], __ATOMIC_RELAXED);
}

static bool identity_equal(const struct identity *a, const struct identity *b)
{
	return a->back == b->back && a->service == b->service && a->client_port == b->client_port &&
		memcmp(a->client, b->client, sizeof(a->client)) == 0;
}

bool flow_table_view(const struct flow_table *ft, const struct forwarding_table *table, flow_at at,
	uint32_t now_s, struct flow_view *ret_view)
{
	const struct flow *flow = flow_of(ft, at);
	unsigned n_words = ft->family == IPV4 ? 1 : 4;
	struct identity first, again;

	// The fences keep the three readings in this order; see the head of this file.
	read_identity(flow, n_words, &first);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	enum flow_state state = __atomic_load_n(&flow->state, __ATOMIC_RELAXED);
	uint32_t seen_s = __atomic_load_n(&flow->seen_s, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	read_identity(flow, n_words, &again);
	if (state == FLOW_FREE || !identity_equal(&first, &again))
		return false;

	const union return_key back = {.word = first.back};
	uint32_t idle_s = (int32_t)(now_s - seen_s) > 0 ? now_s - seen_s : 0;
	uint32_t limit_s = patience_s(table, state, back.protocol, first.service);
	*ret_view = (struct flow_view){
		.client = ft->family == IPV4 ? address_from_ipv4(first.client[0])
					     : address_from_ipv6(first.client),
		.client_port = first.client_port,
		.node_port = back.node_port,
		.snat_port = back.snat_port,
		.snat_index = back.snat_index,
		.protocol = back.protocol,
		.service = first.service,
		.node = back.node,
		.state = state,
		.idle_s = idle_s,
		.expires_s = limit_s > idle_s ? limit_s - idle_s : 0,
	};
	return true;
}

// What a flow is looked for by, on either side.
struct wanted {
	const struct address *client;
	__be16 client_port;
	service_id service;
	union return_key back;
};

static bool view_is(const struct flow_view *view, enum flow_side side, const struct wanted *wanted)
{
	const union return_key back = {
		.node = view->node,
		.node_port = view->node_port,
		.snat_port = view->snat_port,
		.snat_index = view->snat_index,
		.protocol = view->protocol,
	};

	if (view->state == FLOW_RESTING)
		return false;
	if (side == FLOW_BACK)
		return back.word == wanted->back.word;
	return address_equal(&view->client, wanted->client) &&
		view->client_port == wanted->client_port && view->service == wanted->service;
}

static bool look(const struct flow_table *ft, const struct forwarding_table *table,
	enum flow_side side, uint64_t hash, const struct wanted *wanted, uint32_t now_s,
	struct flow_view *ret_view)
{
	struct flow_bucket *bucket = flow_table_bucket(ft, side, hash);
	struct flow_view view;

	for (uint32_t i = 0; i < ft->n_buckets; i++) {
		for (unsigned m = flow_bucket_match(bucket, flow_tag(hash)); m != 0; m &= m - 1) {
			flow_at at = __atomic_load_n(
				&bucket->places[__builtin_ctz(m)], __ATOMIC_RELAXED);

			if (flow_table_view(ft, table, at, now_s, &view) &&
				view_is(&view, side, wanted)) {
				*ret_view = view;
				return true;
			}
		}
		if (__atomic_load_n(&bucket->overflows, __ATOMIC_RELAXED) == 0)
			return false;
		bucket = bucket_behind(ft, side, bucket);
	}
	return false;
}

bool flow_table_look(const struct flow_table *ft, const struct forwarding_table *table,
	uint64_t hash, const struct address *client, __be16 client_port, service_id service,
	uint32_t now_s, struct flow_view *ret_view)
{
	const struct wanted wanted = {client, client_port, service, {.word = 0}};

	return look(ft, table, FLOW_FORWARD, hash, &wanted, now_s, ret_view);
}

bool flow_table_look_back(const struct flow_table *ft, const struct forwarding_table *table,
	uint64_t hash, union return_key back, uint32_t now_s, struct flow_view *ret_view)
{
	const struct wanted wanted = {.back = back};

	return look(ft, table, FLOW_BACK, hash, &wanted, now_s, ret_view);
}

// Checking
// --------

static enum flow_state state_of_queue(uint32_t queue)
{
	if (queue >= ESTABLISHED_QUEUES)
		return FLOW_ESTABLISHED;
	if (queue >= HALF_OPEN_QUEUES)
		return FLOW_HALF_OPEN;
	return queue == CLOSING_QUEUE ? FLOW_CLOSING : FLOW_RESTING;
}

// Adds the queue's flows to 'counts'. A flow in two queues would have a neighbour that does not
// know it.
static bool queue_is_sound(const struct flow_table *ft, uint32_t queue, uint32_t counts[])
{
	uint32_t head = ft->n_flows + queue;
	uint32_t before = head;

	for (uint32_t at = flow_of(ft, head)->next; at != head; at = flow_of(ft, at)->next) {
		if (at >= ft->n_begun || flow_of(ft, at)->prev != before ||
			flow_of(ft, at)->state != state_of_queue(queue))
			return false;
		counts[flow_of(ft, at)->state]++;
		before = at;
	}
	return flow_of(ft, head)->prev == before;
}

static bool queues_are_sound(const struct flow_table *ft)
{
	uint32_t counts[N_FLOW_STATES] = {0};

	for (uint32_t queue = 0; queue < N_QUEUES; queue++) {
		if (!queue_is_sound(ft, queue, counts))
			return false;
	}
	for (uint32_t at = ft->free; at != FLOW_NONE; at = flow_of(ft, at)->next) {
		if (at >= ft->n_begun || flow_of(ft, at)->state != FLOW_FREE)
			return false;
		counts[FLOW_FREE]++;
	}

	uint32_t sum = counts[FLOW_FREE];
	for (unsigned state = FLOW_HALF_OPEN; state < N_FLOW_STATES; state++) {
		if (counts[state] != ft->n_in_state[state])
			return false;
		sum += counts[state];
	}
	return sum == ft->n_begun;
}

// How many places of the index are taken, and by how many steps its flows lie behind their buckets:
// each such step is an overflow of a bucket.
static bool index_is_sound(const struct flow_table *ft, enum flow_side side, uint32_t wanted)
{
	const struct flow_bucket *first = (const void *)((uintptr_t)ft + ft->buckets[side]);
	uint64_t steps = 0, overflows = 0, taken = 0;

	for (uint32_t b = 0; b < ft->n_buckets; b++) {
		overflows += first[b].overflows;
		for (unsigned i = 0; i < FLOW_BUCKET; i++) {
			if (first[b].tags[i] == 0)
				continue;

			const struct flow *flow = flow_of(ft, first[b].places[i]);
			uint64_t hash =
				side == FLOW_FORWARD ? hash_of(ft, flow) : hash_back_of(ft, flow);
			uint32_t home = (uint32_t)(flow_table_bucket(ft, side, hash) - first);

			if (flow->state == FLOW_FREE || first[b].tags[i] != flow_tag(hash))
				return false;
			steps += b >= home ? b - home : b + ft->n_buckets - home;
			taken++;
		}
	}
	return steps == overflows && taken == wanted;
}

static bool flows_are_found(const struct flow_table *ft)
{
	for (flow_at at = 0; at < ft->n_begun; at++) {
		const struct flow *flow = flow_of(ft, at);

		if (flow->state == FLOW_FREE)
			continue;
		if (flow_table_find_back(ft, hash_back_of(ft, flow), flow->back) != at)
			return false;
		if (flow->state != FLOW_RESTING &&
			flow_table_find(ft, hash_of(ft, flow), flow->client, flow->client_port,
				flow->service) != at)
			return false;
	}
	return true;
}

const char *flow_table_check(const struct flow_table *ft)
{
	uint32_t used = (uint32_t)flow_table_used(ft);

	if (!queues_are_sound(ft))
		return "a flow is not in exactly the queue of its state";
	if (!index_is_sound(ft, FLOW_FORWARD, used - ft->n_in_state[FLOW_RESTING]))
		return "the forward index does not agree with the flows";
	if (!index_is_sound(ft, FLOW_BACK, used))
		return "the return index does not agree with the flows";
	if (!flows_are_found(ft))
		return "a flow is not found by its key";
	return NULL;
}
