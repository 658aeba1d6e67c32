#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guideway/address.h"

// Which worker owns a SNAT port towards a target, and so the flow that uses it: replies that
// arrive anywhere find their way by it, and new flows take only ports of their own worker.
//
// A port has a class, and a map of 128 entries names the owner of each class, as a NIC's RSS
// redirection table does. Where the NIC's key and table are known the class is what the NIC will
// compute for the reply, so that replies arrive at their owner; else it is a bit field of the port.
// Toeplitz is linear: hash(target, address, port) = hash(target, address, 0) ^ hash(0, 0, port), so
// one list of ports by class serves every target. Never both at once, which would leave 1/W^2.

struct owner_map;

enum { SNAT_PORT_MIN = 1024, SNAT_PORTS = 65536 - SNAT_PORT_MIN, OWNER_CLASSES = 128 };

// The bit field. Returns NULL when out of memory.
struct owner_map *owner_map_create(unsigned n_workers);

// What a NIC with this Toeplitz key (of 'key_len' bytes, at least 40) and redirection table
// ('reta_size' entries, a power of two, each the worker of a queue) computes.
struct owner_map *owner_map_create_rss(unsigned n_workers, const uint8_t *key, size_t key_len,
	const uint16_t *reta, size_t reta_size);

void owner_map_destroy(struct owner_map *map); // Accepts NULL.

// Leaves the ports below 'first' and above 'last' to others: nobody owns them. Before it is used.
void owner_map_narrow(struct owner_map *map, uint16_t first, uint16_t last);

// Whether a flow of ours may have the port.
bool owner_map_has(const struct owner_map *map, __be16 snat_port);

// Who receives, or is to be handed, the reply from (target, node_port) to (snat, snat_port).
unsigned owner_of(const struct owner_map *map, const struct address *target, __be16 node_port,
	const struct address *snat, __be16 snat_port);

// The 'nth' of the ports that 'worker' owns towards (target, node_port) from 'snat', counted
// modulo their number and in an order without meaning; different 'nth' below that number give
// different ports. Returns 0 where the worker owns none.
__be16 owner_port(const struct owner_map *map, unsigned worker, const struct address *target,
	__be16 node_port, const struct address *snat, uint32_t nth);

// How many that is.
uint32_t owner_ports(const struct owner_map *map, unsigned worker, const struct address *target,
	__be16 node_port, const struct address *snat);
