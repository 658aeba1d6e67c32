#pragma once

#include <netinet/in.h>

#include <rte_branch_prediction.h>
#include <rte_tcp.h>

#include "burst.h"

// How large a TCP segment may be, as said by the SYNs of either side (RFC 9293, section 3.7.1).

// Makes a SYN say no more than 'mss'.
void mss_correct(struct packet *p, uint16_t mss);

// As its service wants it.
static inline void mss_clamp(const struct service *service, struct packet *p)
{
	if (unlikely(service->mss != 0) && p->protocol == IPPROTO_TCP &&
		(p->tcp_flags & RTE_TCP_SYN_FLAG))
		mss_correct(p, service->mss);
}
