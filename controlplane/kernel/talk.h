#pragma once

#include <libmnl/libmnl.h>
#include <stdint.h>

// Question and answer with the kernel by netlink, waiting for each answer: at start and exit only.

struct talk;

// 'bus' is NETLINK_ROUTE or another. Returns 0 or -errno.
int talk_open(int bus, struct talk **ret_talk);

// Accepts NULL.
void talk_close(struct talk *t);

// Sends a message and waits for what the kernel says to it. Returns 0 or -errno.
int talk_ask(struct talk *t, struct nlmsghdr *message);

// Sends messages of several kinds, 'len_bytes' in all, and waits for the answers to those 'n' of
// them that want one (NLM_F_ACK). Returns 0 or -errno of the first that failed.
int talk_ask_all(struct talk *t, const void *messages, size_t len_bytes, size_t n);

typedef int talk_fn(void *context, const struct nlmsghdr *message);

// Asks for all of a kind (rtnl_dump_request()) and calls 'each' with every one, until that returns
// less than 0. A dump that the kernel changed meanwhile is asked for again, after 'each' was called
// with NULL to forget what came. Returns 0 or -errno.
int talk_dump(struct talk *t, uint16_t type, uint8_t family, talk_fn *each, void *context);
