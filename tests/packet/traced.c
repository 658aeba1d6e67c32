#include "traced.h"

#include <stdio.h>
#include <stdlib.h>

#include "affinity.h"
#include "guideway/trace.h"
#include "reassembly.h"
#include "trace.h"

static struct tracer *tracer;
static bool is_traced; // The frame at work is.
static const char *wrong;

void traced_start(void)
{
	if (tracer == NULL)
		tracer = tracer_create(LITTLE_SERVICES, LITTLE_NODES);
	if (tracer != NULL)
		return;
	fprintf(stderr, "world: no memory for traces\n");
	exit(2);
}

// A digest of all that a trace must not change. Its quality is of no concern: what should be equal
// is, and what is not differs in one word at least.
static uint64_t mix(uint64_t digest, const void *memory, size_t len)
{
	const uint8_t *bytes = memory;
	uint64_t word;

	for (size_t at = 0; at + sizeof(word) <= len; at += sizeof(word)) {
		memcpy(&word, bytes + at, sizeof(word));
		digest = (digest ^ word) * 0x9e3779b97f4a7c15;
		digest ^= digest >> 29;
	}
	return digest;
}

static uint64_t mix_worker(uint64_t digest, const struct world *w, unsigned worker)
{
	const struct pipeline *p = &w->pipelines[worker];
	uint32_t held = reassembly_held(p->reassembly);

	digest = mix(digest, p, sizeof(*p));
	digest = mix(digest, &w->counters[worker], sizeof(w->counters[worker]));
	digest = mix(digest, w->counters[worker].services.in,
		w->table->table.n_services * TRAFFIC_BYTES);
	digest = mix(digest, w->counters[worker].nodes.in, LITTLE_NODES * TRAFFIC_BYTES);
	for (enum family family = 0; family < N_FAMILIES; family++)
		digest = mix(digest, w->flow_memory[worker][family],
			flow_table_bytes(family, p->flows[family]->n_flows));
	digest = mix(digest, w->affinity_memory[worker], world_affinity_bytes());
	return digest ^ held;
}

static uint64_t digest_of(const struct world *w)
{
	uint64_t digest = mix(rte_mempool_avail_count(w->buffers), (const void *)w->path_mtus,
		LITTLE_NODES * N_FAMILIES * sizeof(uint64_t));

	for (unsigned i = 0; i < w->n_workers; i++)
		digest = mix_worker(digest, w, i);
	return digest;
}

void traced_foretell(struct world *w, unsigned worker, enum origin origin, uint16_t port,
	const uint8_t *bytes, size_t len)
{
	const struct trace_request request = {bytes, len, port, origin == ORIGIN_KERNEL};

	is_traced = tracer != NULL && len >= TRACE_FRAME_MIN && len <= TRACE_FRAME_MAX;
	if (!is_traced)
		return;

	uint64_t before = digest_of(w);
	if (!tracer_begin(tracer, &request, worker, w->pipelines[0].hash_key, w->now_ns)) {
		wrong = "it is out of buffers";
		return;
	}
	do
		tracer_visit(tracer, &w->pipelines[worker], &w->table->table, w->now_ns);
	while (tracer_goes_on(tracer, w->now_ns, &worker));
	wrong = digest_of(w) == before ? NULL : "it changed something";
}

static enum way way_of(const struct trace *trace)
{
	if (trace->n_frames == 0)
		return trace->is_kept ? WAY_KEPT : WAY_NONE;
	if (trace->frames[0].way == TRACE_WAITS)
		return WAY_WAITING;
	return trace->frames[0].way == TRACE_BY_PORT ? WAY_PORT : WAY_KERNEL;
}

static bool is_frame(const struct trace *trace, size_t i, const uint8_t *bytes, size_t len)
{
	return trace->frames[i].len == len &&
		memcmp(&trace->bytes[trace->frames[i].at], bytes, len) == 0;
}

static bool are_frames(const struct world *w, const struct trace *trace, const struct ending *e)
{
	if (!is_frame(trace, 0, e->bytes, e->len))
		return false;
	for (size_t i = 1; i < trace->n_frames; i++) {
		size_t len;
		const uint8_t *bytes = world_more(w, i - 1, &len);

		if (!is_frame(trace, i, bytes, len))
			return false;
	}
	return true;
}

static const char *compare(const struct world *w, const struct trace *trace, const struct ending *e)
{
	size_t n_out = e->way == WAY_NONE || e->way == WAY_KEPT ? 0 : 1 + world_n_more(w);
	bool has_port = e->way == WAY_PORT || e->way == WAY_KERNEL;

	// Fragments of others that make room are no fate of this packet's.
	if (trace->drop != (e->drop == DROP_FRAGMENT_EVICTED ? DROP_NONE : e->drop))
		return "it foretold another reason to drop";
	if (way_of(trace) != e->way)
		return "it foretold another way";
	if (trace->n_visits != e->handed + 1 ||
		trace->visits[trace->n_visits - 1].worker != e->worker)
		return "it foretold another worker";
	if (trace->n_frames != n_out)
		return "it foretold another number of frames";
	if (has_port && trace->frames[0].port != e->port)
		return "it foretold another port";
	if (e->way == WAY_KERNEL &&
		(trace->frames[0].way == TRACE_BY_TWIN_CONTROL) != (e->class == KERNEL_CONTROL))
		return "it foretold another ring to the kernel";
	return n_out == 0 || are_frames(w, trace, e) ? NULL : "it foretold other bytes";
}

const char *traced_judge(const struct world *w, const struct ending *e)
{
	if (!is_traced)
		return NULL;
	return wrong != NULL ? wrong : compare(w, tracer_result(tracer), e);
}
