#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tables.h"

// Keeps the tables equal to the kernel's by one netlink socket.

struct mirror;

// Who is told what changed. The tables are as they are after it.
struct mirror_listener {
	void *context;
	// 'usable': it came or went as one that can be sent to; else only its MAC address changed.
	void (*neighbour)(void *context, int ifindex, const struct address *address, bool usable);
	void (*neighbours)(void *context); // Some went.
	void (*twin)(void *context, size_t port);
	void (*routes)(void *context);
};

// Subscribes; the first dumps begin with the first mirror_ready() or mirror_tick(). 'tables' are
// the caller's and outlive the mirror. 'receive_buffer_bytes' 0 is for the default of 32 MB.
// Returns 0 or -errno.
int mirror_start(struct tables *tables, const struct mirror_listener *listener,
	size_t receive_buffer_bytes, struct mirror **ret_mirror);

// Accepts NULL.
void mirror_stop(struct mirror *m);

int mirror_fd(const struct mirror *m);

// Takes in a bounded number of messages. Returns 0 or -errno of a socket that is no more use.
int mirror_ready(struct mirror *m, uint64_t now_ns);

// Begins the dumps that are due.
void mirror_tick(struct mirror *m, uint64_t now_ns);

// True once every part has been dumped whole.
bool mirror_is_complete(const struct mirror *m);

// Asks the kernel to resolve a neighbour, and if 'managed' to keep it so. Its answer, if any, is an
// event of the mirror.
void mirror_ask_for_neighbour(
	struct mirror *m, int ifindex, const struct address *address, bool managed);

uint64_t mirror_dumps(const struct mirror *m);
uint64_t mirror_losses(const struct mirror *m);
