#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

// A network interface of the kernel, by name: what ioctl and sysfs know of it. Verbs that return
// int return 0 or -errno.

int interface_read_flags(const char *name, short *ret_flags);
int interface_set_up(const char *name, bool up);

int interface_read_mtu(const char *name, uint16_t *ret_mtu);
int interface_set_mtu(const char *name, uint16_t mtu);

int interface_set_mac(const char *name, const uint8_t mac[6]);

// How many queues it receives by now, at least 1.
unsigned interface_rx_queues(const char *name);

// How many of them net_af_xdp can bind: those that also send, or one.
unsigned interface_af_xdp_queues(const char *name);

// Makes it receive every multicast frame for as long as the returned socket is open, and so no
// longer than this process lives. Returns the socket or -errno.
int interface_want_multicast(const char *name);
