#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guideway/forwarding_table.h"

// How the control plane asks a node of a service in MODE_DSR or MODE_TUNNEL whether it knows the
// VIP already: by a SYN to the service that comes from the kernel, and goes to the node that it
// names, in all else as a client's would. A node that does not know the VIP sends it on, maybe back
// to us or to another Guideway, who must not give it to a node that does.
//
// It is named where no SYN says anything: in the acknowledgment number, which is 0 of others (RFC
// 9293, section 3.1). So it is in the RST by which what a SYN has begun is ended.

#define VIP_PROBE_MARK (UINT32_C(0x4757) << 16)

static inline uint32_t vip_probe_acknowledgment(node_id node)
{
	return VIP_PROBE_MARK | node;
}

// Of a packet without the ACK flag, host byte order.
static inline bool is_vip_probe(uint32_t acknowledgment)
{
	return (acknowledgment & ~UINT32_C(0xffff)) == VIP_PROBE_MARK;
}

static inline node_id vip_probe_node(uint32_t acknowledgment)
{
	return (node_id)acknowledgment;
}
