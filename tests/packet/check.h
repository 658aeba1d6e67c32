#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

// The names that the world's addresses go by in tests.
#define CLIENT "198.51.100.7"
#define VIP "10.0.0.1"
#define SNAT "192.0.2.1"
#define NODE0 "192.0.2.10"
#define NODE1 "192.0.2.11"
#define CLIENT6 "2001:db8:c::7"
#define VIP6 "2001:db8::1"
#define SNAT6 "2001:db8:2::1"
#define NODE06 "2001:db8:2::10"
#define NODE16 "2001:db8:2::11"

// One frame that arrives, and what is to become of it.
struct step {
	struct frame in;
	enum origin origin;
	uint16_t port; // Where it arrives: 0 is the clients', 1 node 0's, 2 node 1's.
	unsigned worker;

	struct frame out; // Empty where nothing goes out;
	enum way way;     // taken for WAY_PORT where something does.
	next_hop_id to;   // Whose MAC address it is for. The gateway's, unless said otherwise.
	bool is_answer;   // It goes back to whom 'in' came from.
	enum kernel_class class;
	enum drop_reason drop;
};

// Puts a step's frame, checks all that the step says, and returns the ending. '*snat_port' is what
// SNAT_PORT stands for, and learned from what goes out where it is 0.
static inline struct ending check_step(struct world *w, const struct step *s, uint16_t *snat_port)
{
	static const next_hop_id neighbours[WORLD_PORTS] = {HOP_GATEWAY, HOP_NODE0, HOP_NODE1};
	static const uint8_t hop_ports[] = {0, 1, 2, 1, 0, 0};
	static struct ending e;
	static uint8_t in[FRAME_BYTES_MAX], out[FRAME_BYTES_MAX];
	struct rte_ether_addr from = world_hop_mac(neighbours[s->port]);
	const struct port_facts *came = &w->ports[s->port];

	size_t len = frame_write(&s->in, &from, &came->mac,
		s->origin == ORIGIN_PORT ? came->vlan : 0, *snat_port, in);
	world_put(w, s->worker, s->origin, s->port, in, len, &e);
	assert_string_equal(drop_reason_word(e.drop), drop_reason_word(s->drop));

	if (s->out.layers[0].kind == LAYER_NONE) {
		assert_int_equal(e.way, s->way);
		return e;
	}
	assert_int_equal(e.way, s->way == WAY_NONE ? WAY_PORT : s->way);

	// The port behind the addresses, wherever VLAN and family put it.
	if (*snat_port == SNAT_PORT && s->out.layers[1].ports[0] == SNAT_PORT) {
		unsigned port = s->is_answer ? s->port : hop_ports[s->to];
		size_t l2_len = w->ports[port].vlan != 0 && e.way == WAY_PORT ? 18 : 14;
		size_t at = l2_len + (e.bytes[l2_len] >> 4 == 4 ? 20 : 40);
		*snat_port = (uint16_t)(e.bytes[at] << 8 | e.bytes[at + 1]);
	}

	uint16_t left_by = s->is_answer ? s->port : hop_ports[s->to];
	struct rte_ether_addr to = s->is_answer ? from : world_hop_mac(s->to);
	if (s->way == WAY_KERNEL && !s->is_answer)
		to = w->ports[left_by].mac;
	len = frame_write(&s->out, &w->ports[left_by].mac, &to,
		s->way == WAY_KERNEL ? 0 : w->ports[left_by].vlan, *snat_port, out);
	assert_int_equal(e.port, left_by);
	assert_int_equal(e.class, s->class);
	assert_int_equal(e.len, len);
	assert_memory_equal(e.bytes, out, len);
	return e;
}
