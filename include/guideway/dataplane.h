#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/capture.h"
#include "guideway/counters.h"
#include "guideway/flow.h"
#include "guideway/forwarding_table.h"
#include "guideway/trace.h"

// What the control plane may ask of the dataplane. Nothing else crosses between them, and all of
// it is asked by one thread, the control thread.

struct dataplane;

enum {
	PORTS_MAX = 16,
	WORKERS_MAX = 64,
	DEVICE_TEXT_MAX = 256,
	WHY_MAX = 512,
};

enum port_driver {
	DRIVER_AUTO, // Of a kernel interface: AF_XDP where it works, else AF_PACKET.
	DRIVER_AF_XDP,
	DRIVER_AF_PACKET,
};

// How packets of one flow find one worker.
enum steering {
	STEERING_AUTO,     // RSS where the port is known to hash, else software.
	STEERING_RSS,      // The port's queue decides: who receives a flow's SYN owns the flow.
	STEERING_SOFTWARE, // A hash of ours decides, and who receives hands over.
};

struct port_config {
	char device[DEVICE_TEXT_MAX]; // PCI address, kernel interface or DPDK vdev string.
	char twin[IFNAMSIZ];          // Name of the kernel interface beside it.
	enum port_driver driver;
	enum steering steering;
	uint16_t mtu;            // 68 to 9000: of the IP packet.
	uint16_t vlan;           // The one tag it carries, 1 to 4094, or 0 for none.
	uint16_t rx_descriptors; // 0 for the driver's own default.
	uint16_t tx_descriptors;
};

struct dataplane_config {
	char instance[32]; // Keeps several on one machine apart: hugepage files, sockets.
	struct port_config ports[PORTS_MAX];
	size_t n_ports;
	unsigned worker_cpus[WORKERS_MAX];
	size_t n_workers;
	size_t flows_max[N_FAMILIES]; // Over all workers.
	size_t affinity_max;          // Clients whose node is remembered, over all workers.
	size_t services_max;          // service_ids are below this,
	size_t nodes_max;             // and node_ids below this: counters have room for as many.
	size_t packet_buffers; // mbufs, over all workers; 0 to derive it from ports and workers.
	uint64_t hash_key[2];
	uint16_t snat_port_first; // SNAT ports are these to that one; 0 for all from 1024 on.
	uint16_t snat_port_last;
	bool idle_sleeps; // A worker with nothing to do sleeps, less than 1 ms at a time.
	bool hugepages;   // Use them if enough are free; else 4 kB pages, always.
};

// Takes from a kernel interface what the port of a killed process left on it: the XDP program of
// its sockets, which bounds the MTU. Another's program stays. Before dataplane_start().
void dataplane_clean_up(const char *interface);

// Takes the ports and CPUs, and starts forwarding nothing: without a table, all that arrives goes
// to the kernel. On failure 'ret_why' says in one sentence what failed and what would be right.
// Returns 0 or -errno.
int dataplane_start(
	const struct dataplane_config *config, struct dataplane **ret_dp, char ret_why[WHY_MAX]);

// Stops the workers, gives back ports and twins. Accepts NULL.
void dataplane_stop(struct dataplane *dp);

// Makes 'table' what every worker forwards by from its next burst on. The dataplane borrows it
// until dataplane_reclaim() gives it back.
void dataplane_publish(struct dataplane *dp, const struct forwarding_table *table);

// A table that no worker sees any more, oldest first, or NULL. Never waits. What it returns is the
// caller's again. The table published last is never returned before dataplane_stop().
const struct forwarding_table *dataplane_reclaim(struct dataplane *dp);

// What is known of a next hop. It is one atomic word: workers use it from their next packet on.
struct next_hop {
	uint8_t mac[6];
	uint8_t port;   // Index into the configuration's ports.
	bool resolved;  // Else packets for it wait a little, then are dropped.
	bool to_kernel; // It is this machine, or is reached by an interface that is no twin of
	                // ours: the packet goes to the kernel by the twin of 'port'; 'mac' is not
	                // used.
};

// 'id' is below NEXT_HOP_MAX.
void dataplane_set_next_hop(struct dataplane *dp, next_hop_id id, const struct next_hop *hop);

// Readable when a worker wants something of the control thread: below, dataplane_take_unresolved().
// Owned by the dataplane; for epoll only.
int dataplane_event_fd(const struct dataplane *dp);

// Addresses that packets wait for and that the kernel should resolve, at most 'n', each maybe more
// than once. Returns how many it wrote; clears the event when it returns less than 'n'.
size_t dataplane_take_unresolved(struct dataplane *dp, struct address *ret_addresses, size_t n);

// A port as it turned out.
struct port_status {
	char driver[32];    // DPDK's name of the driver ("net_af_xdp").
	char note[WHY_MAX]; // What was asked for and not had, and what is done instead; or empty.
	char twin[IFNAMSIZ];
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t rx_queues;
	uint16_t tx_queues;
	enum steering steering; // Never STEERING_AUTO.
	bool link_up;
	int numa_node;      // -1 if unknown.
	uint64_t rx_missed; // Lost before a worker could take them.
	uint64_t tx_errors;
};

// Returns 0, or -ENOENT for no such port.
int dataplane_read_port(struct dataplane *dp, size_t port, struct port_status *ret_status);

// The memory that flows live in, as had: "2 MB pages", "transparent huge pages", "4 kB pages".
const char *dataplane_flow_memory(const struct dataplane *dp);

// False if packet buffers live on 4 kB pages.
bool dataplane_has_huge_pages(const struct dataplane *dp);

// Brings each twin's carrier in line with its port's link. To be called about once a second.
void dataplane_follow_links(struct dataplane *dp);

// Adds up every worker's counters.
void dataplane_read_counters(const struct dataplane *dp, struct counters *ret_sum);

// One worker's. Returns 0, or -ENOENT for no such worker. 'ret_lcore_cpu' is its CPU.
int dataplane_read_worker(const struct dataplane *dp, size_t worker, struct counters *ret_counters,
	unsigned *ret_cpu);

// Sum over all workers; ids are below services_max and nodes_max.
void dataplane_read_service(const struct dataplane *dp, service_id id, struct traffic *ret_sum);
void dataplane_read_node(const struct dataplane *dp, node_id id, struct traffic *ret_sum);

// Flows of one worker and family from the place '*cursor' on (0 at first), as they were within the
// last moment, while the worker goes on changing them: one that is created or ends meanwhile may or
// may not be seen, and none is seen garbled. Looks at no more than 'n' places a call, so that the
// control loop is not held. Returns how many it wrote; '*cursor' is 0 again at the end.
size_t dataplane_read_flows(const struct dataplane *dp, size_t worker, enum family family,
	uint64_t *cursor, struct flow_view *ret_flows, size_t n);

// Begins to capture what 'filter' wants. Returns 0; -EBUSY if somebody captures already, or has
// just stopped and a worker may not have heard of it; or -ENOMEM.
int dataplane_begin_capture(struct dataplane *dp, const struct capture_filter *filter);

// A packet that was captured; of one worker they come in order. Returns false if there is none.
// Workers hold CAPTURE_SLOTS each, so it is to be asked often.
bool dataplane_take_captured(struct dataplane *dp, struct captured *ret_captured);

// Ends it. Returns how many there was no room for.
uint64_t dataplane_end_capture(struct dataplane *dp);

// Begins to trace a packet, which is copied: what becomes of it is known within milliseconds, after
// each worker that it meets has come to it. Returns 0; -EBUSY if somebody traces already; -ENOENT
// for no such port; -EMSGSIZE for a frame that is too short or too long; or -ENOMEM.
int dataplane_begin_trace(struct dataplane *dp, const struct trace_request *request);

// What has become of it, the dataplane's until dataplane_end_trace(), or NULL while that is not
// known. Not foreseen are rings, and rooms to wait in, that are full when a packet comes, and where
// the port's RSS chooses the worker of a new flow, which it would be: worker 0 is taken.
const struct trace *dataplane_take_trace(struct dataplane *dp);

// Ends it, be it finished or not.
void dataplane_end_trace(struct dataplane *dp);

// What would become of a packet of 'key' that arrived now, step by step, changing nothing.
void dataplane_explain(const struct dataplane *dp, const struct flow_key *key,
	struct explanation *ret_explanation);
