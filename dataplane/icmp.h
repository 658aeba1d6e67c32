#pragma once

#include "burst.h"

// Of a packet that is KIND_ICMP.
bool icmp_is_error(const struct packet *p);

// ICMP to 'own', an address of ours: answers echo requests, passes errors on along the flow that
// they are about, and drops the rest. 'p' is KIND_ICMP and without fault.
void icmp_to_us(struct burst *b, struct packet *p, const struct own_address *own);

// An ICMP error to none of our addresses ('own' is NULL), or to one that tunnels come from: returns
// false if it is none of our business. Else it is about a packet that we sent, and is taken. 'p' is
// KIND_ICMP and without fault.
bool icmp_to_others(struct burst *b, struct packet *p, const struct own_address *own);
