#include "endpoint_shares.h"

#include <stdlib.h>
#include <string.h>

// What a node has in all slices of a Service.
struct tally {
	const char *node;
	uint32_t n_ready;
	uint32_t n_serving;
};

struct endpoint_shares {
	struct slice_object *const *slices; // [n_slices]
	size_t n_slices;
	struct share *shares; // [all nodes of all slices], of which n_shares are given out.
	size_t n_shares;
	struct tally *tallies; // [likewise], of one family at a time.
};

struct endpoint_shares *endpoint_shares_create(struct slice_object *const *slices, size_t n)
{
	struct endpoint_shares *s = calloc(1, sizeof(*s));
	size_t n_nodes = 0;

	for (size_t i = 0; i < n; i++)
		n_nodes += slices[i]->n_nodes;
	if (s == NULL)
		return NULL;
	s->shares = calloc(n_nodes + 1, sizeof(*s->shares));
	s->tallies = calloc(n_nodes + 1, sizeof(*s->tallies));
	if (s->shares == NULL || s->tallies == NULL) {
		endpoint_shares_destroy(s);
		return NULL;
	}
	s->slices = slices;
	s->n_slices = n;
	return s;
}

void endpoint_shares_destroy(struct endpoint_shares *shares)
{
	if (shares == NULL)
		return;

	free(shares->shares);
	free(shares->tallies);
	free(shares);
}

static int compare_nodes(const void *left, const void *right)
{
	return strcmp(((const struct tally *)left)->node, ((const struct tally *)right)->node);
}

// Puts together what one node has in several slices. Returns how many nodes there are.
static size_t add_up(struct tally *tallies, size_t n)
{
	size_t n_nodes = 0;

	qsort(tallies, n, sizeof(*tallies), compare_nodes);
	for (size_t i = 0; i < n; i++) {
		if (n_nodes > 0 && strcmp(tallies[n_nodes - 1].node, tallies[i].node) == 0) {
			tallies[n_nodes - 1].n_ready += tallies[i].n_ready;
			tallies[n_nodes - 1].n_serving += tallies[i].n_serving;
		} else {
			tallies[n_nodes++] = tallies[i];
		}
	}
	return n_nodes;
}

static size_t take_slices(struct endpoint_shares *s, enum family family)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_slices; i++) {
		const struct slice_object *slice = s->slices[i];

		for (size_t j = 0; slice->family == family && j < slice->n_nodes; j++) {
			const struct slice_node *node = &slice->nodes[j];

			s->tallies[n++] =
				(struct tally){node->name, node->n_ready, node->n_serving};
		}
	}
	return add_up(s->tallies, n);
}

struct share_list endpoint_shares_find(struct endpoint_shares *shares, enum family family)
{
	struct share_list list = {&shares->shares[shares->n_shares], 0};
	size_t n = take_slices(shares, family);

	for (size_t i = 0; i < n; i++) {
		const struct tally *t = &shares->tallies[i];
		bool is_reserve = t->n_ready == 0;
		uint32_t weight = is_reserve ? t->n_serving : t->n_ready;

		if (weight > 0)
			shares->shares[shares->n_shares++] =
				(struct share){t->node, weight, is_reserve};
	}
	list.n = (size_t)(&shares->shares[shares->n_shares] - list.shares);
	return list;
}
