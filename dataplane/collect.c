#include "collect.h"

#include "flow_hash.h"
#include "fragment.h"
#include "parse.h"
#include "pipeline.h"
#include "reassembly.h"
#include "segments.h"

// All fragments of a datagram meet at one worker, named by a hash of what they have in common: the
// ports are in one of them only. The whole then goes to the owner of its flow, like any packet.
//
// Rings between workers carry other packets as well. So that a flood of fragments does not fill
// them, a burst hands over but a few.
enum { HANDED_PER_BURST = BURST_MAX / 4 };

static void hand_over(struct burst *b, struct packet *p, unsigned worker)
{
	if (b->n_fragments_handed == HANDED_PER_BURST)
		return burst_drop(b, p, DROP_FRAGMENT);

	b->n_fragments_handed++;
	burst_hand_over(b, p, worker);
}

static bool add(struct burst *b, struct packet *p, const struct fragment *f, uint64_t hash)
{
	enum drop_reason reason;

	packet_keep_way(p);
	p->mbuf = reassembly_add(b->pipeline->reassembly, f, hash, b->now_ns, &reason);
	if (reason != DROP_NONE)
		burst_count_drop(b, reason);
	if (p->mbuf == NULL)
		return false;

	burst_count(b, EVENT_REASSEMBLED);
	return parse_again(b, p);
}

bool collect_fragment(struct burst *b, struct packet *p)
{
	const struct pipeline *pipeline = b->pipeline;
	struct fragment f = {.mbuf = p->mbuf, .l2_len = p->l2_len};

	if (!fragment_read(p->l3, segments_available(p->mbuf, p->l3), p->family, &f)) {
		burst_drop(b, p, DROP_MALFORMED);
		return false;
	}

	uint64_t hash = fragment_hash(pipeline->hash_key, &f);
	unsigned worker = flow_hash_worker(hash, pipeline->n_workers);
	if (worker == pipeline->worker)
		return add(b, p, &f, hash);
	hand_over(b, p, worker);
	return false;
}
