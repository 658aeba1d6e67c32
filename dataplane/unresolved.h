#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "guideway/address.h"

// Addresses that workers have packets for and that nobody has resolved, on their way to the control
// thread. Workers make no system call for it: who is told by them anyway relays it.
struct unresolved;

// Returns NULL when out of memory or of file descriptors.
struct unresolved *unresolved_create(void);
void unresolved_destroy(struct unresolved *unresolved); // Accepts NULL.

// Any thread; forgets the address when there is no room.
void unresolved_put(struct unresolved *unresolved, const struct address *address);

// Are there any?
bool unresolved_is_waiting(const struct unresolved *unresolved);

// Makes unresolved_fd() readable if there are any. Not for workers.
void unresolved_relay(struct unresolved *unresolved);
int unresolved_fd(const struct unresolved *unresolved);

// For the control thread: at most 'n', and makes unresolved_fd() unreadable if there were fewer.
size_t unresolved_take(struct unresolved *unresolved, struct address *ret_addresses, size_t n);
