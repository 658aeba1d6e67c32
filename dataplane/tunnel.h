#pragma once

#include <stdbool.h>

#include "burst.h"
#include "parse.h"

// The forwarding mode 'tunnel'
// ============================
//
// A packet goes on as it came, in an outer packet to its node, which has the VIP itself and answers
// the client directly. So nodes may be anywhere, and of the other family.
//
//     kind     VIP     node    outer header                  source
//     ip       IPv4    IPv4    IPv4, protocol 4              RFC 2003
//              IPv6    IPv4    IPv4, protocol 41             RFC 4213
//              either  IPv6    IPv6, next header 4 or 41     RFC 2473
//     gue      either  either  IPv4 or IPv6, UDP, GUE        draft-ietf-intarea-gue-09, version 0

// What a node that does not have the VIP sends back is known by its coming from that node, where it
// is on a network of ours; elsewhere by its hop limit, of which each round takes one.

// Packets to services, with their node chosen. Sends them there.
void tunnel_forward(struct burst *b, const struct packet_list *list);

// The same for one whose service, node, slot and next hop are set, be it to a service's port or
// not.
void tunnel_send(struct burst *b, struct packet *p);

// Whether the packet, as it came from a port, came from the very node that it would go to.
bool tunnel_returns(const struct burst *b, const struct packet *p);

// Whether an ICMP error brings back an outer packet of ours.
bool tunnel_has_sent(const struct burst *b, const struct returned *r);

// Takes such an error: one that says how much fits the way to its node is remembered for
// PATH_MTU_AGE_S, the others are counted.
void tunnel_take_error(struct burst *b, struct packet *p, const struct returned *r);

// RFC 1191, section 6.3, and RFC 8201, section 5.3: after ten minutes a larger one is tried again.
enum { PATH_MTU_AGE_S = 600 };
