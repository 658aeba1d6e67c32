#pragma once

#include <stddef.h>

#include "health.h"

// What kube-proxy says of a node and of a Service on it, by HTTP: its bytes in, a verdict out.
// Services like it (Cilium, Antrea) speak the same.
// https://kubernetes.io/docs/reference/networking/virtual-ips/#proxying

enum { PROXY_ANSWER_MAX = 4096 }; // Bytes of a body; kube-proxy's have some 300.

// Of the node as a whole, at port 10256. One that is about to go drains, although the status is 503
// as for one that is unwell. Why it is not up is written to 'ret_reason'.
enum verdict proxy_answer_of_node(
	long status, const char *body, size_t len, char ret_reason[REASON_MAX]);
