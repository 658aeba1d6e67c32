#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "guideway/dataplane.h"

// What a configured device is called, without its arguments. One device has one name, however it
// was written: the dataplane finds its port by it, the control plane whether two ports mean the
// same.

// Returns false if 'device' does not begin with a PCI address: "0000:3b:00.0", "3B:00.0". Its name
// is then as DPDK writes it, with the domain and in lower case.
static inline bool device_name_of_pci(const char *device, char ret_name[DEVICE_TEXT_MAX])
{
	unsigned domain, bus, slot, function;
	size_t len = strcspn(device, ",");
	int end = 0;

	// sscanf() alone takes signs, spaces and "0x" as well.
	if (strspn(device, "0123456789abcdefABCDEF:.") != len)
		return false;
	if (sscanf(device, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) < 4) {
		domain = 0;
		if (sscanf(device, "%2x:%2x.%1x%n", &bus, &slot, &function, &end) < 3)
			return false;
	}
	if ((size_t)end != len)
		return false;
	snprintf(ret_name, DEVICE_TEXT_MAX, "%04x:%02x:%02x.%x", domain, bus, slot, function);
	return true;
}

static inline void device_name(const char *device, char ret_name[DEVICE_TEXT_MAX])
{
	if (!device_name_of_pci(device, ret_name))
		snprintf(ret_name, DEVICE_TEXT_MAX, "%.*s", (int)strcspn(device, ","), device);
}
