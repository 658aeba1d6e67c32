#pragma once

#include <stdbool.h>

#include "burst.h"

// Who has our addresses: ARP (RFC 826) and neighbour discovery (RFC 4861).

// ICMPv6 types, from router solicitation to redirect.
enum { ND_FIRST = 133, ND_SOLICITATION = 135, ND_ADVERTISEMENT = 136, ND_LAST = 137 };

// 'p' is KIND_ICMP.
static inline bool is_neighbour_discovery(const struct packet *p)
{
	return p->family == IPV6 && p->l4[0] >= ND_FIRST && p->l4[0] <= ND_LAST;
}

static inline bool is_neighbour_solicitation(const struct packet *p)
{
	return p->family == IPV6 && p->l4[0] == ND_SOLICITATION;
}

// Answer a question for an address of ours, or drop it where it is not one that may be asked.
// Return false, having done nothing, if it is for another's.
bool neighbour_answer_arp(struct burst *b, struct packet *p);
bool neighbour_answer_solicitation(struct burst *b, struct packet *p);
