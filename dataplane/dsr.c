#include "dsr.h"

#include "choose.h"
#include "mss.h"
#include "output.h"
#include "traffic.h"

static inline void forward(struct burst *b, struct packet *p)
{
	uint64_t hop = output_hop(b->pipeline, p->next_hop);

	if (unlikely(output_returns(p, hop)))
		return burst_drop(b, p, DROP_LOOP);
	if (unlikely(!burst_fits(b, p)))
		return;

	mss_clamp(choose_service(b, p), p);
	traffic_count_in(b, p->service, p->node, p->ip_len);
	output_send_to_node(b, p, hop);
}

void dsr_forward(struct burst *b, const struct packet_list *list)
{
	for (uint16_t i = 0; i < list->n; i++)
		forward(b, list->at[i]);
}
