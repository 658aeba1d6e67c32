#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"
#include "guideway/dataplane.h"

// A real dataplane between raw sockets:
//
//     wire ── interface "t0" ── port ── dataplane ── twin "gw0" ── wire
//
// DPDK starts once a process, and interfaces have names, so each trial is a child in a network
// namespace of its own. In a child nothing of cmocka may be called: require() ends it.

// Runs 'body' in such a child and fails the cmocka test if it fails; skips it without root.
void try_out(void (*body)(void));

#define require(condition) require_that(condition, #condition, __FILE__, __LINE__)
void require_that(bool condition, const char *text, const char *file, int line);

// Runs a shell command; it must succeed.
__attribute__((format(printf, 1, 2))) void shell(const char *format, ...);

// For 'n' workers, all on the first CPU that this process may use, and one port whose twin is
// "gw0"; MTU 1500, no hugepages, room for few flows.
struct dataplane_config lab_config(const char *device, size_t n_workers);

// Must succeed.
struct dataplane *lab_start(const struct dataplane_config *config);

// A raw socket on an interface, which must be there, up.
struct wire {
	int fd;
	char name[16];
};

struct wire wire_open(const char *interface);

void wire_send(const struct wire *wire, const void *bytes, size_t len);

// The next frame that comes in, not out: its length, or 0 if there is none within 'wait_ms'.
size_t wire_receive(const struct wire *wire, void *ret_bytes, int wait_ms);

// Sends what has no meaning to anybody, 'len' bytes of it, from one wire to the other, to 'mac'.
// Returns false if it does not arrive unchanged within some seconds.
bool wire_carries(const struct wire *from, const struct wire *to, const uint8_t mac[6], size_t len);

// By a clock that is never set.
int64_t now_ms(void);

// Polls until 'condition' holds; false if it does not within 'wait_ms'.
bool holds_within(int wait_ms, bool (*condition)(void *), void *argument);
