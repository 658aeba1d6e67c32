#include "burst.h"

#include "capture.h"
#include "pipeline.h"

void burst_count(struct burst *b, enum event event)
{
	counter_add(&b->pipeline->counters->events[event], 1);
}

void burst_count_drop(struct burst *b, enum drop_reason reason)
{
	counter_add(&b->pipeline->counters->drops[reason], 1);
}

void burst_drop(struct burst *b, struct packet *p, enum drop_reason reason)
{
	burst_count_drop(b, reason);
	capture_drop(b, p, reason);
	rte_pktmbuf_free(p->mbuf);
}

void burst_hand_over(struct burst *b, struct packet *p, unsigned worker)
{
	struct outcome *out = b->out;

	packet_keep_way(p);
	out->handed[worker][out->n.handed[worker]++] = p->mbuf;
}

bool burst_pass_on(struct burst *b, struct packet *p)
{
	const struct pipeline *pipeline = b->pipeline;

	if (p->hops + 1u >= pipeline->n_workers)
		return false;

	p->hops++;
	burst_hand_over(b, p, (pipeline->worker + 1) % pipeline->n_workers);
	return true;
}
