#include "device.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	AF_PACKET_QUEUES_MAX = 16, // RTE_PMD_AF_PACKET_MAX_RINGS of DPDK.
	AF_PACKET_FRAMES = 512,    // Of a ring.
	FRAMES_PER_BLOCK = 16,
};

enum device_kind device_kind(const char *device)
{
	static const char *const vdevs[] = {"net_", "eth_", "virtio_user"};
	char name[DEVICE_TEXT_MAX];

	if (device_name_of_pci(device, name))
		return DEVICE_PCI;
	for (size_t i = 0; i < sizeof(vdevs) / sizeof(vdevs[0]); i++) {
		if (strncmp(device, vdevs[i], strlen(vdevs[i])) == 0)
			return DEVICE_VDEV;
	}
	return DEVICE_INTERFACE;
}

bool device_argument(const char *device, const char *key, char ret_value[DEVICE_TEXT_MAX])
{
	size_t key_len = strlen(key);

	for (const char *at = strchr(device, ','); at != NULL; at = strchr(at, ',')) {
		at++;
		if (strncmp(at, key, key_len) != 0 || at[key_len] != '=')
			continue;
		at += key_len + 1;
		snprintf(ret_value, DEVICE_TEXT_MAX, "%.*s", (int)strcspn(at, ","), at);
		return true;
	}
	return false;
}

void device_for_af_xdp(
	const char *interface, size_t index, unsigned n_queues, char ret_device[DEVICE_TEXT_MAX])
{
	snprintf(ret_device, DEVICE_TEXT_MAX, "net_af_xdp%zu,iface=%s,start_queue=0,queue_count=%u",
		index, interface, n_queues);
}

// Blocks must be whole pages and whole frames.
void device_for_af_packet(const char *interface, size_t index, unsigned n_queues,
	unsigned frame_len, char ret_device[DEVICE_TEXT_MAX])
{
	if (n_queues > AF_PACKET_QUEUES_MAX)
		n_queues = AF_PACKET_QUEUES_MAX;

	snprintf(ret_device, DEVICE_TEXT_MAX,
		"net_af_packet%zu,iface=%s,qpairs=%u,framesz=%u,blocksz=%u,framecnt=%u", index,
		interface, n_queues, frame_len, FRAMES_PER_BLOCK * frame_len, AF_PACKET_FRAMES);
}

static bool somebody_listens(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return true;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return true;

	strcpy(address.sun_path, path);
	int r = connect(fd, (struct sockaddr *)&address, sizeof(address));
	bool refused = r < 0 && errno == ECONNREFUSED;
	close(fd);
	return !refused;
}

void device_clean_up(const char *device)
{
	char value[DEVICE_TEXT_MAX];

	if (strncmp(device, "net_memif", strlen("net_memif")) != 0)
		return;
	if (!device_argument(device, "role", value) ||
		(strcmp(value, "server") != 0 && strcmp(value, "master") != 0))
		return;
	if (!device_argument(device, "socket-abstract", value) || strcmp(value, "no") != 0)
		return;
	if (device_argument(device, "socket", value) && !somebody_listens(value))
		unlink(value);
}
