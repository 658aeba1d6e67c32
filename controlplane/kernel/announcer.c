#include "announcer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guideway/index.h"
#include "way.h"

// An address is announced at once, after one second and after three: whoever missed the first, a
// switch that was not yet forwarding or a machine that was busy, hears another. RFC 5227 (section
// 2.3) asks for two, RFC 4861 (section 7.2.6) for at most three.

#define SECOND_NS 1000000000ull

enum {
	TIMES = 3,
	FRAMES_PER_TICK = 64, // With ten ticks a second, a thousand addresses take two seconds.
};

static const uint64_t pause_ns[TIMES] = {SECOND_NS, 2 * SECOND_NS, UINT64_MAX};

struct announced {
	struct map_link link;
	struct address address;
	uint64_t due_ns; // UINT64_MAX when all is said.
	unsigned n_said;
	uint32_t epoch;
};

struct announcer {
	const struct tables *tables;
	int fd;
	struct map announced;
	uint32_t epoch;
	bool was_up[PORTS_MAX];
	size_t n_frames; // Of this tick.
};

int announcer_create(const struct tables *tables, struct announcer **ret_announcer)
{
	struct announcer *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return -ENOMEM;
	a->tables = tables;
	// Protocol 0: it receives nothing.
	a->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0) {
		int r = -errno;
		free(a);
		return r;
	}
	*ret_announcer = a;
	return 0;
}

static void drop(struct announcer *a, struct announced *x)
{
	map_remove(&a->announced, &x->link);
	free(x);
}

static void sweep(struct announcer *a)
{
	for (struct map_link *next, *at = map_after(&a->announced, NULL); at != NULL; at = next) {
		struct announced *x = MAP_THING(at, struct announced, link);
		next = map_after(&a->announced, at);
		if (x->epoch != a->epoch)
			drop(a, x);
	}
}

void announcer_destroy(struct announcer *a)
{
	if (a == NULL)
		return;
	a->epoch++;
	sweep(a);
	map_clear(&a->announced);
	close(a->fd);
	free(a);
}

static struct announced *find(const struct announcer *a, const struct address *address)
{
	struct map_link *at = map_find(&a->announced, index_hash_address(address));

	for (; at != NULL; at = map_find_next(at)) {
		struct announced *x = MAP_THING(at, struct announced, link);
		if (address_equal(&x->address, address))
			return x;
	}
	return NULL;
}

static struct announced *add(struct announcer *a, const struct address *address, uint64_t now_ns)
{
	struct announced *x = calloc(1, sizeof(*x));

	if (x == NULL || map_put(&a->announced, &x->link, index_hash_address(address)) < 0) {
		free(x);
		return NULL;
	}
	x->address = *address;
	x->due_ns = now_ns;
	return x;
}

int announcer_set(
	struct announcer *a, const struct address *addresses, size_t n_addresses, uint64_t now_ns)
{
	a->epoch++;
	for (size_t i = 0; i < n_addresses; i++) {
		struct announced *x = find(a, &addresses[i]);
		if (x == NULL)
			x = add(a, &addresses[i], now_ns);
		if (x == NULL) {
			a->epoch--; // What is there stays.
			return -ENOMEM;
		}
		x->epoch = a->epoch;
	}
	sweep(a);
	return 0;
}

static void begin_again(struct announcer *a, uint64_t now_ns)
{
	for (struct map_link *at = map_after(&a->announced, NULL); at != NULL;
		at = map_after(&a->announced, at)) {
		struct announced *x = MAP_THING(at, struct announced, link);
		x->n_said = 0;
		x->due_ns = now_ns;
	}
}

void announcer_follow_link(struct announcer *a, size_t port, uint64_t now_ns)
{
	bool up = a->tables->twins[port].up;

	if (up && !a->was_up[port])
		begin_again(a, now_ns);
	a->was_up[port] = up;
}

// Frames

static bool send_frame(
	const struct announcer *a, const struct twin *twin, const void *frame, size_t len)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = twin->ifindex,
		.sll_halen = ETH_ALEN,
	};

	memcpy(to.sll_addr, frame, ETH_ALEN);
	return sendto(a->fd, frame, len, MSG_DONTWAIT, (const void *)&to, sizeof(to)) ==
		(ssize_t)len;
}

struct arp_frame {
	struct ether_header ethernet;
	struct ether_arp arp;
	uint8_t padding[60 - sizeof(struct ether_header) - sizeof(struct ether_arp)];
} __attribute__((packed));
static_assert(sizeof(struct arp_frame) == 60);

// A request in which sender and target are the same (RFC 5227, section 3): a host that holds the
// address in its cache puts the new MAC address there (RFC 826), and nobody answers.
static bool announce_ipv4(
	const struct announcer *a, const struct twin *twin, const struct address *address)
{
	struct arp_frame frame = {
		.ethernet = {.ether_type = htons(ETHERTYPE_ARP)},
		.arp = {.ea_hdr = {.ar_hrd = htons(ARPHRD_ETHER),
				.ar_pro = htons(ETHERTYPE_IP),
				.ar_hln = ETH_ALEN,
				.ar_pln = 4,
				.ar_op = htons(ARPOP_REQUEST)}},
	};

	memset(frame.ethernet.ether_dhost, 0xff, ETH_ALEN);
	memcpy(frame.ethernet.ether_shost, twin->mac, ETH_ALEN);
	memcpy(frame.arp.arp_sha, twin->mac, ETH_ALEN);
	memcpy(frame.arp.arp_spa, &address->words[3], 4);
	memcpy(frame.arp.arp_tpa, &address->words[3], 4);
	return send_frame(a, twin, &frame, sizeof(frame));
}

struct advertisement_frame {
	struct ether_header ethernet;
	struct ip6_hdr ip;
	struct nd_neighbor_advert advert;
	struct nd_opt_hdr option;
	uint8_t mac[ETH_ALEN];
} __attribute__((packed));
static_assert(sizeof(struct advertisement_frame) == 14 + 40 + 24 + 8);

static uint32_t add_words(uint32_t sum, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	return sum;
}

static uint16_t checksum(const struct advertisement_frame *frame, size_t len)
{
	uint32_t sum = (uint32_t)len + IPPROTO_ICMPV6;

	sum = add_words(
		sum, (const uint8_t *)frame + offsetof(struct advertisement_frame, ip) + 8, 32);
	sum = add_words(
		sum, (const uint8_t *)frame + offsetof(struct advertisement_frame, advert), len);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static bool announce_ipv6(
	const struct announcer *a, const struct twin *twin, const struct address *address)
{
	static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
	static const uint8_t all_nodes_mac[ETH_ALEN] = {0x33, 0x33, 0, 0, 0, 1};
	const size_t len =
		sizeof(struct advertisement_frame) - offsetof(struct advertisement_frame, advert);
	struct advertisement_frame frame = {
		.ethernet = {.ether_type = htons(ETHERTYPE_IPV6)},
		.ip = {.ip6_flow = htonl(6u << 28),
			.ip6_plen = htons(len),
			.ip6_nxt = IPPROTO_ICMPV6,
			.ip6_hlim = 255},
		.advert = {.nd_na_type = ND_NEIGHBOR_ADVERT,
			.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE},
		.option = {.nd_opt_type = ND_OPT_TARGET_LINKADDR, .nd_opt_len = 1},
	};

	memcpy(frame.ethernet.ether_dhost, all_nodes_mac, ETH_ALEN);
	memcpy(frame.ethernet.ether_shost, twin->mac, ETH_ALEN);
	memcpy(&frame.ip.ip6_src, address->bytes, 16);
	memcpy(&frame.ip.ip6_dst, all_nodes, 16);
	memcpy(&frame.advert.nd_na_target, address->bytes, 16);
	memcpy(frame.mac, twin->mac, ETH_ALEN);
	frame.advert.nd_na_cksum = checksum(&frame, len);
	return send_frame(a, twin, &frame, sizeof(frame));
}

static bool announce_on(struct announcer *a, size_t port, const struct address *address)
{
	const struct twin *twin = &a->tables->twins[port];

	if (!twin->up)
		return false;
	a->n_frames++;
	return address_is_ipv4(address) ? announce_ipv4(a, twin, address)
					: announce_ipv6(a, twin, address);
}

static bool is_connected(const struct tables *t, const struct address *address, uint8_t *ret_port)
{
	struct address neighbour;

	return way_find_neighbour(t, address, ret_port, &neighbour) &&
		address_equal(&neighbour, address);
}

// An address of no connected network may still be used as one by those that are on the wire.
static bool announce(struct announcer *a, const struct address *address)
{
	bool said = false;
	uint8_t port;

	if (is_connected(a->tables, address, &port))
		return announce_on(a, port, address);
	for (size_t i = 0; i < a->tables->n_twins; i++)
		said |= announce_on(a, i, address);
	return said;
}

// What could not be sent, its twin being down, stays due.
static void announce_if_due(struct announcer *a, struct announced *x, uint64_t now_ns)
{
	if (x->due_ns > now_ns || !announce(a, &x->address))
		return;

	uint64_t pause = pause_ns[x->n_said++];
	x->due_ns = pause == UINT64_MAX ? UINT64_MAX : now_ns + pause;
}

static bool any_is_up(const struct tables *t)
{
	for (size_t i = 0; i < t->n_twins; i++) {
		if (t->twins[i].up)
			return true;
	}
	return false;
}

void announcer_tick(struct announcer *a, uint64_t now_ns)
{
	a->n_frames = 0;
	if (!any_is_up(a->tables)) // All would stay due.
		return;
	for (struct map_link *at = map_after(&a->announced, NULL);
		at != NULL && a->n_frames < FRAMES_PER_TICK; at = map_after(&a->announced, at))
		announce_if_due(a, MAP_THING(at, struct announced, link), now_ns);
}
