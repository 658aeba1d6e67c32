#pragma once

// Why a packet was not passed on. Every packet that ends here ends with one of these, counted by
// worker; dataplane/drop.c has the word and the sentence for each.
enum drop_reason {
	DROP_NONE, // Not dropped.

	// What arrived is not what the RFCs allow.
	DROP_TRUNCATED, // The frame ends inside a header, or before the length its IP header says.
	DROP_MALFORMED, // A header contradicts itself: version, length, or a loop of extensions.
	DROP_BAD_CHECKSUM,  // The IPv4 header's, or of an ICMP message that we would act on.
	DROP_BAD_SOURCE,    // A source no host may have: multicast, loopback, unspecified, our VIP.
	DROP_WRONG_VLAN,    // A tag other than the port's own, or none where the port has one.
	DROP_NOT_FOR_US,    // A unicast frame for another machine's MAC address.
	DROP_ZERO_CHECKSUM, // UDP over IPv6 without a checksum (RFC 8200, section 8.1).
	DROP_HOP_LIMIT,     // TTL or hop limit would reach 0 here.
	DROP_FRAGMENT_TINY, // It cuts through the layer 4 header (RFC 1858).
	DROP_FRAGMENT_OVERLAP,   // Of a datagram of which two overlap, or disagree about its end.
	DROP_FRAGMENT_DUPLICATE, // The same had come before.
	DROP_FRAGMENT_MANY,      // Of a datagram in more pieces than any sender needs.

	// Nothing here takes it.
	DROP_FRAGMENT,    // More fragments than may be handed on at once to whom they meet at.
	DROP_NO_SERVICE,  // To a VIP, but to no service's port or protocol.
	DROP_SOURCE,      // Its source is none of those that the service lets in.
	DROP_NO_TARGET,   // The service has no target that may be used.
	DROP_NOT_READY,   // Its targets have not shown yet that they know the VIP.
	DROP_NO_FLOW,     // A reply or an ICMP error about a flow that nobody has.
	DROP_UNKNOWN_TCP, // TCP of no known flow and not a SYN.
	DROP_DEAD_TARGET, // TCP of a flow whose target died.
	DROP_LOOP,        // To a node that sent it itself: it does not have the VIP.
	DROP_TUNNEL,      // An ICMP error about an outer packet of ours, but for what fits it.
	DROP_ICMP,        // ICMP to a VIP or SNAT address that is neither echo nor about a flow.

	// There was no room.
	DROP_FLOWS_FULL,          // Flow memory is full of flows that must not give way.
	DROP_NO_PORT,             // No free SNAT port towards the target.
	DROP_HANDOVER_FULL,       // The ring to the worker that owns the flow is full.
	DROP_KERNEL_FULL,         // The ring to the kernel twin is full.
	DROP_KERNEL_CONTROL_FULL, // The same, of the ring for nodes, ARP and ND.
	DROP_KERNEL_DOWN,         // The kernel did not take it: the twin is down.
	DROP_TX_FULL,             // The port did not take it.
	DROP_NO_MEMORY,           // No mbuf to build or to copy a packet in.
	DROP_RATE_LIMIT,          // We would have answered, but have answered enough this second.
	DROP_FRAGMENT_EVICTED,    // It made room before the rest of its datagram came.
	DROP_FRAGMENT_TIMEOUT,    // The rest of its datagram did not come.

	// The way out is not known.
	DROP_NO_ROUTE,   // The routing table has no route to its destination.
	DROP_UNRESOLVED, // The next hop's MAC address is not known (yet).
	DROP_TOO_BIG,    // Larger than the MTU of the port it would leave by.
	DROP_PORT_DOWN,  // The port it would leave by has no link.

	N_DROP_REASONS,
};

// The reason as one word for counters and filters ("no-service"), and as a sentence for people.
// Neither is ever NULL for a value below N_DROP_REASONS.
const char *drop_reason_word(enum drop_reason reason);
const char *drop_reason_sentence(enum drop_reason reason);
