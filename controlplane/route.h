#pragma once

#include <stdint.h>

#include "guideway/address.h"
#include "guideway/route_table.h"

// A route as the mirror of the kernel hands it to whoever builds the table. No prefix comes twice.
struct route {
	struct address prefix; // Bits past 'length' are 0.
	uint8_t length;        // In bits of the family: 0 to 32, or 0 to 128.
	next_hop_id next_hop;  // NEXT_HOP_NONE for a prefix that is to have no route.
};
