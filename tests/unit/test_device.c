#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "device.h"

static const struct device_case {
	const char *device;
	enum device_kind kind;
	const char *name; // As DPDK has it.
} devices[] = {
	{"0000:3b:00.0", DEVICE_PCI, "0000:3b:00.0"},
	{"3b:00.0", DEVICE_PCI, "0000:3b:00.0"},
	{"0000:3B:0A.1", DEVICE_PCI, "0000:3b:0a.1"},
	{"3B:00.0,mprq_en=1", DEVICE_PCI, "0000:3b:00.0"},
	{"1:3b:0.7", DEVICE_PCI, "0001:3b:00.7"},
	{"0:0.0", DEVICE_PCI, "0000:00:00.0"},
	{"3b:00.0x", DEVICE_INTERFACE, "3b:00.0x"},
	{"3b:00.01", DEVICE_INTERFACE, "3b:00.01"},
	{"0000:3b:00", DEVICE_INTERFACE, "0000:3b:00"},
	{"-3b:00.0", DEVICE_INTERFACE, "-3b:00.0"},
	{" 3b:00.0", DEVICE_INTERFACE, " 3b:00.0"},
	{"0x:00.0", DEVICE_INTERFACE, "0x:00.0"},
	{"eth1", DEVICE_INTERFACE, "eth1"},
	{"enp59s0f0", DEVICE_INTERFACE, "enp59s0f0"},
	{"bad", DEVICE_INTERFACE, "bad"},
	{"net_tap0,iface=t0", DEVICE_VDEV, "net_tap0"},
	{"virtio_user0,path=/dev/vhost-net", DEVICE_VDEV, "virtio_user0"},
};

static void a_device_has_one_name_however_it_is_written(void **)
{
	char name[DEVICE_TEXT_MAX];

	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		const struct device_case *c = &devices[i];

		device_name(c->device, name);
		if (device_kind(c->device) != c->kind || strcmp(name, c->name) != 0)
			fail_msg("%s: kind %d, name %s", c->device, device_kind(c->device), name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_has_one_name_however_it_is_written),
	};

	return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
