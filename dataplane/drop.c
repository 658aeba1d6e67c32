#include "guideway/drop.h"

#include <assert.h>

static const struct words {
	const char *word;
	const char *sentence;
} words[N_DROP_REASONS] = {
	[DROP_NONE] = {"none", "Not dropped."},
	[DROP_TRUNCATED] = {"truncated",
		"The frame ends inside a header, or before the length that its IP header says."},
	[DROP_MALFORMED] = {"malformed", "A header contradicts itself."},
	[DROP_BAD_CHECKSUM] = {"bad-checksum",
		"The checksum of the IPv4 header or of an ICMP message is wrong."},
	[DROP_BAD_SOURCE] = {"bad-source", "No host may have its source address."},
	[DROP_WRONG_VLAN] = {"wrong-vlan",
		"It has a VLAN tag other than the port's own, or lacks that."},
	[DROP_NOT_FOR_US] = {"not-for-us", "The frame is for another machine's MAC address."},
	[DROP_ZERO_CHECKSUM] = {"zero-checksum", "UDP over IPv6 without a checksum."},
	[DROP_HOP_LIMIT] = {"hop-limit", "Its TTL or hop limit ends here."},
	[DROP_FRAGMENT_TINY] = {"fragment-tiny",
		"A fragment that cuts through the layer 4 header."},
	[DROP_FRAGMENT_OVERLAP] = {"fragment-overlap",
		"Fragments of its datagram overlap, or disagree about where it ends."},
	[DROP_FRAGMENT_DUPLICATE] = {"fragment-duplicate", "The same fragment had come before."},
	[DROP_FRAGMENT_MANY] = {"fragment-many", "Its datagram is in too many fragments."},
	[DROP_FRAGMENT] = {"fragment",
		"More fragments came at once than may be handed to the worker that they meet at."},
	[DROP_NO_SERVICE] = {"no-service", "To a VIP, but to no service's port."},
	[DROP_SOURCE] = {"source-not-allowed", "The service does not let its source in."},
	[DROP_NO_TARGET] = {"no-target", "The service has no node that may be used."},
	[DROP_NOT_READY] = {"target-not-ready",
		"No node of the service has shown yet that it knows the VIP."},
	[DROP_NO_FLOW] = {"no-flow", "A reply, or an ICMP error, about a flow that nobody has."},
	[DROP_UNKNOWN_TCP] = {"unknown-tcp", "TCP of no known flow, and not a SYN."},
	[DROP_DEAD_TARGET] = {"dead-target", "TCP of a flow whose node died."},
	[DROP_LOOP] = {"loop",
		"It came from the node that it would go to, which sends the VIP on."},
	[DROP_TUNNEL] = {"tunnel", "An ICMP error about the way of a tunnel to a node."},
	[DROP_ICMP] = {"icmp",
		"ICMP to one of our addresses that is neither an echo request nor about a flow."},
	[DROP_FLOWS_FULL] = {"flows-full", "Flow memory is full of flows that must not give way."},
	[DROP_NO_PORT] = {"no-port", "No SNAT port is free towards the target."},
	[DROP_HANDOVER_FULL] = {"handover-full",
		"The ring to the worker that owns the flow is full."},
	[DROP_KERNEL_FULL] = {"kernel-full", "The ring to the kernel is full."},
	[DROP_KERNEL_CONTROL_FULL] = {"kernel-control-full",
		"The ring to the kernel for nodes, ARP and ND is full."},
	[DROP_KERNEL_DOWN] = {"kernel-down", "The kernel did not take it: the twin is down."},
	[DROP_TX_FULL] = {"tx-full", "The port did not take it."},
	[DROP_NO_MEMORY] = {"no-memory", "No packet buffer was free."},
	[DROP_RATE_LIMIT] = {"rate-limit",
		"It would have been answered, but enough such answers were sent this second."},
	[DROP_FRAGMENT_EVICTED] = {"fragment-evicted",
		"A fragment that made room for others before the rest of its datagram came."},
	[DROP_FRAGMENT_TIMEOUT] = {"fragment-timeout", "The rest of its datagram did not come."},
	[DROP_NO_ROUTE] = {"no-route", "The routing table has no route to its destination."},
	[DROP_UNRESOLVED] = {"unresolved", "The MAC address of its next hop is not known."},
	[DROP_TOO_BIG] = {"too-big",
		"It is larger than the MTU of the port that it would leave by."},
	[DROP_PORT_DOWN] = {"port-down", "The port that it would leave by has no link."},
};

const char *drop_reason_word(enum drop_reason reason)
{
	assert(reason < N_DROP_REASONS);
	return words[reason].word;
}

const char *drop_reason_sentence(enum drop_reason reason)
{
	assert(reason < N_DROP_REASONS);
	return words[reason].sentence;
}
