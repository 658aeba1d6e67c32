#include "many.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

static void make_nodes(struct many *m)
{
	for (unsigned i = 0; i < m->model.n_nodes; i++) {
		snprintf(m->nodes[i].name, NAME_TEXT_MAX, "worker-%u.cluster.example", i);
		m->nodes[i].address[IPV4] = address_from_ipv4(htonl(0x0a000001 + i));
		m->nodes[i].is_neighbour[IPV4] = true;
		m->targets[i] = (struct model_target){i, 1, TARGET_UP};
	}
}

static void make_services(struct many *m, enum forwarding_mode mode)
{
	for (unsigned i = 0; i < m->model.n_services; i++) {
		struct model_service *s = &m->services[i];

		snprintf(m->names[i], sizeof(m->names[i]), "namespace-%u/service-%u:http", i % 100,
			i);
		s->name = m->names[i];
		s->vip = address_from_ipv4(htonl(0xc6120001 + i / 4));
		s->port = (uint16_t)(80 + i % 4);
		s->node_port = (uint16_t)(30000 + i % 2768);
		s->protocol = IPPROTO_TCP;
		s->mode = mode;
		s->idle_s = 3600;
	}
}

static struct forwarding_settings usual_settings(void)
{
	return (struct forwarding_settings){.tcp_half_open_s = 30,
		.tcp_closing_s = 60,
		.udp_one_way_s = 30,
		.snat_rest_s = 60,
		.answers_per_s = 1000,
		.echoes_per_s = 1000,
		.all_per_s = 1000000};
}

void many_create(struct many *m, size_t n_services, size_t n_nodes, enum forwarding_mode mode)
{
	*m = (struct many){
		.nodes = calloc(n_nodes, sizeof(*m->nodes)),
		.targets = calloc(n_nodes, sizeof(*m->targets)),
		.services = calloc(n_services, sizeof(*m->services)),
		.names = calloc(n_services, sizeof(*m->names)),
	};
	bench_require(
		m->nodes != NULL && m->targets != NULL && m->services != NULL && m->names != NULL,
		"out of memory");
	m->set = (struct model_set){m->targets, n_nodes, false};
	m->model = (struct model){.nodes = m->nodes,
		.n_nodes = n_nodes,
		.sets = &m->set,
		.n_sets = 1,
		.services = m->services,
		.n_services = n_services,
		.snat = {m->snat},
		.n_snat = {MANY_SNAT},
		.ring_size = MANY_RING_SIZE,
		.settings = usual_settings()};
	for (uint32_t i = 0; i < MANY_SNAT; i++)
		m->snat[i] = address_from_ipv4(htonl(0xc000020a + i));
	make_nodes(m);
	make_services(m, mode);
}

void many_destroy(struct many *m)
{
	free(m->nodes);
	free(m->targets);
	free(m->services);
	free(m->names);
}

const struct forwarding_table *many_build(const struct many *m, struct table_builder *builder,
	const struct next_hop_finder *finder, size_t n_rings)
{
	const struct forwarding_table *table;
	struct build_report report;
	char why[WHY_MAX];

	bench_require(
		table_builder_build(builder, &m->model, finder, &table, &report, why) == 0, why);
	bench_require(report.n_rings_built == n_rings, "not as many rings are built as changed");
	return table;
}
