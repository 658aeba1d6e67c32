#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guideway/address.h"
#include "guideway/drop.h"

// Packets of VIPs as people look at them: copies of what came in, of what went out and of what was
// dropped. What goes by the kernel is not among them: that is what tcpdump on the twin shows.

enum {
	CAPTURE_SNAP_MAX = 2048, // Bytes of a frame that are copied; of longer ones no more.
	CAPTURE_SLOTS = 1024,    // Copies that a worker holds until they are read.
};

// A packet is captured if all hold of it, as it comes or as it leaves.
struct capture_filter {
	struct address host; // Source or destination; no address for any.
	__be16 port;         // Source or destination, of TCP, UDP and SCTP; 0 for any.
	uint8_t protocol;    // 0 for any.
};

enum capture_point {
	CAPTURE_IN,   // As it came, to a VIP or SNAT address, or as a reply in the mode dnat.
	CAPTURE_OUT,  // As it was given to a port, or to the twin for this very machine.
	CAPTURE_DROP, // As it was when it ended, or before it was answered by an error or a reset.
};

struct captured {
	uint64_t at_ns;    // Since 1970.
	uint32_t len;      // Of the frame.
	uint16_t snap_len; // Of that, in 'bytes'.
	uint8_t point;     // enum capture_point.
	uint8_t drop;      // enum drop_reason, of CAPTURE_DROP.
	uint8_t port;      // By which it came; of CAPTURE_OUT by which it goes.
	uint8_t worker;
	uint8_t bytes[CAPTURE_SNAP_MAX];
};
