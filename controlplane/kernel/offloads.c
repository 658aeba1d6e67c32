#include "offloads.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// By ethtool's list of named features, as "ethtool -K" does: the older commands know no more than
// GRO and LRO, and nothing of what the hardware does of it.

// A set has the bit of a feature's place here; records of it outlive us, so places do not change.
static const char *const features[] = {
	"rx-gro", "rx-lro", "rx-gro-hw", "rx-gro-list", "rx-udp-gro-forwarding",
	"rx-vlan-hw-parse", // Strips the tag,
	"rx-vlan-filter",   // or drops those of VLANs that the kernel has not.
};

enum {
	N_FEATURES = sizeof(features) / sizeof(features[0]),
	DEVICE_FEATURES_MAX = 256,
	BLOCKS_MAX = DEVICE_FEATURES_MAX / 32,
};

// The device's features: where ours are among them, and how many there are.
struct places {
	int of[N_FEATURES]; // -1 for one that this kernel does not know.
	uint32_t n;
};

static int ask(int fd, const char *interface, void *command)
{
	struct ifreq request = {.ifr_data = command};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

static int count_features(int fd, const char *interface, uint32_t *ret_n)
{
	union {
		struct ethtool_sset_info info;
		uint8_t room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} command = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES}};
	int r = ask(fd, interface, &command);

	if (r < 0)
		return r;
	uint32_t n = command.info.data[0];
	*ret_n = n < DEVICE_FEATURES_MAX ? n : DEVICE_FEATURES_MAX;
	return 0;
}

static int place_of(const struct ethtool_gstrings *names, uint32_t n, const char *feature)
{
	for (uint32_t i = 0; i < n; i++) {
		if (strncmp((const char *)names->data + i * ETH_GSTRING_LEN, feature,
			    ETH_GSTRING_LEN) == 0)
			return (int)i;
	}
	return -1;
}

static int find_places(int fd, const char *interface, struct places *ret_places)
{
	int r = count_features(fd, interface, &ret_places->n);
	if (r < 0)
		return r;

	struct ethtool_gstrings *names =
		calloc(1, sizeof(*names) + (size_t)ret_places->n * ETH_GSTRING_LEN);
	if (names == NULL)
		return -ENOMEM;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = ret_places->n;
	r = ask(fd, interface, names);
	for (int i = 0; r == 0 && i < N_FEATURES; i++)
		ret_places->of[i] = place_of(names, ret_places->n, features[i]);
	free(names);
	return r;
}

static uint32_t n_blocks(const struct places *places)
{
	return (places->n + 31) / 32;
}

static int read_on(int fd, const char *interface, const struct places *places, uint64_t *ret_on)
{
	union {
		struct ethtool_gfeatures head;
		uint8_t room[sizeof(struct ethtool_gfeatures) +
			BLOCKS_MAX * sizeof(struct ethtool_get_features_block)];
	} command = {.head = {.cmd = ETHTOOL_GFEATURES, .size = n_blocks(places)}};
	int r = ask(fd, interface, &command);

	*ret_on = 0;
	for (int i = 0; r == 0 && i < N_FEATURES; i++) {
		int at = places->of[i];
		if (at >= 0 && (command.head.features[at / 32].active & 1u << at % 32))
			*ret_on |= 1ull << i;
	}
	return r;
}

static int write_set(
	int fd, const char *interface, const struct places *places, uint64_t set, bool on)
{
	union {
		struct ethtool_sfeatures head;
		uint8_t room[sizeof(struct ethtool_sfeatures) +
			BLOCKS_MAX * sizeof(struct ethtool_set_features_block)];
	} command = {.head = {.cmd = ETHTOOL_SFEATURES, .size = n_blocks(places)}};

	for (int i = 0; i < N_FEATURES; i++) {
		int at = places->of[i];
		if (at < 0 || !(set & 1ull << i))
			continue;
		command.head.features[at / 32].valid |= 1u << at % 32;
		if (on)
			command.head.features[at / 32].requested |= 1u << at % 32;
	}
	return ask(fd, interface, &command);
}

typedef int use_fn(int fd, const char *interface, const struct places *places, void *context);

static int with_places(const char *interface, use_fn *use, void *context)
{
	struct places places;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	int r = find_places(fd, interface, &places);
	if (r == 0)
		r = use(fd, interface, &places, context);
	close(fd);
	return r;
}

static int use_read(int fd, const char *interface, const struct places *places, void *context)
{
	return read_on(fd, interface, places, context);
}

struct wish {
	uint64_t set;
	bool on;
};

static int use_write(int fd, const char *interface, const struct places *places, void *context)
{
	const struct wish *wish = context;

	return write_set(fd, interface, places, wish->set, wish->on);
}

// A device without ethtool has none of it.
static int or_none(int r)
{
	return r == -EOPNOTSUPP ? 0 : r;
}

int offloads_read(const char *interface, uint64_t *ret_on)
{
	*ret_on = 0;
	return or_none(with_places(interface, use_read, ret_on));
}

int offloads_switch(const char *interface, uint64_t set, bool on)
{
	struct wish wish = {.set = set, .on = on};

	return set == 0 ? 0 : or_none(with_places(interface, use_write, &wish));
}
