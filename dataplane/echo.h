#pragma once

#include <stdbool.h>

#include "burst.h"

// 'p' is KIND_ICMP.
bool is_echo_request(const struct packet *p);

// Answers an echo request to an address of ours, as far as the limiter allows.
void echo_answer(struct burst *b, struct packet *p);
