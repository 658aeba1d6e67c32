#include "interface.h"

#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct ifreq request_for(const char *name)
{
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return request;
}

static int ask(unsigned long what, struct ifreq *request)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;

	int r = ioctl(fd, what, request) < 0 ? -errno : 0;
	close(fd);
	return r;
}

int interface_read_flags(const char *name, short *ret_flags)
{
	struct ifreq request = request_for(name);
	int r = ask(SIOCGIFFLAGS, &request);
	if (r < 0)
		return r;

	*ret_flags = request.ifr_flags;
	return 0;
}

int interface_set_up(const char *name, bool up)
{
	struct ifreq request = request_for(name);
	int r = ask(SIOCGIFFLAGS, &request);
	if (r < 0)
		return r;

	if (up)
		request.ifr_flags |= IFF_UP;
	else
		request.ifr_flags &= ~IFF_UP;
	return ask(SIOCSIFFLAGS, &request);
}

int interface_read_mtu(const char *name, uint16_t *ret_mtu)
{
	struct ifreq request = request_for(name);
	int r = ask(SIOCGIFMTU, &request);
	if (r < 0)
		return r;

	*ret_mtu = request.ifr_mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)request.ifr_mtu;
	return 0;
}

int interface_set_mtu(const char *name, uint16_t mtu)
{
	struct ifreq request = request_for(name);

	request.ifr_mtu = mtu;
	return ask(SIOCSIFMTU, &request);
}

int interface_set_mac(const char *name, const uint8_t mac[6])
{
	struct ifreq request = request_for(name);

	request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(request.ifr_hwaddr.sa_data, mac, 6);
	return ask(SIOCSIFHWADDR, &request);
}

// What the driver says, if it is one that can be asked.
static struct ethtool_channels read_channels(const char *name)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq request = request_for(name);

	request.ifr_data = (void *)&channels;
	if (ask(SIOCETHTOOL, &request) < 0)
		channels = (struct ethtool_channels){0};
	return channels;
}

// What is in sysfs, if that is mounted for this network namespace.
static unsigned count_queue_folders(const char *name)
{
	char path[64 + IFNAMSIZ];
	unsigned n = 0;

	snprintf(path, sizeof(path), "/sys/class/net/%.*s/queues", IFNAMSIZ, name);
	DIR *folder = opendir(path);
	if (folder == NULL)
		return 0;
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
		n += strncmp(entry->d_name, "rx-", 3) == 0;
	closedir(folder);
	return n;
}

unsigned interface_rx_queues(const char *name)
{
	struct ethtool_channels channels = read_channels(name);
	unsigned n = channels.combined_count + channels.rx_count;

	if (n == 0)
		n = count_queue_folders(name);
	return n > 0 ? n : 1;
}

unsigned interface_af_xdp_queues(const char *name)
{
	struct ethtool_channels channels = read_channels(name);

	return channels.combined_count > 0 ? channels.combined_count : 1;
}

int interface_want_multicast(const char *name)
{
	struct packet_mreq wish = {
		.mr_ifindex = (int)if_nametoindex(name),
		.mr_type = PACKET_MR_ALLMULTI,
	};

	// Protocol 0: the socket itself receives nothing.
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wish, sizeof(wish)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}
