#include "waiting_room.h"

#include <stdlib.h>

#include <rte_mbuf.h>

#include "lines.h"

enum {
	SIZE = 256,
	// One neighbour that never answers must not take the room of all.
	PER_DESTINATION = 16,
};

#define SECOND_NS (1000ull * 1000 * 1000)

// The kernel asks for a neighbour three times, a second apart.
static const uint64_t patience_ns = 3 * SECOND_NS;

// Who is told may have had no room, or too much to ask for; and where packets keep coming there is
// never none that waits.
static const uint64_t ask_again_ns = SECOND_NS;

// In order of arrival, so that packets of one flow leave in order.
struct waiting_room {
	struct unresolved *unresolved;
	size_t n;
	struct place {
		struct waiting waiting;
		uint64_t until_ns;
		uint64_t asked_ns; // For its destination: the same in all places that have it.
	} places[SIZE];
};

struct waiting_room *waiting_room_create(struct unresolved *unresolved)
{
	struct waiting_room *room = lines_alloc(sizeof(*room));

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

// How many wait for it, and when it was last asked for if any do.
static size_t count(
	const struct waiting_room *room, const struct address *destination, uint64_t *ret_asked_ns)
{
	size_t n = 0;

	for (size_t i = 0; i < room->n; i++) {
		if (!address_equal(&room->places[i].waiting.to, destination))
			continue;
		*ret_asked_ns = room->places[i].asked_ns;
		n++;
	}
	return n;
}

bool waiting_room_put(struct waiting_room *room, const struct waiting *waiting, uint64_t now_ns)
{
	uint64_t asked_ns = now_ns;

	if (room->n == SIZE)
		return false;

	size_t n = count(room, &waiting->to, &asked_ns);
	if (n >= PER_DESTINATION)
		return false;
	if (n == 0)
		unresolved_put(room->unresolved, &waiting->to);

	room->places[room->n++] = (struct place){*waiting, now_ns + patience_ns, asked_ns};
	return true;
}

static void ask_again(struct waiting_room *room, const struct address *destination, uint64_t now_ns)
{
	unresolved_put(room->unresolved, destination);
	for (size_t i = 0; i < room->n; i++) {
		if (address_equal(&room->places[i].waiting.to, destination))
			room->places[i].asked_ns = now_ns;
	}
}

static void ask_for_those_due(struct waiting_room *room, uint64_t now_ns)
{
	for (size_t i = 0; i < room->n; i++) {
		if (now_ns - room->places[i].asked_ns >= ask_again_ns)
			ask_again(room, &room->places[i].waiting.to, now_ns);
	}
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
	ask_for_those_due(room, now_ns);
	return n_left == BURST_MAX;
}
