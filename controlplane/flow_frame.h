#pragma once

#include <stddef.h>
#include <stdint.h>

#include "guideway/flow.h"

// The frame that begins a flow: a SYN, an empty datagram, or an empty SCTP packet, whose checksum
// is left out. To the MAC address 'to', with the tag 'vlan' if that is not 0. Returns its length.
enum { FLOW_FRAME_MAX = 78 };
size_t flow_frame_build(const struct flow_key *key, const uint8_t to[6], uint16_t vlan,
	uint8_t ret_frame[FLOW_FRAME_MAX]);
