#include "check.h"

#include "waiting_room.h"

// Bounds and times of the packets that wait. Whether they leave when they may: test_ways.

enum { PER_DESTINATION = 16, MANY = 64 };

#define MS 1000000ull

struct scene {
	struct world *world;
	struct unresolved *unresolved;
	struct waiting_room *room;
	uint64_t begun_ns;
};

static struct scene open_scene(void)
{
	struct scene s = {.world = world_create(1, false), .unresolved = unresolved_create()};

	assert_non_null(s.unresolved);
	s.room = waiting_room_create(s.unresolved);
	assert_non_null(s.room);
	s.begun_ns = s.world->now_ns;
	return s;
}

static void close_scene(struct scene *s)
{
	world_free_outcome(s->world->out);
	waiting_room_destroy(s->room);
	assert_int_equal(rte_mempool_avail_count(s->world->buffers), WORLD_BUFFERS);
	unresolved_destroy(s->unresolved);
	world_destroy(s->world);
}

// On the connected network; nobody knows its MAC address.
static struct address neighbour(unsigned i)
{
	return address_from_ipv4(htonl(0xcb007164 + i)); // 203.0.113.100
}

static bool put(struct scene *s, unsigned to, unsigned ms)
{
	static const struct frame frame = FRAME(IP(CLIENT, "203.0.113.100"), TCP(31337, 80, SYN));
	static const struct rte_ether_addr mac = {{0x02}};
	uint8_t bytes[FRAME_BYTES_MAX];
	size_t len = frame_write(&frame, &mac, &mac, 0, 0, bytes);
	struct waiting waiting = {
		.mbuf = world_packet(s->world, 0, bytes, len),
		.to = neighbour(to),
		.next_hop = NEXT_HOP_RESOLVE,
	};

	waiting.mbuf->l2_len = RTE_ETHER_HDR_LEN;
	if (waiting_room_put(s->room, &waiting, s->begun_ns + ms * MS))
		return true;
	rte_pktmbuf_free(waiting.mbuf);
	return false;
}

static void let_leave(struct scene *s, unsigned ms)
{
	struct world *w = s->world;

	world_free_outcome(w->out);
	outcome_empty(w->out);
	waiting_room_leave(
		s->room, &w->pipelines[0], &w->table->table, s->begun_ns + ms * MS, w->out);
}

// How often it was asked for since the last time.
static unsigned asks(struct scene *s, unsigned to)
{
	struct address asked[MANY], wanted = neighbour(to);
	size_t n = unresolved_take(s->unresolved, asked, MANY);
	unsigned n_asks = 0;

	for (size_t i = 0; i < n; i++)
		n_asks += address_equal(&asked[i], &wanted);
	return n_asks;
}

static void a_destination_is_asked_for_once_a_second_while_packets_come(void **)
{
	struct scene s = open_scene();

	assert_true(put(&s, 0, 0));
	assert_int_equal(asks(&s, 0), 1);
	for (unsigned ms = 250; ms <= 10000; ms += 250) {
		assert_true(put(&s, 0, ms));
		let_leave(&s, ms);
		assert_int_equal(asks(&s, 0), ms % 1000 == 0);
	}
	close_scene(&s);
}

static void a_destination_is_asked_for_again_for_a_single_packet_too(void **)
{
	struct scene s = open_scene();

	assert_true(put(&s, 0, 0));
	assert_true(put(&s, 1, 500));
	assert_int_equal(asks(&s, 0), 1);
	let_leave(&s, 999);
	assert_int_equal(asks(&s, 0), 0);
	let_leave(&s, 1000);
	assert_int_equal(asks(&s, 0), 1);
	let_leave(&s, 1500);
	assert_int_equal(asks(&s, 1), 1);
	let_leave(&s, 2100);
	assert_int_equal(asks(&s, 0), 1);
	let_leave(&s, 4000);
	assert_true(waiting_room_is_empty(s.room));
	let_leave(&s, 6000);
	assert_int_equal(asks(&s, 0), 0);
	close_scene(&s);
}

static void a_destination_has_room_for_a_few_packets_and_all_of_them_for_a_number(void **)
{
	struct scene s = open_scene();
	const unsigned n_full = (unsigned)waiting_room_size() / PER_DESTINATION;

	for (unsigned to = 0; to < n_full; to++) {
		for (unsigned i = 0; i < PER_DESTINATION; i++)
			assert_true(put(&s, to, 0));
		assert_false(put(&s, to, 0));
	}
	assert_false(put(&s, n_full, 0)); // It has none yet, but there is no room.
	close_scene(&s);
}

static void who_waits_for_three_seconds_is_dropped_and_makes_room(void **)
{
	struct scene s = open_scene();

	for (unsigned i = 0; i < PER_DESTINATION; i++)
		assert_true(put(&s, 0, i));
	let_leave(&s, 2999);
	assert_int_equal(world_drops(s.world, DROP_UNRESOLVED), 0);
	let_leave(&s, 3000);
	assert_int_equal(world_drops(s.world, DROP_UNRESOLVED), 1);
	assert_true(put(&s, 0, 3000));
	assert_false(put(&s, 0, 3000));
	let_leave(&s, 3015);
	assert_int_equal(world_drops(s.world, DROP_UNRESOLVED), PER_DESTINATION);
	let_leave(&s, 6000);
	assert_int_equal(world_drops(s.world, DROP_UNRESOLVED), PER_DESTINATION + 1);
	assert_true(waiting_room_is_empty(s.room));
	close_scene(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_destination_is_asked_for_once_a_second_while_packets_come),
		cmocka_unit_test(a_destination_is_asked_for_again_for_a_single_packet_too),
		cmocka_unit_test(
			a_destination_has_room_for_a_few_packets_and_all_of_them_for_a_number),
		cmocka_unit_test(who_waits_for_three_seconds_is_dropped_and_makes_room),
	};

	world_start_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
