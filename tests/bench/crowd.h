#pragma once

#include <rte_mbuf.h>

#include "bench.h"
#include "burst.h"
#include "flow_memory.h"
#include "pipeline.h"

// A pipeline with clients and nodes around it, all made of numbers: client 'i' and its flow follow
// from i. TCP.

struct little_table;

// Tunnels lead to IPv4 addresses of the nodes.
struct crowd_mode {
	const char *name;
	enum forwarding_mode mode;
	enum tunnel_kind tunnel_kind;
};

struct crowd {
	enum family family;
	const struct crowd_mode *mode;
	uint64_t n_flows; // That the flow table has room for.
	struct pipeline pipeline;
	struct worker_counters counters;
	const struct forwarding_table *table; // May be another as soon as a burst is through.
	struct little_table *little;          // What it is part of, with this ring, or NULL.
	node_id *ring;
	struct flow_memory flow_memory;
	struct flow_memory back_memory;
	union return_key *back; // [n_flows] By client.
	uint64_t now_ns;        // Goes on with each burst.
	uint8_t padding_bytes;  // Behind each packet that is written, as Ethernet has it.

	struct rte_mbuf *mbufs[BURST_MAX];
	struct outcome *out;
};

// With eight nodes, sixteen services, all of one mode, and four SNAT addresses. 'mode' is not
// copied.
struct crowd *crowd_create(
	const struct bench *b, const struct crowd_mode *mode, enum family family, uint64_t n_flows);

// With those of a table that somebody else made, whose ids leave none out. The table stays his.
struct crowd *crowd_create_over(const struct bench *b, const struct crowd_mode *mode,
	enum family family, uint64_t n_flows, const struct forwarding_table *table);
void crowd_destroy(struct crowd *c);

// Makes c->mbufs packets of these clients.
void crowd_write_requests(struct crowd *c, const uint64_t clients[BURST_MAX], uint8_t tcp_flags);

// Makes them the answers of the nodes to these clients, in MODE_SNAT of flows that have begun, or
// in MODE_DNAT.
void crowd_write_replies(struct crowd *c, const uint64_t clients[BURST_MAX], uint8_t tcp_flags);

// Runs the whole pipeline, and expiry, over c->mbufs. Returns the cycles; ends the program unless
// every packet was sent.
uint64_t crowd_forward(struct crowd *c);

// The journey cut into pieces. What pipeline.c does packet by packet is here done by all packets
// before the next piece begins, so that a piece can be timed.
enum crowd_stage {
	CROWD_PARSE,
	CROWD_ASK,     // For memory of services, where those are thousands.
	CROWD_SORT,    // Finds the service or whose reply it is, and what it goes to.
	CROWD_PREPARE, // Hashes the flow and asks for its memory.
	CROWD_OWN,     // The mode's: it chooses or finds the node, rewrites and sends.
	CROWD_EXPIRE,
	N_CROWD_STAGES,
};

// Adds to 'ret_cycles' what each took of one burst, in cycles without those of the clock.
void crowd_forward_by_stages(struct crowd *c, int64_t ret_cycles[N_CROWD_STAGES]);
void crowd_reply_by_stages(struct crowd *c, int64_t ret_cycles[N_CROWD_STAGES]);

// Whether there is something to do in a stage, of requests or of replies.
bool crowd_has_stage(const struct crowd *c, enum crowd_stage stage, bool of_replies);

// Notes which ports the flows of these clients got.
void crowd_learn(struct crowd *c, const uint64_t clients[BURST_MAX]);

// Opens the connections of the clients below 'n', in order.
void crowd_open(struct crowd *c, uint64_t n);
