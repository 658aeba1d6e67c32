#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"
#include "guideway/forwarding_table.h"

// The packets by which a node is asked whether it knows a VIP, and what it answers: bytes in, bytes
// out.

enum {
	VIP_PROBE_PACKET_MAX = 60, // IPv6 and TCP, without options.
	VIP_PROBE_FILTER_MAX = 20,
};

struct vip_probe_packet {
	struct address source; // Of the VIP's family, as is the next.
	struct address vip;
	uint16_t source_port; // Host byte order,
	uint16_t port;        // likewise.
	uint32_t sequence;
	node_id node;  // Whom it goes to.
	bool is_reset; // The end of what a SYN began, else the SYN.
};

// Returns its length in bytes.
size_t vip_probe_packet_write(
	const struct vip_probe_packet *packet, uint8_t ret_bytes[VIP_PROBE_PACKET_MAX]);

struct vip_probe_answer {
	uint32_t sequence;  // Of the SYN that it answers.
	bool is_connection; // Whoever answered waits for the rest of a connection.
};

// Reads an IP packet of 'family' to 'source_port'. What answers is a SYN-ACK, a RST, or ICMP's port
// unreachable, by which kube-proxy refuses for a Service without endpoints; other ICMP errors are
// also sent by routers that do not know the VIP. Returns false if it is none of these.
bool vip_probe_answer_read(enum family family, const uint8_t *bytes, size_t len,
	uint16_t source_port, struct vip_probe_answer *ret_answer);

// A filter that lets IP packets of 'family' through that may answer a SYN from 'source_port' whose
// sequence number has these upper 16 bits, and never 0xffff below them. Returns its length.
uint16_t vip_probe_filter_write(enum family family, uint16_t source_port, uint16_t sequence_high,
	struct sock_filter ret_filter[VIP_PROBE_FILTER_MAX]);
