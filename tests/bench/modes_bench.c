// The modes that remember no flow: flows are but different clients, each with its slot.

#include "crowd_rounds.h"

#include <stdio.h>

enum { FLOW_MEMORY = 1024 }; // Which is there, and not used.

static const struct kind {
	struct crowd_mode mode;
	bool has_replies;
	double bound; // Of IPv4, forward.
} kinds[] = {
	{{"dnat", MODE_DNAT, TUNNEL_IP}, true, 30},
	{{"dsr", MODE_DSR, TUNNEL_IP}, false, 30},
	{{"tunnel ip", MODE_TUNNEL, TUNNEL_IP}, false, 0},
	{{"tunnel gue", MODE_TUNNEL, TUNNEL_GUE}, false, 0},
};

static const uint64_t sizes[] = {1, 1 << 16, 1 << 20, 1 << 24};

static void measure(struct bench *b, const struct kind *kind, enum family family)
{
	struct crowd *c = crowd_create(b, &kind->mode, family, FLOW_MEMORY);

	for (size_t i = 0; i < RTE_DIM(sizes); i++) {
		if (sizes[i] > bench_options(b)->flows_max)
			continue;
		crowd_measure(b, c, FORWARD, sizes[i], family == IPV4 ? kind->bound : 0);
		if (kind->has_replies)
			crowd_measure(b, c, RETURN, sizes[i], 0);
	}
	if (family == IPV4)
		crowd_measure_padded(b, c, FORWARD, sizes[0]);
	crowd_destroy(c);
}

void bench_modes(struct bench *b)
{
	for (size_t i = 0; i < RTE_DIM(kinds); i++) {
		for (enum family family = 0; family < N_FAMILIES; family++) {
			char name[32];

			snprintf(name, sizeof(name), "%s %s", kinds[i].mode.name,
				family == IPV4 ? "ipv4" : "ipv6");
			if (bench_wants(b, name, sizes[0]))
				measure(b, &kinds[i], family);
		}
	}
}
