#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kubernetes/address_pool.h"
#include "name.h"

// The group 'kubernetes' of the configuration.

enum {
	SERVERS_MAX = 8,
	POOLS_MAX = 1024,
	URL_TEXT_MAX = 512,
	KUBECONFIG_TEXT_MAX = 256,
	INSTANCE_TEXT_MAX = 64, // Of a namespace and of an instance's name, with its end.
};

// How it is found out whether a node serves Services of externalTrafficPolicy Cluster.
enum node_check {
	NODE_CHECK_KUBE_PROXY, // GET /healthz at kube-proxy's port 10256; the next, while that has
	                       // no answer ever.
	NODE_CHECK_NODE_PORT,  // A connection to a NodePort: only silence is bad.
	NODE_CHECK_NONE,       // It counts as up.
};

// Which of several Guidewayes answers ARP and ND for a VIP, and announces it.
enum announce_kind { ANNOUNCE_ONE, ANNOUNCE_ALL };

// Several Guidewayes on one cluster.
struct instances_config {
	char space[INSTANCE_TEXT_MAX]; // The namespace where they meet.
	char name[INSTANCE_TEXT_MAX];  // Of this one; empty for the machine's.
	uint32_t announce;             // enum announce_kind.
	bool election;                 // Else this one writes, whoever else may.
	uint32_t lease_ms;             // So long a leader that is silent is waited for,
	uint32_t renew_ms;             // so long one that is cut off writes on,
	uint32_t retry_ms;             // and so often it says that it is there.
};

struct kubernetes_config {
	bool enabled;
	char kubeconfig[KUBECONFIG_TEXT_MAX]; // Empty: the credentials of the pod that we are in.
	char servers[SERVERS_MAX][URL_TEXT_MAX]; // [n_servers] "https://...", in place of the
	size_t n_servers;                        // kubeconfig's; tried in turn.
	char class[NAME_TEXT_MAX];               // The loadBalancerClass that is ours.
	bool classless;                          // Services without a class are ours as well.
	uint32_t node_check;                     // enum node_check.
	bool ignore_exclude_label;  // Nodes that no load balancer is to use are used as well.
	uint32_t writes_per_s;      // To the API server, at most, once as many
	uint32_t writes_at_once;    // went in one moment.
	struct address_pool *pools; // [n_pools], in the file's order; no two have a name alike.
	size_t n_pools;
	struct instances_config instances;
};
