#include "target_sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// A ring and what it is worth.
struct ring {
	struct maglev_fit fit;
	_Alignas(64) node_id slots[];
};

int target_sets_create(struct target_sets *sets)
{
	const struct model *model = sets->model;

	sets->sets = calloc(model->n_sets * N_FAMILIES + 1, sizeof(*sets->sets));
	// One more, in front, for the size of the ring: a ring is found by both together.
	sets->spare = calloc(model->n_nodes + 1, sizeof(*sets->spare));
	sets->state_of = calloc(sets->n_nodes + 1, sizeof(*sets->state_of));
	return sets->sets == NULL || sets->spare == NULL || sets->state_of == NULL ? -ENOMEM : 0;
}

void target_sets_destroy(struct target_sets *sets)
{
	for (size_t i = 0; sets->sets != NULL && i < sets->model->n_sets * N_FAMILIES; i++)
		target_set_release(&sets->sets[i], sets->rings, sets->states);
	free(sets->sets);
	free(sets->spare);
	free(sets->state_of);
}

struct target_set *target_sets_give(struct target_sets *sets, size_t *ret_n_sets)
{
	struct target_set *given = sets->sets;

	sets->sets = NULL;
	*ret_n_sets = sets->model->n_sets * N_FAMILIES;
	return given;
}

void target_set_release(struct target_set *set, struct part_store *rings, struct part_store *states)
{
	part_store_release(rings, set->ring);
	part_store_release(states, set->states);
}

const node_id *target_set_ring(const struct target_set *set)
{
	return set->ring == NULL ? NULL : ((const struct ring *)set->ring->value)->slots;
}

static bool is_of(
	const struct target_sets *sets, const struct model_target *target, enum family family)
{
	return !address_is_none(&sets->model->nodes[target->node].address[family]);
}

static bool may_take_flows(const struct model_target *target)
{
	return target->weight > 0 &&
		(target->state == TARGET_UP || target->state == TARGET_NOT_READY);
}

// True if those that are down are to be used, there being nobody else.
static bool fails_open(
	const struct target_sets *sets, const struct model_set *set, enum family family)
{
	for (size_t i = 0; i < set->n_targets; i++) {
		const struct model_target *target = &set->targets[i];

		if (may_take_flows(target) && is_of(sets, target, family))
			return false;
	}
	return set->fail_open;
}

static bool names_no_stranger(const struct target_sets *sets, const struct model_set *set)
{
	for (size_t i = 0; i < set->n_targets; i++) {
		if (set->targets[i].node >= sets->model->n_nodes)
			return false;
	}
	return true;
}

// Writes what the set says of each node to sets->state_of, and the members of its ring to
// 'members'.
static int read_targets(struct target_sets *sets, const struct model_set *set, enum family family,
	struct maglev_member *members, size_t *ret_n_members, bool *ret_is_awaited)
{
	size_t n = 0;

	if (!names_no_stranger(sets, set))
		return -EINVAL;

	bool open = fails_open(sets, set, family);
	memset(sets->state_of, TARGET_ABSENT, sets->n_nodes);
	for (size_t i = 0; i < set->n_targets; i++) {
		const struct model_target *target = &set->targets[i];
		enum target_state state = target->state;

		if (!is_of(sets, target, family))
			continue;

		uint32_t id = sets->ids[target->node * N_FAMILIES + family];
		if (sets->state_of[id] != TARGET_ABSENT)
			return -EINVAL;

		if (open && state == TARGET_DOWN)
			state = TARGET_UP;
		sets->state_of[id] = (uint8_t)state;
		*ret_is_awaited |= state == TARGET_NOT_READY && may_take_flows(target);
		if (state == TARGET_UP && target->weight > 0)
			members[n++] = (struct maglev_member){
				sets->identities[target->node], target->weight, (node_id)id, 0};
	}
	*ret_n_members = n;
	return 0;
}

static int build_ring(struct target_sets *sets, const void *key, size_t key_len, size_t n_members,
	struct part **ret_part)
{
	uint32_t ring_size = sets->model->ring_size;
	struct part *part = part_store_add(
		sets->rings, key, key_len, sizeof(struct ring) + ring_size * sizeof(node_id));
	if (part == NULL)
		return -ENOMEM;

	struct ring *ring = part->value;
	int r = maglev_build(&sets->spare[1], n_members, ring_size, ring->slots, &ring->fit);
	if (r < 0) {
		part_store_release(sets->rings, part);
		return r;
	}
	sets->n_rings_built++;
	*ret_part = part;
	return 0;
}

// The ring of sets->spare[1] on.
static int take_ring(struct target_sets *sets, size_t n_members, struct target_set *set)
{
	size_t key_len = (n_members + 1) * sizeof(*sets->spare);

	if (n_members == 0)
		return 0;

	maglev_sort(&sets->spare[1], n_members);
	sets->spare[0] = (struct maglev_member){.identity = sets->model->ring_size};
	set->ring = part_store_find(sets->rings, sets->spare, key_len);
	if (set->ring == NULL) {
		int r = build_ring(sets, sets->spare, key_len, n_members, &set->ring);
		if (r < 0)
			return r;
	}
	set->fit = ((const struct ring *)set->ring->value)->fit;
	return 0;
}

// States are a value that is its own key.
static int take_states(struct target_sets *sets, struct target_set *set)
{
	set->states = part_store_find(sets->states, sets->state_of, sets->n_nodes);
	if (set->states != NULL)
		return 0;

	set->states = part_store_add(sets->states, sets->state_of, sets->n_nodes, sets->n_nodes);
	if (set->states == NULL)
		return -ENOMEM;
	memcpy(set->states->value, sets->state_of, sets->n_nodes);
	return 0;
}

int target_sets_take(
	struct target_sets *sets, size_t set, enum family family, const struct target_set **ret_set)
{
	struct target_set *taken = &sets->sets[set * N_FAMILIES + family];
	size_t n_members;

	if (!taken->made) {
		int r = read_targets(sets, &sets->model->sets[set], family, &sets->spare[1],
			&n_members, &taken->is_awaited);
		if (r == 0)
			r = take_ring(sets, n_members, taken);
		if (r == 0)
			r = take_states(sets, taken);
		if (r < 0)
			return r;
		taken->made = true;
	}
	*ret_set = taken;
	return 0;
}
