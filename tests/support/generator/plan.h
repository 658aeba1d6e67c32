#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// What is to be sent: the options of the command line, or of one command.

enum plan_direction {
	PLAN_FORWARD, // From clients to the VIPs.
	PLAN_RETURN,  // From nodes, as answers of the flows that were opened.
};

enum { PLAN_IMIX = 0 };

struct plan {
	bool help;
	bool takes_commands;
	bool opens; // Flows, in place of measuring.
	unsigned port, nodes_by, opened_by;

	bool ipv6;
	uint8_t protocol;
	uint16_t size;    // Of a frame with its checksum of Ethernet, or PLAN_IMIX.
	uint16_t largest; // Of PLAN_IMIX.
	uint64_t n_flows;
	uint32_t n_vips;
	enum plan_direction direction;

	double packets_per_s; // 0 for as many as go.
	double seconds;
	uint64_t n_packets; // 0 for as many as fit in the time.
	uint64_t seed;

	uint8_t source_mac[6], destination_mac[6];
	uint8_t client[16], vip[16]; // The first of each.
	bool has_client, has_vip;    // Else what is usual for the family.
	bool has_nodes_by;           // Else 'port',
	bool has_opened_by;          // and here too.
	uint16_t vip_port, node_port;
};

enum { PLAN_PORTS_MAX = 16 };

struct plan plan_default(void);

// By which DPDK port what it sends goes, and by which it comes back.
static inline uint16_t plan_sends_by(const struct plan *plan)
{
	return (uint16_t)(plan->direction == PLAN_FORWARD ? plan->port : plan->nodes_by);
}

static inline uint16_t plan_receives_by(const struct plan *plan)
{
	return (uint16_t)(plan->direction == PLAN_FORWARD ? plan->nodes_by : plan->port);
}

// Takes words, the first of which is the program's name and is passed over. Returns false after a
// line to stderr about the word that is wrong and what would be right.
bool plan_parse(struct plan *plan, int argc, char **argv);

// The same of a line of words.
bool plan_parse_line(struct plan *plan, char *line);

void plan_print_help(FILE *file);
