#include "check.h"

#include "source_set.h"

// Whom a service lets in, in every mode.

struct world_with_sources {
	struct world *w;
	struct source_set *set;
	const struct source_set *sets[1];
};

// All services let in what 'texts' say.
static void begin(struct world_with_sources *s, const char *const *texts, size_t n)
{
	struct prefix prefixes[4];

	for (size_t i = 0; i < n; i++)
		assert_int_equal(source_prefix_parse(texts[i], &prefixes[i]), 0);
	assert_int_equal(source_set_build(prefixes, n, &s->set), 0);
	s->sets[0] = s->set;
	s->w = world_create(1, false);
	s->w->table->table.source_sets = s->sets;
	for (size_t i = 0; i < s->w->table->table.n_services; i++)
		s->w->table->services[i].sources = 1;
}

static void end(struct world_with_sources *s)
{
	world_destroy(s->w);
	source_set_free(s->set);
}

static enum drop_reason put(struct world *w, const char *client, const char *vip, uint16_t port)
{
	struct frame frame = FRAME(IP(client, vip), UDP(31337, 53), DATA(9));
	struct rte_ether_addr from = world_hop_mac(0);
	static uint8_t bytes[FRAME_BYTES_MAX];
	static struct ending e;

	frame.layers[1].ports[1] = port;
	size_t len = frame_write(&frame, &from, &w->ports[0].mac, w->ports[0].vlan, 0, bytes);
	world_put(w, 0, ORIGIN_PORT, 0, bytes, len, &e);
	assert_true(e.drop == DROP_NONE ? e.way == WAY_PORT : e.way == WAY_NONE);
	return e.drop;
}

static const uint16_t ports[] = {PORT_DNS, PORT_DNAT, PORT_DSR, PORT_TUNNEL, PORT_GUE_CROSS};

static void only_sources_of_the_list_reach_a_service(void **)
{
	static const char *const list[] = {"198.51.100.0/25", "2001:db8:c::/64"};
	struct world_with_sources s;

	begin(&s, list, 2);
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		assert_int_equal(put(s.w, "198.51.100.127", VIP, ports[i]), DROP_NONE);
		assert_int_equal(put(s.w, "198.51.100.128", VIP, ports[i]), DROP_SOURCE);
		assert_int_equal(put(s.w, "2001:db8:c::7", VIP6, ports[i]), DROP_NONE);
		assert_int_equal(put(s.w, "2001:db8:c:1::7", VIP6, ports[i]), DROP_SOURCE);
	}
	end(&s);
}

static void a_family_without_a_prefix_is_closed(void **)
{
	static const char *const list[] = {"198.51.100.0/24"};
	struct world_with_sources s;

	begin(&s, list, 1);
	assert_int_equal(put(s.w, CLIENT, VIP, PORT_DNS), DROP_NONE);
	assert_int_equal(put(s.w, CLIENT6, VIP6, PORT_DNS), DROP_SOURCE);
	end(&s);
}

static void a_flow_that_has_begun_goes_on_when_the_list_changes(void **)
{
	static const char *const list[] = {"10.9.9.9"};
	struct world_with_sources s;

	begin(&s, list, 1);
	for (size_t i = 0; i < s.w->table->table.n_services; i++)
		s.w->table->services[i].sources = 0;
	assert_int_equal(put(s.w, CLIENT, VIP, PORT_DNS), DROP_NONE);
	for (size_t i = 0; i < s.w->table->table.n_services; i++)
		s.w->table->services[i].sources = 1;
	assert_int_equal(put(s.w, CLIENT, VIP, PORT_DNS), DROP_NONE);
	assert_int_equal(put(s.w, "198.51.100.8", VIP, PORT_DNS), DROP_SOURCE);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_sources_of_the_list_reach_a_service),
		cmocka_unit_test(a_family_without_a_prefix_is_closed),
		cmocka_unit_test(a_flow_that_has_begun_goes_on_when_the_list_changes),
	};

	world_start_environment();
	world_trace(true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
