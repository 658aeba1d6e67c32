#include "flows.h"

#include <errno.h>
#include <string.h>

#include <sys/mman.h>

static uint32_t last_of(const uint8_t address[16], bool ipv6)
{
	const uint8_t *at = address + (ipv6 ? 12 : 0);

	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void flows_choose(struct flows *flows, const struct plan *plan)
{
	flows->n = plan->n_flows;
	flows->n_vips = plan->n_vips;
	flows->client = last_of(plan->client, plan->ipv6);
	flows->vip = last_of(plan->vip, plan->ipv6);
	flows->vip_port = plan->vip_port;
	flows->node_port = plan->node_port;
}

void flows_free(struct flows *flows)
{
	if (flows->peers != NULL)
		munmap(flows->peers, flows->n_peers * sizeof(*flows->peers));
	flows->peers = NULL;
	flows->n_peers = 0;
}

int flows_forget(struct flows *flows)
{
	flows_free(flows);

	size_t len = flows->n * sizeof(*flows->peers);
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return -ENOMEM;
	madvise(at, len, MADV_HUGEPAGE);
	flows->peers = at;
	flows->n_peers = flows->n;
	return 0;
}
