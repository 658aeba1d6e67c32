#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

// snat = "twin": the addresses of SNAT are those that the machine has on a twin, which come and go
// as they like. Pure.
//
// The kernel has them, too. So that no flow of ours meets a connection of the machine's, ours take
// only ports that the kernel gives to none of its own by itself (ip_local_port_range); and what
// comes to one of ours, but is of no flow, is left to the kernel, whose servers may listen there.

enum { SNAT_TWIN_PORTS_MIN = 4096 };

// Why a node is left out, with its name.
#define SNAT_TWIN_IS_NODE                                                      \
	"node %s is this machine, and is not used: what it gets from its own " \
	"address (snat = \"twin\") cannot come back"

// Brings 'config->snat' in line with 'addresses', in any order, and says of each of its nodes
// whether it is this machine: nothing that leaves for it from its own address would come back, so
// it is out. Addresses that stay keep their places, by which flows know them; a new one takes the
// place of one that is gone, or else the last one does. VIPs, what pools have for
// Services, and addresses beyond SNAT_ADDRESSES_MAX are left out. Returns whether anything is other
// than before.
bool snat_twin_follow(struct config *config, const struct address *addresses, size_t n_addresses);

// The ports for it beside those that the kernel takes, 'local_port_range' as in /proc/sys/net/ipv4:
// "32768\t60999\n". Returns 0, -EINVAL if it is no such text, or -ERANGE if neither below nor above
// SNAT_TWIN_PORTS_MIN are left.
int snat_twin_ports(const char *local_port_range, uint16_t *ret_first, uint16_t *ret_last);
