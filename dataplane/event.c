#include "guideway/counters.h"

#include <assert.h>

static const struct words {
	const char *word;
	const char *sentence;
} words[N_EVENTS] = {
	[EVENT_RX_PACKETS] = {"rx-packets", "Packets received from ports."},
	[EVENT_RX_BYTES] = {"rx-bytes", "Bytes received from ports, Ethernet headers included."},
	[EVENT_TX_PACKETS] = {"tx-packets", "Packets sent to ports."},
	[EVENT_TX_BYTES] = {"tx-bytes", "Bytes sent to ports, Ethernet headers included."},
	[EVENT_TO_KERNEL] = {"to-kernel", "Packets handed to the kernel."},
	[EVENT_FROM_KERNEL] = {"from-kernel", "Packets taken from the kernel."},
	[EVENT_HANDED_OVER] = {"handed-over", "Packets passed to another worker."},
	[EVENT_FLOWS_CREATED] = {"flows-created", "Flows begun."},
	[EVENT_FLOWS_EXPIRED] = {"flows-expired", "Flows forgotten after their idle time."},
	[EVENT_FLOWS_EVICTED_HALF_OPEN] = {"flows-evicted-half-open",
		"Half-open flows that gave way, flow memory being full."},
	[EVENT_FLOWS_EVICTED_CLOSING] = {"flows-evicted-closing",
		"Closing flows that gave way, flow memory being full."},
	[EVENT_FLOWS_EVICTED_RESTING] = {"flows-evicted-resting",
		"SNAT ports whose rest was cut short, flow memory being full."},
	[EVENT_SNAT_PORT_REUSED_EARLY] = {"snat-port-reused-early",
		"SNAT ports used again before their rest was over."},
	[EVENT_ARP_ANSWERED] = {"arp-answered", "ARP requests answered for our addresses."},
	[EVENT_ND_ANSWERED] = {"nd-answered",
		"Neighbour solicitations answered for our addresses."},
	[EVENT_ECHO_ANSWERED] = {"echo-answered", "Echo requests answered for our addresses."},
	[EVENT_RESETS_SENT] = {"resets-sent", "TCP resets of our own."},
	[EVENT_ICMP_ERRORS_SENT] = {"icmp-errors-sent", "ICMP errors of our own."},
	[EVENT_ICMP_ERRORS_TRANSLATED] = {"icmp-errors-translated",
		"ICMP errors about a flow, passed on along it."},
	[EVENT_REASSEMBLED] = {"reassembled", "datagrams put together of fragments"},
	[EVENT_FRAGMENTED] = {"fragmented", "packets cut into fragments for a narrower way"},
	[EVENT_PATH_MTU_LEARNED] = {"path-mtu-learned",
		"ICMP errors said how much fits the way of a tunnel to a node."},
	[EVENT_WAITED] = {"waited",
		"Packets that waited for a next hop to be resolved and were then sent."},
	[EVENT_BUSY_POLLS] = {"busy-polls", "Polls that found a packet."},
	[EVENT_IDLE_POLLS] = {"idle-polls", "Polls that found none."},
	[EVENT_BUSY_CYCLES] = {"busy-cycles",
		"Time-stamp cycles spent in polls that found a packet."},
};

const char *event_word(enum event event)
{
	assert(event < N_EVENTS);
	return words[event].word;
}

const char *event_sentence(enum event event)
{
	assert(event < N_EVENTS);
	return words[event].sentence;
}
