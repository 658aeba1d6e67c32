#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "drains.h"
#include "health.h"
#include "loop.h"
#include "state_directory.h"

// Configurations for tests, written in words: nodes "a b c" are a at 127.0.0.1, b at 127.0.0.2, ...
// by their first letter, so that a node is the same in every configuration.

static inline struct address letter_address(char letter)
{
	return address_from_ipv4(htonl(INADDR_LOOPBACK + (uint32_t)(letter - 'a')));
}

static inline struct config *config_of(const char *nodes)
{
	struct config *config = calloc(1, sizeof(*config));

	config->nodes = calloc(strlen(nodes) + 1, sizeof(*config->nodes));
	for (; *nodes != '\0'; nodes++) {
		if (*nodes == ' ')
			continue;

		struct node_config *node = &config->nodes[config->n_nodes++];

		node->name[0] = *nodes;
		node->address[IPV4] = letter_address(*nodes);
		node->weight = 1;
	}
	config->services = calloc(64, sizeof(*config->services));
	config->ring_size = 251;
	config->drain_s = 60;
	config->dataplane.services_max = 64;
	config->dataplane.nodes_max = 64;
	config->nodes_max = 32;
	return config;
}

// Over the nodes whose letters are in 'nodes'; not checked until the caller says otherwise.
static inline struct service_config *add_service(
	struct config *config, const char *name, const char *nodes)
{
	struct service_config *s = calloc(1, sizeof(*s));

	config->services[config->n_services++] = s;
	strcpy(s->name, name);
	s->vip = address_from_ipv4(htonl(0xc0000250)); // 192.0.2.80
	s->port = (uint16_t)(80 + config->n_services);
	s->node_port = (uint16_t)(30080 + config->n_services);
	s->protocol = IPPROTO_TCP;
	s->idle_s = 300;
	s->announce = true;
	s->answers_arp = true;
	s->nodes = calloc(config->n_nodes + 1, sizeof(size_t));
	for (size_t i = 0; i < config->n_nodes; i++) {
		if (strchr(nodes, config->nodes[i].name[0]) != NULL)
			s->nodes[s->n_nodes++] = i;
	}
	return s;
}

// To be changed and wanted next: nobody changes a configuration that a plan is of.
static inline struct config *copy_of_config(const struct config *config)
{
	struct config *copy = calloc(1, sizeof(*copy));

	*copy = *config;
	copy->nodes = calloc(config->n_nodes + 1, sizeof(*copy->nodes));
	memcpy(copy->nodes, config->nodes, config->n_nodes * sizeof(*copy->nodes));
	copy->services = calloc(64, sizeof(*copy->services));
	for (size_t i = 0; i < config->n_services; i++) {
		const struct service_config *from = config->services[i];
		struct service_config *to = calloc(1, sizeof(*to));

		*to = *from;
		to->nodes = calloc(config->n_nodes + 1, sizeof(size_t));
		memcpy(to->nodes, from->nodes, from->n_nodes * sizeof(size_t));
		copy->services[i] = to;
	}
	return copy;
}

static inline void free_config(struct config *config)
{
	for (size_t i = 0; i < config->n_services; i++) {
		free(config->services[i]->nodes);
		free(config->services[i]);
	}
	free(config->services);
	free(config->nodes);
	free(config);
}

// A state directory that is gone after the test.
struct scratch {
	char path[64];
	struct state_directory *directory;
	struct drains *drains;
};

static inline int scratch_open(struct scratch *scratch)
{
	char why[WHY_MAX];

	strcpy(scratch->path, "/tmp/guideway-test-XXXXXX");
	if (mkdtemp(scratch->path) == NULL ||
		state_directory_open(scratch->path, &scratch->directory, why) < 0)
		return -1;
	return drains_open(scratch->directory, 0, &scratch->drains);
}

static inline int scratch_close(struct scratch *scratch)
{
	char command[128];

	drains_close(scratch->drains);
	state_directory_close(scratch->directory);
	snprintf(command, sizeof(command), "rm -r %s", scratch->path);
	return system(command);
}
