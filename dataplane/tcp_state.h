#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_tcp.h>

#include "guideway/flow.h"

// As much of TCP's state as tells how long a silent connection is worth remembering.
//
//     half open     SYN seen; the client has not yet acknowledged the node's SYN-ACK, so its
//                   address may be invented
//     established   until a reset, or FIN from both sides
//     closing       what is late may still pass
//
// Sequence numbers are not followed, so a reset may be forged. A receiver that finds it outside
// its window answers with an ACK (RFC 5961, section 3.2): when the other side of a reset goes on
// without one of its own, the flow is open again.

enum tcp_side { TCP_CLIENT, TCP_NODE };

// What of a flow was seen: its marks.
enum {
	TCP_SEEN_SYN_ACK = 1 << 0,
	TCP_SEEN_OPEN = 1 << 1,
	TCP_SEEN_FIN = 1 << 2,   // Of the client; of the node one bit further.
	TCP_SEEN_RESET = 1 << 4, // The same.
	TCP_SEEN_FINS = TCP_SEEN_FIN * 3,
	TCP_SEEN_RESETS = TCP_SEEN_RESET * 3,
};

// The only packet that begins a flow.
static inline bool tcp_is_syn(uint8_t flags)
{
	const uint8_t all =
		RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG | RTE_TCP_FIN_FLAG;

	return (flags & all) == RTE_TCP_SYN_FLAG;
}

// Of an established flow such a packet changes nothing.
static inline bool tcp_is_plain(uint8_t flags)
{
	return (flags & (RTE_TCP_SYN_FLAG | RTE_TCP_RST_FLAG | RTE_TCP_FIN_FLAG)) == 0;
}

static inline enum flow_state tcp_state_while_closing(uint8_t *marks, enum tcp_side from)
{
	bool reset_by_other = (*marks & TCP_SEEN_RESETS) == TCP_SEEN_RESET << !from;

	if (!reset_by_other || (*marks & TCP_SEEN_FINS) == TCP_SEEN_FINS)
		return FLOW_CLOSING;

	*marks &= ~TCP_SEEN_RESETS;
	return *marks & TCP_SEEN_OPEN ? FLOW_ESTABLISHED : FLOW_HALF_OPEN;
}

// The state after a packet with 'flags' from that side.
static inline enum flow_state tcp_state_after(
	enum flow_state state, uint8_t *marks, enum tcp_side from, uint8_t flags)
{
	if (flags & RTE_TCP_RST_FLAG) {
		*marks |= TCP_SEEN_RESET << from;
		return FLOW_CLOSING;
	}
	if (state == FLOW_CLOSING)
		return tcp_state_while_closing(marks, from);

	if (flags & RTE_TCP_FIN_FLAG)
		*marks |= TCP_SEEN_FIN << from;
	if ((*marks & TCP_SEEN_FINS) == TCP_SEEN_FINS)
		return FLOW_CLOSING;

	if (from == TCP_NODE) {
		if (flags & RTE_TCP_SYN_FLAG && flags & RTE_TCP_ACK_FLAG)
			*marks |= TCP_SEEN_SYN_ACK;
	} else if (flags & RTE_TCP_ACK_FLAG && *marks & TCP_SEEN_SYN_ACK) {
		*marks |= TCP_SEEN_OPEN;
		return FLOW_ESTABLISHED;
	}
	return state;
}
