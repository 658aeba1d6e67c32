#pragma once

#include "burst.h"

// The forwarding mode 'dsr', direct server return
// ===============================================
//
// A packet goes on as it came, to the MAC address of its node, which has the VIP itself and answers
// the client directly. So nodes are on a network that a port of ours is on, too. Since nothing of
// the packet changes, its hop limit does not either: what would go round for ever is known by its
// coming from the very node that it would go to.

// Packets to services, with their node chosen. Sends them there.
void dsr_forward(struct burst *b, const struct packet_list *list);
