#include "port.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "device.h"
#include "eal.h"
#include "interface.h"
#include "why.h"
#include "xdp.h"

enum {
	DESCRIPTORS = 512,           // Of a queue, where neither configuration nor driver says.
	AF_XDP_BUFFERS = 8192,       // Of a queue: its fill ring and its completion ring.
	FRAME_OVERHEAD = 14 + 2 * 4, // Ethernet and up to two VLAN tags.
	BUFFER_STEP = 256,           // See device_for_af_packet().
	DRIVER_OVERHEAD = 256,       // XDP_PACKET_HEADROOM; AF_PACKET takes less.
	TAP_QUEUES_MAX = 4, // net_tap of 22.11 overruns its stack with more than 8 descriptors.
	RETA_GROUPS = RSS_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE,
};

// TCP and UDP by addresses and ports.
static const uint64_t rss_wanted = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP |
	RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP;

// A port on its way from the configuration to its start.
struct opening {
	struct port *port;
	const struct port_config *config;
	unsigned n_workers;
	struct buffers *buffers;
	struct rte_eth_dev_info info;
	bool is_pci;
};

void port_note(struct port *port, const char *format, ...)
{
	size_t len = strlen(port->note);
	va_list values;

	if (len > 0 && len < sizeof(port->note) - 1)
		len += snprintf(port->note + len, sizeof(port->note) - len, "; ");
	if (len >= sizeof(port->note))
		return;
	va_start(values, format);
	vsnprintf(port->note + len, sizeof(port->note) - len, format, values);
	va_end(values);
}

static unsigned or_default(unsigned configured)
{
	return configured ? configured : DESCRIPTORS;
}

size_t port_buffers_wanted(const struct port_config *config, unsigned n_workers)
{
	size_t wanted = (size_t)n_workers *
		(or_default(config->rx_descriptors) + or_default(config->tx_descriptors));

	if (device_kind(config->device) == DEVICE_INTERFACE && config->driver != DRIVER_AF_PACKET)
		wanted += (size_t)interface_rx_queues(config->device) * AF_XDP_BUFFERS;
	return wanted;
}

// Enough for a whole frame, as if the port could not use several buffers for one.
uint16_t port_buffer_len(const struct port_config *config)
{
	unsigned len = config->mtu + FRAME_OVERHEAD + DRIVER_OVERHEAD;

	return len <= PORT_BUFFER_LEN ? PORT_BUFFER_LEN : RTE_ALIGN_CEIL(len, BUFFER_STEP);
}

// Before EAL's part
// =================

// Finds DPDK's port of that name.
static int find_id(const char *name, uint16_t *ret_id)
{
	struct rte_eth_dev_info info;
	uint16_t id;

	if (rte_eth_dev_get_port_by_name(name, ret_id) == 0)
		return 0;
	RTE_ETH_FOREACH_DEV(id)
	{
		if (rte_eth_dev_info_get(id, &info) == 0 &&
			strcmp(rte_dev_name(info.device), name) == 0) {
			*ret_id = id;
			return 0;
		}
	}
	return -ENODEV;
}

static int probe(struct opening *o, const char *device, char ret_why[WHY_MAX])
{
	struct port *port = o->port;
	uint16_t id;

	device_name(device, port->name);
	eal_forget_words();
	if (o->is_pci) {
		// EAL has probed it, or has not.
		if (find_id(port->name, &port->id) == 0)
			return 0;
		return why(ret_why, -ENODEV,
			"%s: no DPDK driver has taken this PCI device; bind it to vfio-pci "
			"(dpdk-devbind.py), or name its kernel interface instead",
			device);
	}
	if (find_id(port->name, &id) == 0)
		return why(ret_why, -EBUSY, "%s: another port has this device", device);

	int r = rte_dev_probe(device);
	if (r < 0 || find_id(port->name, &port->id) < 0)
		return why(ret_why, r < 0 ? r : -ENODEV, "%s: DPDK cannot make this port: %s",
			device, eal_last_words()[0] ? eal_last_words() : strerror(-r));
	return 0;
}

// Queues, offloads, buffers
// =========================

static uint16_t min16(unsigned a, unsigned b)
{
	return (uint16_t)(a < b ? a : b);
}

// As many as workers where the port can. Of AF_XDP all that the interface has: what the kernel
// spreads to a queue that nobody serves would never come.
static void choose_queues(struct opening *o)
{
	struct port *port = o->port;

	port->n_rx = min16(o->n_workers, o->info.max_rx_queues);
	port->n_tx = min16(o->n_workers, o->info.max_tx_queues);
	if (strcmp(o->info.driver_name, "net_af_xdp") == 0)
		port->n_rx = port->n_tx = o->info.max_rx_queues;
	if (strcmp(o->info.driver_name, "net_tap") == 0)
		port->n_rx = port->n_tx = min16(port->n_rx, TAP_QUEUES_MAX);

	if (port->n_rx < o->n_workers)
		port_note(port,
			"%u of %u workers receive from this port, which has so many queues; the "
			"others get their flows by hand-over",
			port->n_rx, o->n_workers);
	if (port->n_tx < o->n_workers)
		port_note(port,
			"%u of %u workers send by this port, which has so many queues, for all of "
			"them",
			port->n_tx, o->n_workers);
}

// The largest MTU that DPDK lets us ask this driver for.
static unsigned mtu_max(const struct rte_eth_dev_info *info)
{
	const unsigned overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
	unsigned max = info->max_mtu ? info->max_mtu : UINT16_MAX;

	// Some drivers bound the frame, not the MTU.
	if (info->max_rx_pktlen > overhead && info->max_rx_pktlen - overhead < max)
		max = info->max_rx_pktlen - overhead;
	return max;
}

// It takes any frame that fits its ring, whatever it tells DPDK: the kernel has the MTU.
static bool kernel_bounds_mtu(const struct opening *o)
{
	return strcmp(o->info.driver_name, "net_af_packet") == 0;
}

static int choose_mtu(struct opening *o, char ret_why[WHY_MAX])
{
	struct port *port = o->port;
	unsigned max = kernel_bounds_mtu(o) ? UINT16_MAX : mtu_max(&o->info);

	port->mtu = min16(o->config->mtu, max);
	if (port->mtu == o->config->mtu)
		return 0;
	if (device_kind(o->config->device) == DEVICE_INTERFACE)
		return why(ret_why, -EINVAL, "%s: %s carries an MTU of at most %u, not %u",
			o->config->device, o->info.driver_name, port->mtu, o->config->mtu);
	port_note(port, "the MTU is %u, the most that the driver can, not %u", port->mtu,
		o->config->mtu);
	return 0;
}

static int apply_mtu(struct opening *o, char ret_why[WHY_MAX])
{
	struct port *port = o->port;
	uint16_t now;
	int r;

	if (port->interface[0] != '\0')
		r = interface_read_mtu(port->interface, &now) == 0 && now == port->mtu
			? 0
			: interface_set_mtu(port->interface, port->mtu);
	else
		r = rte_eth_dev_set_mtu(port->id, port->mtu);

	// Drivers without that verb took it by rte_eth_dev_configure(), or do not care.
	if (r < 0 && r != -ENOTSUP)
		return why(ret_why, r, "%s: the port refuses an MTU of %u: %s", o->config->device,
			port->mtu, strerror(-r));
	return 0;
}

// Where the port spreads a large frame over several buffers, small ones will do.
static uint16_t choose_buffer_len(const struct opening *o)
{
	bool scatters = o->info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;

	return scatters ? PORT_BUFFER_LEN : port_buffer_len(o->config);
}

// Where they may get chains, drivers of cards send by a slower way: they are told to expect such
// only where a frame takes several buffers. What else comes in several, put together of fragments,
// is joined.
static bool choose_chains(const struct opening *o)
{
	bool needs_chains = o->port->mtu + FRAME_OVERHEAD > PORT_BUFFER_LEN;
	bool can = o->info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;

	return can && (needs_chains || !o->is_pci);
}

static struct rte_eth_conf conf_for(const struct opening *o)
{
	struct rte_eth_conf conf = {
		.rxmode = {.mtu = min16(o->port->mtu, mtu_max(&o->info))},
		.txmode = {.offloads = o->port->sends_chains ? RTE_ETH_TX_OFFLOAD_MULTI_SEGS : 0},
	};

	if (o->port->mtu + FRAME_OVERHEAD > PORT_BUFFER_LEN)
		conf.rxmode.offloads = o->info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;

	if (o->is_pci && o->config->vlan != 0)
		conf.rxmode.offloads |= o->info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_FILTER;

	// Virtual ports that claim RSS do not hash.
	if (o->is_pci && o->port->n_rx > 1 && o->info.flow_type_rss_offloads & rss_wanted) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = o->info.flow_type_rss_offloads & rss_wanted;
	}
	return conf;
}

static uint16_t choose_descriptors(uint16_t configured, uint16_t driver_default)
{
	if (configured != 0)
		return configured;
	return driver_default != 0 ? driver_default : DESCRIPTORS;
}

static int set_up_queues(struct opening *o, char ret_why[WHY_MAX])
{
	const struct port *port = o->port;
	uint16_t n_rxd =
		choose_descriptors(o->config->rx_descriptors, o->info.default_rxportconf.ring_size);
	uint16_t n_txd =
		choose_descriptors(o->config->tx_descriptors, o->info.default_txportconf.ring_size);

	int r = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &n_rxd, &n_txd);
	for (uint16_t q = 0; r == 0 && q < port->n_rx; q++)
		r = rte_eth_rx_queue_setup(
			port->id, q, n_rxd, port->numa_node, NULL, port->buffers);
	for (uint16_t q = 0; r == 0 && q < port->n_tx; q++)
		r = rte_eth_tx_queue_setup(port->id, q, n_txd, port->numa_node, NULL);
	if (r < 0)
		return why(ret_why, r, "%s: the driver does not set up %u + %u queues: %s",
			o->config->device, port->n_rx, port->n_tx,
			eal_last_words()[0] ? eal_last_words() : strerror(-r));
	return 0;
}

// Solicited-node multicast must come in, of addresses that the port does not know of. Ports between
// processes have no filter and know neither verb. On an interface of the kernel a membership does
// it, since that ends with this process.
static void want_multicast(struct opening *o)
{
	struct port *port = o->port;

	if (port->interface[0] != '\0') {
		port->multicast = interface_want_multicast(port->interface);
		if (port->multicast >= 0)
			return;
	}
	if (rte_eth_allmulticast_enable(port->id) == 0)
		return;
	if (rte_eth_promiscuous_enable(port->id) == 0 && o->is_pci)
		port_note(port, "it is promiscuous, since it cannot just take all multicast");
}

// Tags are to stay in their frames. Of virtual functions and virtio some let only those in that
// they were told of, and can be told only while they filter; a port that cannot filter lets in all.
static void want_tags(struct opening *o)
{
	struct port *port = o->port;
	uint16_t vlan = o->config->vlan;
	int offloads = rte_eth_dev_get_vlan_offload(port->id);

	if (offloads > 0 && offloads & RTE_ETH_VLAN_STRIP_OFFLOAD) {
		rte_eth_dev_set_vlan_offload(port->id, offloads & ~RTE_ETH_VLAN_STRIP_OFFLOAD);
		offloads = rte_eth_dev_get_vlan_offload(port->id);
		port->loses_tags = offloads > 0 && offloads & RTE_ETH_VLAN_STRIP_OFFLOAD;
	}
	int r = vlan == 0 ? 0 : rte_eth_dev_vlan_filter(port->id, vlan, true);
	if (r < 0 && r != -ENOTSUP && r != -ENOSYS)
		port_note(port, "it may not let VLAN %u in: %s", vlan, strerror(-r));
}

static void read_identity(struct opening *o)
{
	struct port *port = o->port;

	rte_eth_macaddr_get(port->id, &port->mac);
	if (rte_is_zero_ether_addr(&port->mac)) // net_ring has none.
		rte_eth_random_addr(port->mac.addr_bytes);
	port->numa_node = rte_eth_dev_socket_id(port->id);
	if (port->numa_node < 0 && rte_socket_count() == 1)
		port->numa_node = rte_socket_id_by_idx(0);
	port->loses_tags = strcmp(o->info.driver_name, "net_af_packet") == 0;
	snprintf(port->driver, sizeof(port->driver), "%s", o->info.driver_name);
	if (o->info.if_index > 0)
		if_indextoname(o->info.if_index, port->interface);
}

static int configure(struct opening *o, char ret_why[WHY_MAX])
{
	struct port *port = o->port;

	choose_queues(o);
	int r = choose_mtu(o, ret_why);
	if (r < 0)
		return r;
	port->sends_chains = choose_chains(o);
	port->buffer_len = choose_buffer_len(o);
	port->buffers = buffers_find(o->buffers, port->numa_node, port->buffer_len);
	if (port->buffers == NULL)
		return why(ret_why, -ENOMEM, "%s: no memory for packet buffers of %u bytes: %s",
			o->config->device, port->buffer_len, rte_strerror(rte_errno));

	struct rte_eth_conf conf = conf_for(o);
	r = rte_eth_dev_configure(port->id, port->n_rx, port->n_tx, &conf);
	if (r < 0)
		return why(ret_why, r, "%s: the driver takes no %u + %u queues and MTU %u: %s",
			o->config->device, port->n_rx, port->n_tx, port->mtu, eal_last_words());

	r = apply_mtu(o, ret_why);
	if (r < 0)
		return r;
	return set_up_queues(o, ret_why);
}

static int start(struct opening *o, char ret_why[WHY_MAX])
{
	struct port *port = o->port;
	int r = rte_eth_dev_start(port->id);

	if (r < 0)
		return why(ret_why, r, "%s: the port does not start: %s", o->config->device,
			eal_last_words()[0] ? eal_last_words() : strerror(-r));
	port->started = true;
	want_multicast(o);
	if (o->is_pci)
		want_tags(o);

	struct port_rss rss;
	port->can_steer = o->is_pci && port->n_rx == o->n_workers && port_read_rss(port, &rss) == 0;
	return 0;
}

// A port of DPDK by its text, whatever kind.
static int open_device(struct opening *o, const char *device, char ret_why[WHY_MAX])
{
	struct port *port = o->port;

	device_clean_up(device);
	int r = probe(o, device, ret_why);
	if (r < 0)
		return r;
	port->opened = true;

	r = rte_eth_dev_info_get(port->id, &o->info);
	if (r < 0)
		return why(ret_why, r, "%s: the driver tells nothing of the port", device);
	read_identity(o);

	r = configure(o, ret_why);
	if (r < 0)
		return r;
	return start(o, ret_why);
}

// Stops the port and takes it from DPDK. What a vdev leaves is nothing; AF_XDP detaches its
// program here.
static void close_device(struct port *port)
{
	struct rte_eth_dev_info info;

	if (port->multicast >= 0)
		close(port->multicast);
	port->multicast = -1;
	if (!port->opened)
		return;
	if (port->started)
		rte_eth_dev_stop(port->id);
	port->started = false;
	port->opened = false;
	if (rte_eth_dev_info_get(port->id, &info) == 0 && rte_dev_remove(info.device) == 0)
		return;
	rte_eth_dev_close(port->id);
}

// Interfaces of the kernel
// ========================

static int open_af_xdp(struct opening *o, char ret_why[WHY_MAX])
{
	const char *interface = o->config->device;
	char device[DEVICE_TEXT_MAX];
	char program[XDP_NAME_MAX];
	unsigned n_queues = interface_rx_queues(interface);

	int r = xdp_clean_up(interface, program);
	if (r == -EBUSY)
		return why(ret_why, r, "%s: it carries the XDP program '%s', which is not ours",
			interface, program);
	if (n_queues > interface_af_xdp_queues(interface))
		return why(ret_why, -ENOTSUP,
			"%s: AF_XDP must bind all %u queues that it receives by and can bind %u; "
			"try 'ethtool -L %s rx 1 tx 1'",
			interface, n_queues, interface_af_xdp_queues(interface), interface);

	device_for_af_xdp(interface, o->port->index, n_queues, device);
	return open_device(o, device, ret_why);
}

static int open_af_packet(struct opening *o, char ret_why[WHY_MAX])
{
	char device[DEVICE_TEXT_MAX];
	char program[XDP_NAME_MAX];

	xdp_clean_up(o->config->device, program);
	device_for_af_packet(o->config->device, o->port->index, o->n_workers,
		port_buffer_len(o->config), device);
	return open_device(o, device, ret_why);
}

// Brings the interface up and gives it the MTU, before a driver looks at it.
static int prepare_interface(struct opening *o, char ret_why[WHY_MAX])
{
	struct port *port = o->port;
	const char *name = o->config->device;
	short flags;

	int r = interface_read_flags(name, &flags);
	if (r < 0)
		return why(ret_why, r,
			"%s: there is no such network interface; a device is a PCI address, an "
			"interface that 'ip link' shows, or a DPDK vdev such as net_tap0",
			name);
	if (strlen(name) >= IFNAMSIZ)
		return why(ret_why, -EINVAL, "%s: too long for an interface's name", name);
	snprintf(port->interface, sizeof(port->interface), "%.*s", IFNAMSIZ - 1, name);

	interface_read_mtu(name, &port->mtu_before);
	if (port->mtu_before != o->config->mtu) {
		r = interface_set_mtu(name, o->config->mtu);
		if (r < 0)
			return why(ret_why, r, "%s: the interface refuses an MTU of %u: %s", name,
				o->config->mtu, strerror(-r));
		port->set_mtu = true;
	}
	if (flags & IFF_UP)
		return 0;

	port->was_down = true;
	r = interface_set_up(name, true);
	return r < 0 ? why(ret_why, r, "%s: cannot be brought up: %s", name, strerror(-r)) : 0;
}

static int open_interface(struct opening *o, char ret_why[WHY_MAX])
{
	struct port *port = o->port;
	char why_not[WHY_MAX];

	int r = prepare_interface(o, ret_why);
	if (r < 0)
		return r;
	if (o->config->driver == DRIVER_AF_PACKET)
		return open_af_packet(o, ret_why);
	if (o->config->driver == DRIVER_AF_XDP)
		return open_af_xdp(o, ret_why);

	r = open_af_xdp(o, why_not);
	if (r == 0)
		return 0;
	close_device(port);
	port->note[0] = '\0';
	port_note(port, "by AF_PACKET, since AF_XDP does not work here (%.300s)", why_not);
	return open_af_packet(o, ret_why);
}

// The verbs
// =========

int port_open(const struct port_config *config, size_t index, unsigned n_workers,
	struct buffers *buffers, struct port *ret_port, char ret_why[WHY_MAX])
{
	struct port *port = ret_port;
	enum device_kind kind = device_kind(config->device);
	struct opening o = {
		.port = port,
		.config = config,
		.n_workers = n_workers,
		.buffers = buffers,
		.is_pci = kind == DEVICE_PCI,
	};

	*port = (struct port){.index = (uint16_t)index, .multicast = -1, .numa_node = -1};
	int r = kind == DEVICE_INTERFACE ? open_interface(&o, ret_why)
					 : open_device(&o, config->device, ret_why);
	if (r < 0) {
		port_close(port);
		return r;
	}
	atomic_store_explicit(&port->link_up, port_read_link(port), memory_order_relaxed);
	return 0;
}

void port_close(struct port *port)
{
	close_device(port);
	if (port->set_mtu)
		interface_set_mtu(port->interface, port->mtu_before);
	if (port->was_down)
		interface_set_up(port->interface, false);
	port->set_mtu = port->was_down = false;
}

static int read_reta(uint16_t id, struct port_rss *rss)
{
	struct rte_eth_rss_reta_entry64 groups[RETA_GROUPS];

	for (size_t i = 0; i < RETA_GROUPS; i++)
		groups[i].mask = UINT64_MAX;
	int r = rte_eth_dev_rss_reta_query(id, groups, (uint16_t)rss->reta_size);
	if (r < 0)
		return r;
	for (size_t i = 0; i < rss->reta_size; i++)
		rss->reta[i] =
			groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
	return 0;
}

int port_read_rss(const struct port *port, struct port_rss *ret_rss)
{
	struct rte_eth_dev_info info;
	struct rte_eth_rss_conf conf = {.rss_key = ret_rss->key, .rss_key_len = RSS_KEY_MAX};

	int r = rte_eth_dev_info_get(port->id, &info);
	if (r < 0)
		return r;
	if (info.hash_key_size < 40 || info.hash_key_size > RSS_KEY_MAX || info.reta_size == 0 ||
		info.reta_size > RSS_RETA_MAX || !rte_is_power_of_2(info.reta_size))
		return -ENOTSUP;

	r = rte_eth_dev_rss_hash_conf_get(port->id, &conf);
	if (r < 0)
		return r;
	if ((conf.rss_hf & rss_wanted) != rss_wanted)
		return -ENOTSUP;

	ret_rss->key_len = info.hash_key_size;
	ret_rss->reta_size = info.reta_size;
	return read_reta(port->id, ret_rss);
}

bool port_read_link(const struct port *port)
{
	struct rte_eth_link link = {0};
	short flags;

	// Drivers of kernel interfaces either do not follow the carrier or ask as we do, so we ask
	// ourselves. A TAP that was moved to another network namespace is not seen any more, and
	// may be taken to be up.
	if (port->interface[0] != '\0') {
		if (interface_read_flags(port->interface, &flags) < 0)
			return strcmp(port->driver, "net_tap") == 0;
		return flags & IFF_RUNNING;
	}
	return rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}
