#include "echo.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <rte_icmp.h>

#include "answer.h"
#include "pipeline.h"

bool is_echo_request(const struct packet *p)
{
	return p->l4[0] == (p->family == IPV4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST) && p->l4[1] == 0;
}

// RFC 792, RFC 4443: the same message, with another type. Options and extension headers were for
// the way here.
static void turn_round(struct packet *p)
{
	struct address asker = packet_source(p);
	struct address asked = packet_destination(p);
	uint16_t l4_len = packet_l4_len(p);
	struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)p->l4;

	answer_begin(p, p->l4 - answer_ip_header_len(p)); // Never before where it was.
	icmp->icmp_type = p->family == IPV4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
	icmp->icmp_cksum = 0;
	answer_write_ip(p, &asked, &asker, ANSWER_HOP_LIMIT, l4_len);
	icmp->icmp_cksum = answer_checksum(p);
}

void echo_answer(struct burst *b, struct packet *p)
{
	if (answer_checksum(p) != 0)
		return burst_drop(b, p, DROP_BAD_CHECKSUM);
	if (!answer_is_allowed(b, LIMIT_ECHO, b->table->settings.echoes_per_s))
		return burst_drop(b, p, DROP_RATE_LIMIT);

	turn_round(p);
	burst_count(b, EVENT_ECHO_ANSWERED);
	burst_send_back(b, p);
}
