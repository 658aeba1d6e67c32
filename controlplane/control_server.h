#pragma once

#include <stdint.h>

#include "config.h"
#include "guideway/dataplane.h"
#include "kernel/kernel.h"
#include "load.h"
#include "loop.h"
#include "reconcile.h"

// HTTP and JSON over a Unix socket: what guidewayctl asks, and curl --unix-socket may ask too. The
// language is in api/api.h. All of it runs in steps of the control loop; a long answer takes many.

struct control_server;
struct kubernetes;

// What it tells of. All of it outlives the server.
struct control_sources {
	struct loop *loop;
	struct dataplane *dp;
	struct kernel *kernel; // NULL for none.
	struct reconcile *reconcile;
	struct kubernetes *kubernetes; // NULL for no cluster.
	const struct load *load;
	const struct config *config; // As started: ports, workers, the socket.
	uint64_t started_ns;
};

// Makes the socket, which the owner and the configured group may use, and listens. On failure
// 'ret_why' says in one sentence what failed. Returns 0, -EADDRINUSE if another process listens
// there, or -errno.
int control_server_start(const struct control_sources *sources, struct control_server **ret_server,
	char ret_why[WHY_MAX]);

// Ends answers under way, and removes the socket. Accepts NULL.
void control_server_stop(struct control_server *server);
