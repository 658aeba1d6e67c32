#pragma once

#include <limits.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/dataplane.h"
#include "kubernetes/kubernetes_config.h"
#include "model.h"
#include "text_lines.h"

// The configuration file, read and checked: what it does not say has its default here, and nothing
// in it contradicts anything else. The language is the table in config_language.c.
//
// Verbs are spelled out here because libconfig has the short ones (config_read, config_destroy).

enum {
	PATH_TEXT_MAX = 256,
	SOCKET_TEXT_MAX = 108, // sockaddr_un's sun_path.
	WORD_TEXT_MAX = 64,
	PROBES_MANY = 100000, // At the usual interval of 2 s, 50 000 connections a second.
	NODES_LIMIT = NODE_NONE / N_FAMILIES, // Each of their addresses has an id.
};

enum check_kind {
	CHECK_NONE, // The node counts as up.
	CHECK_TCP,  // A connection can be made.
	CHECK_HTTP, // GET answers with one of the expected statuses.
	CHECK_HTTPS,

	// Of clusters, and no words of the file.
	CHECK_KUBE_PROXY, // What kube-proxy says of the node,
	CHECK_SERVICE,    // and of a Service on it.
	CHECK_NODE_PORT,  // Anything but silence is good: a refusal, too, is a living node's.
	N_CHECK_KINDS,
};

// How it is found out whether a node serves.
struct check_config {
	enum check_kind kind;
	uint16_t port;          // Host byte order; 0 for the service's node port.
	uint16_t fallback_port; // What is asked beside it, and decides while it has no answer ever:
	                        // of CHECK_KUBE_PROXY, this NodePort; of CHECK_SERVICE, this port
	                        // at the node's address of the other family. 0 for nothing.
	char path[PATH_TEXT_MAX];    // Of HTTP and HTTPS, as are the next four.
	char host[NAME_TEXT_MAX];    // What the Host header says; empty for the node's address.
	uint16_t status_first;       // Statuses that count as up, from
	uint16_t status_last;        // to.
	bool verify;                 // HTTPS: the certificate must be good for 'host'.
	char service[NAME_TEXT_MAX]; // CHECK_SERVICE: of whom it has to speak, "namespace/name".
	uint32_t interval_ms;
	uint32_t timeout_ms; // Never above interval_ms.
	uint32_t rise;       // As many good answers in a row make a node up,
	uint32_t fall;       // and as many bad ones down. The first answer of all decides alone.
};

struct node_config {
	char name[NAME_TEXT_MAX];
	struct address address[N_FAMILIES]; // No address where it has none of a family.
	uint32_t weight;                    // 0 takes no new flows.
	bool is_out; // Down, whatever its checks say: a cluster knows that it is off.
};

enum { LEARNS_ALONE = INT_MAX };

struct service_config {
	char name[NAME_TEXT_MAX];
	struct address vip;
	uint16_t port;      // Host byte order.
	uint16_t node_port; // Host byte order.
	uint8_t protocol;   // IPPROTO_TCP, _UDP or _SCTP.
	enum forwarding_mode mode;
	enum tunnel_kind tunnel_kind;
	enum family target_family; // The VIP's, except in MODE_TUNNEL; all nodes have it.
	uint32_t mode_word;        // As in the file, where 0 is what the file says for all.
	uint32_t tunnel_word;
	uint32_t mss; // Of TCP: SYNs that say more are corrected to this; 0 for none.
	struct check_config check;
	size_t *nodes; // [n_nodes] indexes into the configuration's nodes, in rising order. All of
	               // them have an address of 'target_family'.
	size_t n_nodes;
	bool uses_cluster; // All that the cluster has of 'target_family', in place of 'nodes'.
	const uint32_t *weights; // [n_nodes] Its own of each; NULL for those that the nodes have.
	const bool *reserves; // [n_nodes] Who of them takes new flows only while no other node is
	                      // up; NULL for nobody.
	uint32_t idle_s;
	size_t sources; // Who may come: 1 more than an index into source_lists; 0: everybody.
	uint32_t affinity_word; // As in the file.
	uint32_t affinity_s;    // All flows of a client go to one node until so long after the last
	                        // began; 0 for no affinity.
	bool fail_open;         // With every node down, use them all; else new flows are rejected.
	bool announce;          // Gratuitous ARP, unsolicited NA. Services that share a VIP agree.
	bool answers_arp;       // ARP and ND. Likewise.
	bool rejects;           // What is to no service's port is answered, else dropped. Likewise.

	// Not in a file: nodes have to learn the VIP before they are used, and whoever says that
	// they can calls reconcile_learn().
	bool is_learnt;
	int learns_with; // Of which service the port is asked: TCP's own, 0, or that of another of
	                 // the same VIP, so many places further on; LEARNS_ALONE for none.
};

// Of a configuration's nodes, in rising order.
struct node_indexes {
	const size_t *at; // [n]
	size_t n;
};

struct config {
	struct dataplane_config dataplane; // Its hash_key is for use if has_hash_key; its
	                                   // services_max and nodes_max are of ids.
	size_t services_max;               // Of these and of nodes there may be so many; as many
	size_t nodes_max;                  // again may be gone while their last flows go on.
	bool has_hash_key;                 // Else it is made once and kept in 'state'.
	bool adopt[PORTS_MAX]; // The port's kernel interface gives its addresses to the twin.

	struct forwarding_settings settings;
	uint32_t ring_size;  // A prime.
	uint32_t tcp_idle_s; // Of services that say nothing of it.
	uint32_t udp_idle_s;
	enum forwarding_mode mode; // Of services that say nothing of it,
	enum tunnel_kind tunnel_kind;
	uint32_t drain_s; // A draining node's flows may go on so long; 0 for as long as they like.

	char snat_twin[IFNAMSIZ]; // Whose addresses the next are: snat_twin.h. Empty for none's.
	struct address snat[N_FAMILIES][SNAT_ADDRESSES_MAX];
	size_t n_snat[N_FAMILIES];

	struct check_config check; // Of services that say nothing else; used up by reading.
	uint32_t checks_per_s;     // That begin at most; 0 for no limit.
	struct node_config *nodes; // [n_nodes], in the file's order, as are the services.
	size_t n_nodes;
	size_t *all_nodes; // [n_nodes] 0, 1, 2, ...: shared by services that use them all.
	struct node_indexes cluster_nodes[N_FAMILIES]; // By the family of their addresses. So that
	                                               // services need not change with them.
	struct service_config **services; // [n_services]; configurations may share them. A file's
	                                  // are one piece of memory, which the first begins.
	size_t n_services;
	struct source_list *source_lists; // [n_source_lists], no two alike.
	size_t n_source_lists;

	struct kubernetes_config kubernetes;

	char control_socket[SOCKET_TEXT_MAX];
	char control_group[WORD_TEXT_MAX]; // Whose members may use the socket; empty for root's.
	char state[PATH_TEXT_MAX];         // The state directory.
	uint32_t log_level;                // enum log_level.
};

// Reads the file at 'path'. Returns 0, -EINVAL if it has mistakes, -ENOMEM, or -errno of reading.
// On failure 'ret_mistakes' has a line for each of them, all that there are:
//     guideway.conf:31: services.[2].vip: found "10.0.0.300"; must be an IPv4 or IPv6 address, ...
int config_parse_file(
	const char *path, struct config **ret_config, struct text_lines *ret_mistakes);

// The same of a text in memory, which need not end with a NUL; 'path' is what mistakes name.
int config_parse_text(const char *text, size_t len, const char *path, struct config **ret_config,
	struct text_lines *ret_mistakes);

// What is no mistake, but hardly meant: a line each, without the file's name. Returns 0 or -ENOMEM.
int config_warnings(const struct config *config, struct text_lines *ret_warnings);

// Accepts NULL.
void config_free(struct config *config);

static inline struct node_indexes config_nodes_of(
	const struct config *config, const struct service_config *service)
{
	return service->uses_cluster ? config->cluster_nodes[service->target_family]
				     : (struct node_indexes){service->nodes, service->n_nodes};
}

// Whether nodes see it as a client's.
bool config_has_snat(const struct config *config, const struct address *address);

// The keys of which the two differ and that only a restart applies ("ports.[0].mtu"). Returns 0 or
// -ENOMEM.
int config_needs_restart(
	const struct config *now, const struct config *wanted, struct text_lines *ret_keys);

// The language: a line for each key, with its default and what it means.
int config_help(struct text_lines *ret_lines);
