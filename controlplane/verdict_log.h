#pragma once

#include <stdint.h>

#include "plan.h"

// Says that a probe's verdict changed, in a line that a person can act on:
//     node n3 (10.0.0.13:30080 tcp) is down: connection refused, 3 times; service web now has 3
//     of 4 nodes
// 'plan' may be NULL: then nothing is said.
void log_verdict(const struct plan *plan, const struct probe *probe, uint64_t now_ns);

// "tcp", "http", "https", "kube-proxy", "service",
// "node-port", "none"; never NULL.
const char *check_kind_word(enum check_kind kind);

// What is got, or "" of a check that gets nothing.
const char *check_path(const struct check_config *check);
