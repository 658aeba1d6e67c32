#pragma once

#include <stddef.h>
#include <stdint.h>

#include "guideway/forwarding_table.h"
#include "maglev.h"
#include "model.h"
#include "part_store.h"

// What a model's sets are to the workers: a ring and the nodes' states, for each family, since a
// node has an id for each of its addresses, and without one of a service's family it is none of its
// targets. Equal ones are one.

struct target_set {
	struct part *ring;   // NULL while no node may be used, and while it is late.
	struct part *states; // Of uint8_t [n_nodes], enum target_state.
	struct maglev_fit fit;
	bool is_awaited; // Some node would be used if it were ready.
	bool is_late;    // Its ring is not made yet.
	bool made;
};

// The sets of a table, and what they were made of: the next table has those that are made of the
// same without looking for them.
struct made_sets;

struct target_sets {
	struct part_store *rings;       // Borrowed.
	struct part_store *states;      // Borrowed.
	const struct model *model;      // Borrowed.
	const uint32_t *ids;            // [model->n_nodes][N_FAMILIES], of addresses. Borrowed.
	const uint64_t *identities;     // [model->n_nodes], name_hash() of the names. Borrowed.
	size_t n_nodes;                 // States are of as many node_ids.
	const struct made_sets *before; // The last table's, or NULL. Borrowed.
	size_t n_rings_max;             // No more are made: sets without theirs are late.
	struct made_sets *made;
	size_t *same; // [model->n_sets] Which of those before is of the same, or SIZE_MAX.
	struct maglev_member *spare;  // [model->n_nodes]
	uint8_t *state_of;            // [n_nodes]
	bool *is_there;               // [n_nodes] Whether a node of the model has the id.
	const struct part *looked_at; // The ring that target_sets_has_all() was last asked about,
	bool had_all;                 // and its answer.
	size_t n_rings_built;
};

// Fills in the rest of 'sets', whose borrowed members, n_nodes and n_rings_max are set and the
// others 0. Returns 0 or -ENOMEM; either way target_sets_destroy() comes after.
int target_sets_create(struct target_sets *sets);

// Gives up what it refers to, but for what was given away.
void target_sets_destroy(struct target_sets *sets);

// Gives the sets, with all that they refer to, to the caller, who destroys them.
struct made_sets *target_sets_give(struct target_sets *sets);

// Accepts NULL.
void made_sets_destroy(struct made_sets *made, struct part_store *rings, struct part_store *states);

// How many sets have a ring that cannot do justice to their weights, and how many members of them
// are without a slot.
void made_sets_count(const struct made_sets *made, size_t *ret_n_scaled, size_t *ret_n_left_out);

// [target_ring_size()], or NULL for no ring.
const node_id *target_ring_slots(const struct part *ring);
uint32_t target_ring_size(const struct part *ring);

// Whether all nodes of a ring, which may be an earlier table's, have their ids still.
bool target_sets_has_all(struct target_sets *sets, const struct part *ring);

// The model's set number 'set' for services of 'family', made if nobody asked for it before.
// Returns 0; -EINVAL if it names a node that is not in the model, or one twice; or -ENOMEM.
int target_sets_take(struct target_sets *sets, size_t set, enum family family,
	const struct target_set **ret_set);
