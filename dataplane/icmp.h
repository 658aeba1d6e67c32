#pragma once

#include "burst.h"

// ICMP to 'own', an address of ours: answers echo requests, passes errors on along the flow that
// they are about, and drops the rest. 'p' is KIND_ICMP and without fault.
void icmp_to_us(struct burst *b, struct packet *p, const struct own_address *own);
