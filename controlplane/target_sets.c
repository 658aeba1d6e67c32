#include "target_sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// A ring and what it is worth. It is made of a maglev_member that has its size for an identity, and
// then its members.
struct ring {
	struct maglev_fit fit;
	uint32_t size;
	_Alignas(64) node_id slots[];
};

enum { SHIFT_MAX = 4 }; // By so many places the same set is looked for.

// What a set was made of.
struct source {
	size_t first; // Of its targets.
	size_t n_targets;
	bool fail_open;
};

struct made_sets {
	struct target_set *sets;      // [n_sets][N_FAMILIES]
	struct source *sources;       // [n_sets]
	struct model_target *targets; // Of all.
	size_t n_sets;
	uint32_t *ids;        // [n_model_nodes][N_FAMILIES]
	uint64_t *identities; // [n_model_nodes]
	size_t n_model_nodes;
	size_t n_nodes;
	uint32_t ring_size;
};

// One more than asked, since calloc() may answer a wish for nothing with NULL.
static void *array(size_t n, size_t size)
{
	return calloc(n + 1, size);
}

void made_sets_destroy(struct made_sets *made, struct part_store *rings, struct part_store *states)
{
	if (made == NULL)
		return;

	for (size_t i = 0; made->sets != NULL && i < made->n_sets * N_FAMILIES; i++) {
		part_store_release(rings, made->sets[i].ring);
		part_store_release(states, made->sets[i].states);
	}
	free(made->sets);
	free(made->sources);
	free(made->targets);
	free(made->ids);
	free(made->identities);
	free(made);
}

// Takes down what 'made' will be made of. Returns 0 or -ENOMEM.
static int take_down(const struct target_sets *sets, struct made_sets *made)
{
	const struct model *model = sets->model;
	size_t n_targets = 0;

	for (size_t i = 0; i < model->n_sets; i++)
		n_targets += model->sets[i].n_targets;
	*made = (struct made_sets){
		.sets = array(model->n_sets * N_FAMILIES, sizeof(*made->sets)),
		.sources = array(model->n_sets, sizeof(*made->sources)),
		.targets = array(n_targets, sizeof(*made->targets)),
		.n_sets = model->n_sets,
		.ids = array(model->n_nodes * N_FAMILIES, sizeof(*made->ids)),
		.identities = array(model->n_nodes, sizeof(*made->identities)),
		.n_model_nodes = model->n_nodes,
		.n_nodes = sets->n_nodes,
		.ring_size = model->ring_size,
	};
	if (made->sets == NULL || made->sources == NULL || made->targets == NULL ||
		made->ids == NULL || made->identities == NULL)
		return -ENOMEM;

	memcpy(made->ids, sets->ids, model->n_nodes * N_FAMILIES * sizeof(*made->ids));
	memcpy(made->identities, sets->identities, model->n_nodes * sizeof(*made->identities));
	n_targets = 0;
	for (size_t i = 0; i < model->n_sets; i++) {
		const struct model_set *set = &model->sets[i];

		made->sources[i] = (struct source){n_targets, set->n_targets, set->fail_open};
		if (set->n_targets > 0)
			memcpy(&made->targets[n_targets], set->targets,
				set->n_targets * sizeof(*set->targets));
		n_targets += set->n_targets;
	}
	return 0;
}

static bool is_of_same_nodes(const struct made_sets *a, const struct made_sets *b)
{
	return a->n_model_nodes == b->n_model_nodes && a->n_nodes == b->n_nodes &&
		a->ring_size == b->ring_size &&
		memcmp(a->ids, b->ids, a->n_model_nodes * N_FAMILIES * sizeof(*a->ids)) == 0 &&
		memcmp(a->identities, b->identities, a->n_model_nodes * sizeof(*a->identities)) ==
		0;
}

static bool is_same(const struct made_sets *a, size_t i, const struct made_sets *b, size_t j)
{
	const struct source *s = &a->sources[i], *t = &b->sources[j];

	return s->n_targets == t->n_targets && s->fail_open == t->fail_open &&
		memcmp(&a->targets[s->first], &b->targets[t->first],
			s->n_targets * sizeof(*a->targets)) == 0;
}

// Looks around 'at', the nearest first. Returns SIZE_MAX if there is none.
static size_t find_same(
	const struct made_sets *made, size_t i, const struct made_sets *before, size_t at)
{
	for (size_t d = 0; d <= 2 * SHIFT_MAX; d++) {
		size_t j = d % 2 == 0 ? at - d / 2 : at + d / 2 + 1; // May be below 0, and huge.

		if (j < before->n_sets && is_same(made, i, before, j))
			return j;
	}
	return SIZE_MAX;
}

// Both are in the same order, but for some that came, went or changed.
static void match(struct target_sets *sets)
{
	const struct made_sets *before = sets->before, *made = sets->made;
	bool can_be = before != NULL && is_of_same_nodes(before, made);
	size_t at = 0;

	for (size_t i = 0; i < made->n_sets; i++) {
		sets->same[i] = can_be ? find_same(made, i, before, at) : SIZE_MAX;
		at = sets->same[i] == SIZE_MAX ? at + 1 : sets->same[i] + 1;
	}
}

int target_sets_create(struct target_sets *sets)
{
	const struct model *model = sets->model;

	// One more, in front, for the size of the ring: a ring is found by both together.
	sets->spare = array(model->n_nodes, sizeof(*sets->spare));
	sets->state_of = array(sets->n_nodes, sizeof(*sets->state_of));
	sets->is_there = array(sets->n_nodes, sizeof(*sets->is_there));
	sets->same = array(model->n_sets, sizeof(*sets->same));
	sets->made = calloc(1, sizeof(*sets->made));
	if (sets->spare == NULL || sets->state_of == NULL || sets->is_there == NULL ||
		sets->same == NULL || sets->made == NULL || take_down(sets, sets->made) < 0)
		return -ENOMEM;
	match(sets);
	for (size_t i = 0; i < model->n_nodes * N_FAMILIES; i++) {
		if (!address_is_none(&model->nodes[i / N_FAMILIES].address[i % N_FAMILIES]))
			sets->is_there[sets->ids[i]] = true;
	}
	return 0;
}

void target_sets_destroy(struct target_sets *sets)
{
	made_sets_destroy(sets->made, sets->rings, sets->states);
	free(sets->spare);
	free(sets->state_of);
	free(sets->is_there);
	free(sets->same);
}

struct made_sets *target_sets_give(struct target_sets *sets)
{
	struct made_sets *given = sets->made;

	sets->made = NULL;
	return given;
}

void made_sets_count(const struct made_sets *made, size_t *ret_n_scaled, size_t *ret_n_left_out)
{
	size_t n_scaled = 0, n_left_out = 0;

	for (size_t i = 0; i < made->n_sets * N_FAMILIES; i++) {
		const struct maglev_fit *fit = &made->sets[i].fit;

		n_scaled += fit->n_raised + fit->n_left_out > 0;
		n_left_out += fit->n_left_out;
	}
	*ret_n_scaled = n_scaled;
	*ret_n_left_out = n_left_out;
}

const node_id *target_ring_slots(const struct part *ring)
{
	return ring == NULL ? NULL : ((const struct ring *)ring->value)->slots;
}

uint32_t target_ring_size(const struct part *ring)
{
	return ((const struct ring *)ring->value)->size;
}

static bool has_all(const struct target_sets *sets, const struct part *ring)
{
	const struct maglev_member *members = ring->key;

	for (size_t i = 1; i < ring->key_len / sizeof(*members); i++) {
		if (members[i].node >= sets->n_nodes || !sets->is_there[members[i].node])
			return false;
	}
	return true;
}

// Services beside each other mostly share their ring.
bool target_sets_has_all(struct target_sets *sets, const struct part *ring)
{
	if (sets->looked_at != ring) {
		sets->looked_at = ring;
		sets->had_all = has_all(sets, ring);
	}
	return sets->had_all;
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
	ring->size = ring_size;
	sets->n_rings_built++;
	*ret_part = part;
	return 0;
}

static bool may_build(const struct target_sets *sets)
{
	return sets->n_rings_built < sets->n_rings_max;
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
	set->is_late = set->ring == NULL && !may_build(sets);
	if (set->is_late)
		return 0;
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

// Makes it what it was before. Returns false if there was none, or its ring was late and can be
// made now.
static bool keep(
	const struct target_sets *sets, size_t set, enum family family, struct target_set *ret_set)
{
	const struct target_set *before;

	if (sets->same[set] == SIZE_MAX)
		return false;
	before = &sets->before->sets[sets->same[set] * N_FAMILIES + family];
	if (!before->made || (before->is_late && may_build(sets)))
		return false;
	*ret_set = *before;
	if (before->ring != NULL)
		part_store_refer(before->ring);
	part_store_refer(before->states);
	return true;
}

static int make(
	struct target_sets *sets, size_t set, enum family family, struct target_set *ret_set)
{
	size_t n_members;

	int r = read_targets(sets, &sets->model->sets[set], family, &sets->spare[1], &n_members,
		&ret_set->is_awaited);
	if (r == 0)
		r = take_ring(sets, n_members, ret_set);
	if (r == 0)
		r = take_states(sets, ret_set);
	ret_set->made = r == 0;
	return r;
}

int target_sets_take(
	struct target_sets *sets, size_t set, enum family family, const struct target_set **ret_set)
{
	struct target_set *taken = &sets->made->sets[set * N_FAMILIES + family];
	int r = 0;

	if (!taken->made && !keep(sets, set, family, taken))
		r = make(sets, set, family, taken);
	if (r == 0)
		*ret_set = taken;
	return r;
}
