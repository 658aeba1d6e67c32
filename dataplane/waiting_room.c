#include "waiting_room.h"

#include <stdlib.h>

#include <rte_mbuf.h>

enum {
	SIZE = 256,
	// One neighbour that never answers must not take the room of all.
	PER_DESTINATION = 16,
};

// The kernel asks for a neighbour three times, a second apart.
static const uint64_t patience_ns = 3ull * 1000 * 1000 * 1000;

// In order of arrival, so that packets of one flow leave in order.
struct waiting_room {
	struct unresolved *unresolved;
	size_t n;
	struct place {
		struct waiting waiting;
		uint64_t until_ns;
	} places[SIZE];
};

struct waiting_room *waiting_room_create(struct unresolved *unresolved)
{
	struct waiting_room *room = calloc(1, sizeof(*room));

	if (room != NULL)
		room->unresolved = unresolved;
	return room;
}

void waiting_room_destroy(struct waiting_room *room)
{
	if (room == NULL)
		return;
	for (size_t i = 0; i < room->n; i++)
		rte_pktmbuf_free(room->places[i].waiting.mbuf);
	free(room);
}

bool waiting_room_is_empty(const struct waiting_room *room)
{
	return room->n == 0;
}

size_t waiting_room_size(void)
{
	return SIZE;
}

static size_t count(const struct waiting_room *room, const struct address *destination)
{
	size_t n = 0;

	for (size_t i = 0; i < room->n; i++)
		n += address_equal(&room->places[i].waiting.to, destination);
	return n;
}

bool waiting_room_put(struct waiting_room *room, const struct waiting *waiting, uint64_t now_ns)
{
	if (room->n == SIZE)
		return false;

	size_t n = count(room, &waiting->to);
	if (n >= PER_DESTINATION)
		return false;
	if (n == 0)
		unresolved_put(room->unresolved, &waiting->to);

	room->places[room->n++] = (struct place){*waiting, now_ns + patience_ns};
	return true;
}

bool waiting_room_leave(struct waiting_room *room, struct pipeline *pipeline,
	const struct forwarding_table *table, uint64_t now_ns, struct outcome *out)
{
	size_t kept = 0;
	unsigned n_left = 0;

	for (size_t i = 0; i < room->n; i++) {
		const struct place *place = &room->places[i];

		if (n_left < BURST_MAX && pipeline_retry(pipeline, table, &place->waiting, out)) {
			n_left++;
		} else if (place->until_ns <= now_ns) {
			counter_add(&pipeline->counters->drops[DROP_UNRESOLVED], 1);
			rte_pktmbuf_free(place->waiting.mbuf);
		} else {
			room->places[kept++] = *place;
		}
	}
	room->n = kept;
	return n_left == BURST_MAX;
}
