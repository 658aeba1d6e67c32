#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "guideway/address.h"
#include "name.h"

// What addresses a Service asks for, by its annotations and by spec.loadBalancerIP. Pure.
//
// Each of three things may be said by an annotation of ours, or by one that another load balancer
// knows, so that Services can come from there as they are:
//
//     addresses    guideway.dev/load-balancer-ips  "192.0.2.80", "192.0.2.80,2001:db8::80"
//                  metallb.io/loadBalancerIPs, metallb.universe.tf/loadBalancerIPs,
//                  kube-vip.io/loadbalancerIPs, lbipam.cilium.io/ips, io.cilium/lb-ipam-ips
//     pool         guideway.dev/address-pool  "edge"
//                  metallb.io/address-pool, metallb.universe.tf/address-pool
//     sharing key  guideway.dev/share-address  "web"
//                  metallb.io/allow-shared-ip, metallb.universe.tf/allow-shared-ip,
//                  lbipam.cilium.io/sharing-key, io.cilium/lb-ipam-sharing-key
//
// Where several say one thing they must say the same.

enum {
	REQUEST_KEY_MAX = 256, // Of a sharing key, with its end.
	REQUEST_WHY_MAX = 512,
};

struct address_request {
	struct address addresses[N_FAMILIES]; // By family; none where any will do.
	char pool[NAME_TEXT_MAX];             // Empty for none.
	char sharing[REQUEST_KEY_MAX];        // Empty for none.
};

// 'annotations' is the object of metadata, or NULL; 'load_balancer_ip' is of the spec, or NULL.
// Returns 0, or -EINVAL, and then 'ret_why' is a sentence that names what is wrong and what would
// be right.
int address_request_parse(const json_t *annotations, const char *load_balancer_ip,
	struct address_request *ret_request, char ret_why[REQUEST_WHY_MAX]);

// The sharing key alone, by the same rules.
int address_request_parse_sharing(const json_t *annotations, char ret_sharing[REQUEST_KEY_MAX],
	char ret_why[REQUEST_WHY_MAX]);

// Whether an annotation is one of those that are read here.
bool is_request_annotation(const char *name);
