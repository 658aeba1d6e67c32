#pragma once

#include <stddef.h>
#include <stdint.h>

#include "health.h"

// What kube-proxy says of a node and of a Service on it, by HTTP: its bytes in, a verdict out.
// Services like it (Cilium, Antrea) speak the same.
// https://kubernetes.io/docs/reference/networking/virtual-ips/#proxying

enum { PROXY_ANSWER_MAX = 4096 }; // Bytes of a body; kube-proxy's have some 300.

// Of the node as a whole, at port 10256. One that is about to go drains, although the status is 503
// as for one that is unwell. Why it is not up is written to 'ret_reason'.
enum verdict proxy_answer_of_node(
	long status, const char *body, size_t len, char ret_reason[REASON_MAX]);

// Of the Service 'key' ("namespace/name") on the node, at its healthCheckNodePort. It has to be
// named: the port may be another's by now. A node whose kube-proxy is well and that has no ready
// endpoint drains, since those that end still serve.
enum verdict proxy_answer_of_service(
	long status, const char *body, size_t len, const char *key, char ret_reason[REASON_MAX]);

// The share of new flows that the node is to get, as that port has it in a header: the number of
// its ready endpoints. Returns 0 for a text that is no number from 1 to PROXY_WEIGHT_MAX.
#define PROXY_WEIGHT_HEADER "X-Load-Balancing-Endpoint-Weight"
enum { PROXY_WEIGHT_MAX = 1000000 };
uint32_t proxy_answer_weight(const char *text);
