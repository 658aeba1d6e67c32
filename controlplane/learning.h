#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/forwarding_table.h"
#include "vip_probe.h"

// Services of a plan whose nodes have to learn the VIP first (vip_probe.h). While some have not,
// the service has a set of its own, in which those take no packets.

struct learning;
struct member;
struct plan;

typedef node_id node_id_fn(void *argument, const struct address *address);

// Of 'plan', which holds what is made until learning_destroy(). 'id_of' tells the id that a node
// has at an address, or NODE_NONE. Sets 'ret_learning' to NULL if there are no such services.
// Returns 0 or -ENOMEM.
int learning_create(const struct plan *plan, struct vip_prober *prober, node_id_fn *id_of,
	void *argument, struct learning **ret_learning);

// Accepts NULL.
void learning_destroy(struct learning *learning);

// The rest of plan_refresh(): gives services sets of their own, or their pools'.
void learning_refresh(struct learning *learning, struct plan *plan);

// Asks the nodes of the table just built, which have their ids by now.
void learning_ask(struct learning *learning, const struct plan *plan);

// 'service' is an index into the configuration's services. NULL if its nodes need not learn.
struct vip_probe *learning_probe(const struct learning *learning, size_t service);

// True while nodes of it could be used, or may come up, but none of them knows the VIP. Accepts
// NULL.
bool learning_awaits(const struct learning *learning, size_t service);

// Whether the member, which is up, takes packets of the service. Accepts NULL.
bool learning_is_ready(const struct learning *learning, const struct plan *plan, size_t service,
	const struct member *member);
