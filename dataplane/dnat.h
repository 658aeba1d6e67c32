#pragma once

#include "burst.h"

// The forwarding mode 'dnat'
// ==========================
//
//     client:port -> vip:port      becomes      client:port -> node:node_port
//     vip:port -> client:port      becomes      node:node_port -> client:port      (and back)
//
// No flow is remembered: what comes from a node's NodePort belongs to the one service that has it.
// So the nodes route what they send to clients through this machine; and a client that uses the
// NodePort itself, through this machine, gets its answers from the VIP, which it did not ask.

// Packets to services, with their node chosen. Sends them there.
void dnat_forward(struct burst *b, enum family family, const struct packet_list *list);

// If the packet, to none of our addresses, is a reply in this mode: sets 'service' and 'node' and
// returns true.
bool dnat_is_reply(const struct burst *b, struct packet *p);

// Whether a fragment, which may not say its ports, could be one.
bool dnat_may_be_reply(const struct burst *b, const struct packet *p);

// Such replies, with their next hop known. Sends them to their clients.
void dnat_reply(struct burst *b, enum family family, const struct packet_list *list);
