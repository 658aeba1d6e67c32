#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/dataplane.h"
#include "loop.h"
#include "name.h"

// Which nodes know a VIP
// ======================
//
// In the modes dsr and tunnel a packet comes to a node as it was sent, to the VIP. Kubernetes'
// nodes learn a VIP from the status of its Service, some time after it was written; one that has
// not would send the packet on, at worst back to us. So a node is used only once it has answered a
// SYN to the VIP: by anything, since whoever takes the packet for its own has learnt. Nodes that
// cannot be asked so (of a Service without TCP, or this very machine) are taken to know it two
// seconds after the status was written.
//
// After a restart all would be silent at once: of a VIP whose status said that it is known, those
// that are there are used from the start, and asked meanwhile.

struct vip_prober;
struct vip_probe;

struct vip_prober_config {
	struct loop *loop;
	const struct port_config *ports; // [n_ports] By any of their twins packets reach workers.
	size_t n_ports;

	// An address of the node, of 'family'; none if it has none.
	struct address (*address_of)(void *argument, node_id node, enum family family);
	// Whether no worker forwards by anything but the newest table.
	bool (*may_ask)(void *argument);
	// Some node has come to know a VIP, or is not believed to any more.
	void (*learnt)(void *argument);
	void *argument;
};

// Returns NULL when out of memory. What 'config' points at outlives it.
struct vip_prober *vip_prober_create(const struct vip_prober_config *config);

// Every probe was released before. Accepts NULL.
void vip_prober_destroy(struct vip_prober *prober);

struct vip_prober_status {
	size_t n_probes;
	size_t n_silent; // Of these, nodes that are waited for, all together.
	uint64_t n_asked;
	uint64_t n_answered;
};

void vip_prober_read_status(const struct vip_prober *prober, struct vip_prober_status *ret_status);

// What is asked for. Two that are equal are one probe.
struct vip_probe_config {
	char name[NAME_TEXT_MAX]; // Of the service: another has its own, though at the same VIP.
	struct address vip;
	uint16_t port; // Of TCP, host byte order; 0 if there is none to ask.
	enum forwarding_mode mode;
	enum tunnel_kind tunnel_kind;
};

// The probe that there is, or a new one, of no nodes. Returns NULL when out of memory.
struct vip_probe *vip_probe_acquire(
	struct vip_prober *prober, const struct vip_probe_config *config);

// The last release ends the probe. Accepts NULL.
void vip_probe_release(struct vip_probe *probe);

// Since when nodes can learn the VIP; the first time counts. Before, nobody is asked. With 0 they
// knew it before we came: those that are wanted by now are taken to know it while they are asked,
// until they have not answered for a while.
void vip_probe_tell(struct vip_probe *probe, uint64_t since_ns);

// Whom to ask: 'nodes' in rising order. Those that know the VIP go on to, and one that is left out
// is forgotten.
void vip_probe_want(struct vip_probe *probe, const node_id *nodes, size_t n_nodes);

bool vip_probe_knows(const struct vip_probe *probe, node_id node);

// True if all of these know it, and it is they who are wanted.
bool vip_probe_is_done(const struct vip_probe *probe, const node_id *nodes, size_t n_nodes);
