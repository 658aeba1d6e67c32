#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/dataplane.h"
#include "guideway/device_name.h"

// What the text of a configured device names.
enum device_kind {
	DEVICE_PCI,       // "0000:03:00.0" or "03:00.0", also with arguments after a comma.
	DEVICE_VDEV,      // What DPDK makes up: "net_tap0,iface=t0".
	DEVICE_INTERFACE, // A network interface of the kernel: "eth1".
};

enum device_kind device_kind(const char *device);

// Copies the value of 'key' ("iface"). Returns false if 'device' has no such argument.
bool device_argument(const char *device, const char *key, char ret_value[DEVICE_TEXT_MAX]);

// What DPDK is asked for to serve a kernel interface. 'index' makes the name unique; 'frame_len' is
// a multiple of 256, with room for 128 bytes beside the frame.
void device_for_af_xdp(
	const char *interface, size_t index, unsigned n_queues, char ret_device[DEVICE_TEXT_MAX]);
void device_for_af_packet(const char *interface, size_t index, unsigned n_queues,
	unsigned frame_len, char ret_device[DEVICE_TEXT_MAX]);

// Takes away what a process that was killed left behind and that would be in the way now: the
// socket file of a memif server that nobody listens on.
void device_clean_up(const char *device);
