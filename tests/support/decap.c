// The node's end of a tunnel, where the kernel has none
// ======================================================
//
//     decap INTERFACE GUE_PORT
//
// Takes IPIP, IPv6-in-IPv4, IPv4-in-IPv6, IPv6-in-IPv6 and GUE from whoever sends it to this host,
// and gives what is inside to the kernel by a TUN device of that name, until a signal ends it. Raw
// sockets get packets whole: the kernel has put fragments together, and checked UDP's checksum.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOURCES = 6, GUE_HEADER_LEN = 4, PACKET_MAX = 65536 };

// Where outer packets come from, and what stands before the inner one there.
struct source {
	int family, type, protocol;
	size_t skip; // Bytes; of raw IPv4 sockets the outer header comes, too.
};

static const struct source sources[SOURCES] = {
	{AF_INET, SOCK_RAW, IPPROTO_IPIP, 0},
	{AF_INET, SOCK_RAW, IPPROTO_IPV6, 0},
	{AF_INET6, SOCK_RAW, IPPROTO_IPIP, 0},
	{AF_INET6, SOCK_RAW, IPPROTO_IPV6, 0},
	{AF_INET, SOCK_DGRAM, 0, GUE_HEADER_LEN},
	{AF_INET6, SOCK_DGRAM, 0, GUE_HEADER_LEN},
};

static void die(const char *what)
{
	fprintf(stderr, "decap: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static int open_tun(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		die(name);
	return fd;
}

static int open_source(const struct source *source, uint16_t gue_port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(gue_port)};
	struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(gue_port)};
	int fd = socket(source->family, source->type | SOCK_CLOEXEC, source->protocol);

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){4 << 20}, sizeof(int));
	if (source->type == SOCK_RAW)
		return fd;
	if (source->family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
	if (bind(fd, source->family == AF_INET6 ? (void *)&any : (void *)&any4,
		    source->family == AF_INET6 ? sizeof(any) : sizeof(any4)) < 0)
		die("bind");
	return fd;
}

static size_t outer_len(const struct source *source, const uint8_t *packet)
{
	bool has_header = source->family == AF_INET && source->type == SOCK_RAW;

	return source->skip + (has_header ? (packet[0] & 0x0fu) * 4 : 0);
}

static void pass(const struct source *source, int from, int tun)
{
	static uint8_t packet[PACKET_MAX];
	ssize_t n = recv(from, packet, sizeof(packet), 0);

	if (n < (ssize_t)sizeof(struct iphdr))
		return;
	size_t skip = outer_len(source, packet);
	// What the kernel does not take is malformed, and lost like on any wire.
	if ((size_t)n > skip)
		(void)!write(tun, packet + skip, (size_t)n - skip);
}

int main(int argc, char **argv)
{
	struct pollfd polled[SOURCES];

	if (argc != 3) {
		fprintf(stderr, "usage: decap INTERFACE GUE_PORT\n");
		return EXIT_FAILURE;
	}
	int tun = open_tun(argv[1]);
	for (size_t i = 0; i < SOURCES; i++)
		polled[i] = (struct pollfd){
			open_source(&sources[i], (uint16_t)atoi(argv[2])), POLLIN, 0};

	while (poll(polled, SOURCES, -1) >= 0 || errno == EINTR) {
		for (size_t i = 0; i < SOURCES; i++) {
			if (polled[i].revents & POLLIN)
				pass(&sources[i], polled[i].fd, tun);
		}
	}
	die("poll");
}
