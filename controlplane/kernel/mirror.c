#include "mirror.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

// A copy that stays one
// =====================
//
// One socket subscribes to all events first and asks for dumps after that, so that what the kernel
// says arrives in the order it happened, dump and events mixed, and taking it in one by one leaves
// the tables equal to the kernel's. Where that is not enough, the part concerned is dumped again:
//
//     the socket's buffer was too small (ENOBUFS)     everything
//     the kernel changed while dumping (DUMP_INTR)    that part
//     a message that fits several routes              the routes of its family
//     a link went down, an address went, a nexthop    routes: the kernel takes away those that
//     object went                                     depended on it, IPv4's without a word
//
// A part whose dump took long rests four times as long, so that a storm of changes costs no more
// than a fifth of the control thread.

enum part {
	LINKS, // First: what is on a twin can be told only when the twin is known.
	ADDRESSES,
	NEXTHOPS,
	ROUTES_IPV4,
	ROUTES_IPV6,
	NEIGHBOURS,
	N_PARTS,
};

static const struct {
	uint16_t request;
	uint8_t family;
} parts[N_PARTS] = {
	[LINKS] = {RTM_GETLINK, AF_UNSPEC},
	[ADDRESSES] = {RTM_GETADDR, AF_UNSPEC},
	[NEXTHOPS] = {RTM_GETNEXTHOP, AF_UNSPEC},
	[ROUTES_IPV4] = {RTM_GETROUTE, AF_INET},
	[ROUTES_IPV6] = {RTM_GETROUTE, AF_INET6},
	[NEIGHBOURS] = {RTM_GETNEIGH, AF_UNSPEC},
};

enum {
	RECEIVE_BUFFER = 32 << 20,
	MESSAGES_MAX = 64 << 10, // The kernel dumps up to 32 kB at once.
	READS_MAX = 32,          // Of that size at once: some milliseconds.
	REST_MIN_NS = 5 * 1000 * 1000,
	DUMP_TIME_MAX_NS = 1000 * 1000 * 1000, // Without a message: then it is begun again.
};

struct mirror {
	struct tables *tables;
	struct mirror_listener listener;
	struct mnl_socket *socket;

	enum part dumping; // N_PARTS when none is.
	bool again;        // What is being dumped now cannot be relied on.
	uint32_t seq;
	uint64_t begun_ns;
	uint64_t heard_ns; // The last message of it.

	bool wanted[N_PARTS];
	bool held[N_PARTS]; // Has been dumped whole.
	uint64_t rests_until_ns[N_PARTS];
	uint64_t n_dumps;
	uint64_t n_losses;
	uint64_t now_ns;

	char messages[MESSAGES_MAX];
};

static void want(struct mirror *m, enum part part)
{
	m->wanted[part] = true;
	if (m->dumping == part)
		m->again = true;
}

static void want_all(struct mirror *m)
{
	for (enum part part = 0; part < N_PARTS; part++)
		want(m, part);
}

static void want_routes(struct mirror *m)
{
	want(m, ROUTES_IPV4);
	want(m, ROUTES_IPV6);
}

static enum part routes_of(const struct address *prefix)
{
	return address_is_ipv4(prefix) ? ROUTES_IPV4 : ROUTES_IPV6;
}

static void tell_routes(struct mirror *m, enum change change, enum part part)
{
	if (change == CHANGE_MADE)
		m->listener.routes(m->listener.context);
	if (change == CHANGE_UNCLEAR)
		want(m, part);
}

// Events

static void tell_twins(struct mirror *m)
{
	for (size_t port = 0; port < m->tables->n_twins; port++)
		m->listener.twin(m->listener.context, port);
	want(m, NEIGHBOURS);
	want_routes(m);
}

static void take_link(struct mirror *m, const struct nlmsghdr *message)
{
	struct rtnl_link link;

	if (!rtnl_parse_link(message, &link))
		return;

	bool gone = message->nlmsg_type == RTM_DELLINK;
	enum change change = gone ? tables_remove_link(m->tables, link.ifindex)
				  : tables_put_link(m->tables, &link);
	if (change == CHANGE_MADE)
		tell_twins(m);
	if (m->dumping != LINKS && (gone || (link.change & IFF_UP)))
		want_routes(m);
}

static void take_address(struct mirror *m, const struct nlmsghdr *message)
{
	struct rtnl_address address;

	if (!rtnl_parse_address(message, &address))
		return;
	if (message->nlmsg_type == RTM_NEWADDR) {
		tell_routes(m, tables_put_local(m->tables, &address), ADDRESSES);
		return;
	}
	tell_routes(m, tables_remove_local(m->tables, &address), ADDRESSES);
	want(m, routes_of(&address.address));
}

static void take_neighbour(struct mirror *m, const struct nlmsghdr *message)
{
	struct rtnl_neighbour n;

	if (!rtnl_parse_neighbour(message, &n))
		return;

	enum change change = message->nlmsg_type == RTM_NEWNEIGH
		? tables_put_neighbour(m->tables, &n)
		: tables_remove_neighbour(m->tables, &n);
	if (change == CHANGE_MADE || change == CHANGE_OF_MAC)
		m->listener.neighbour(
			m->listener.context, n.ifindex, &n.address, change == CHANGE_MADE);
	if (change == CHANGE_UNCLEAR)
		want(m, NEIGHBOURS);
}

static bool is_of_dump(const struct mirror *m, const struct nlmsghdr *message)
{
	// An event carries the numbers of whoever caused it.
	return m->dumping != N_PARTS && message->nlmsg_seq == m->seq &&
		message->nlmsg_pid == mnl_socket_get_portid(m->socket);
}

static enum said said(const struct mirror *m, const struct nlmsghdr *message)
{
	if (is_of_dump(m, message))
		return SAID_IN_DUMP;
	return message->nlmsg_flags & NLM_F_REPLACE ? SAID_REPLACED : SAID_NEW;
}

static void take_route(struct mirror *m, const struct nlmsghdr *message)
{
	struct rtnl_route route;

	if (!rtnl_parse_route(message, &route))
		return;

	enum change change = message->nlmsg_type == RTM_NEWROUTE
		? tables_put_route(m->tables, &route, said(m, message))
		: tables_remove_route(m->tables, &route);
	tell_routes(m, change, routes_of(&route.prefix));
}

static void take_nexthop(struct mirror *m, const struct nlmsghdr *message)
{
	struct rtnl_nexthop nexthop;

	if (!rtnl_parse_nexthop(message, &nexthop))
		return;
	if (message->nlmsg_type == RTM_NEWNEXTHOP) {
		tell_routes(m, tables_put_nexthop(m->tables, &nexthop), NEXTHOPS);
		return;
	}
	tell_routes(m, tables_remove_nexthop(m->tables, nexthop.id), NEXTHOPS);
	want_routes(m);
}

// Dumps

static void begin_dump(struct mirror *m, enum part part)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];

	m->wanted[part] = false;
	m->again = false;
	m->dumping = part;
	m->begun_ns = m->heard_ns = m->now_ns;
	m->tables->epoch++;
	// Never 0, which is of requests that are no dumps.
	m->seq = m->seq + 1 == 0 ? 1 : m->seq + 1;
	m->n_dumps++;

	const struct nlmsghdr *request =
		rtnl_dump_request(buffer, parts[part].request, parts[part].family, m->seq);
	// What cannot be sent now is begun again when it is overdue.
	(void)mnl_socket_sendto(m->socket, request, request->nlmsg_len);
}

static void begin_next_dump(struct mirror *m)
{
	for (enum part part = 0; part < N_PARTS && m->dumping == N_PARTS; part++) {
		if (m->wanted[part] && m->now_ns >= m->rests_until_ns[part])
			begin_dump(m, part);
	}
}

static void sweep_neighbours(struct mirror *m)
{
	if (tables_sweep_neighbours(m->tables) == CHANGE_MADE)
		m->listener.neighbours(m->listener.context);
}

static void sweep(struct mirror *m, enum part part)
{
	switch (part) {
	case ADDRESSES:
		tell_routes(m, tables_sweep_locals(m->tables), part);
		break;
	case NEXTHOPS:
		tell_routes(m, tables_sweep_nexthops(m->tables), part);
		break;
	case ROUTES_IPV4:
		tell_routes(m, tables_sweep_routes(m->tables, IPV4), part);
		break;
	case ROUTES_IPV6:
		tell_routes(m, tables_sweep_routes(m->tables, IPV6), part);
		break;
	case NEIGHBOURS:
		sweep_neighbours(m);
		break;
	case LINKS:
		if (tables_sweep_links(m->tables) == CHANGE_MADE)
			tell_twins(m);
		break;
	case N_PARTS:
		break;
	}
}

// A kernel without IPv6 or nexthop objects, or without a single route, says so by an error.
static bool is_an_answer(int error)
{
	return error == 0 || error == -EOPNOTSUPP || error == -EAFNOSUPPORT || error == -ENOENT ||
		error == -EINVAL;
}

static void end_dump(struct mirror *m, int error)
{
	enum part part = m->dumping;
	uint64_t took_ns = m->now_ns - m->begun_ns;

	m->rests_until_ns[part] = m->now_ns + REST_MIN_NS + 4 * took_ns;
	m->dumping = N_PARTS;
	if (m->again || !is_an_answer(error)) {
		m->wanted[part] = true;
		return;
	}
	m->held[part] = true;
	sweep(m, part);
}

static void take(struct mirror *m, const struct nlmsghdr *message)
{
	if (is_of_dump(m, message)) {
		m->heard_ns = m->now_ns;
		if (message->nlmsg_flags & NLM_F_DUMP_INTR)
			m->again = true;
	}

	switch (message->nlmsg_type) {
	case NLMSG_DONE:
	case NLMSG_ERROR:
		if (is_of_dump(m, message))
			end_dump(m, rtnl_error(message));
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		take_link(m, message);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		take_address(m, message);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		take_neighbour(m, message);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		take_route(m, message);
		break;
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		take_nexthop(m, message);
		break;
	}
}

static void take_all(struct mirror *m, int len)
{
	const struct nlmsghdr *message = (const void *)m->messages;

	for (; mnl_nlmsg_ok(message, len); message = mnl_nlmsg_next(message, &len))
		take(m, message);
}

static void lose(struct mirror *m)
{
	m->n_losses++;
	want_all(m);
}

int mirror_ready(struct mirror *m, uint64_t now_ns)
{
	m->now_ns = now_ns;
	for (unsigned i = 0; i < READS_MAX; i++) {
		ssize_t len = mnl_socket_recvfrom(m->socket, m->messages, sizeof(m->messages));
		if (len > 0)
			take_all(m, (int)len);
		else if (len < 0 && (errno == ENOBUFS || errno == ENOSPC))
			lose(m);
		else if (len < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		else if (len < 0)
			return -errno;
	}
	begin_next_dump(m);
	return 0;
}

void mirror_tick(struct mirror *m, uint64_t now_ns)
{
	m->now_ns = now_ns;
	if (m->dumping != N_PARTS && now_ns - m->heard_ns > DUMP_TIME_MAX_NS) {
		m->again = true;
		end_dump(m, -ETIMEDOUT);
	}
	begin_next_dump(m);
}

bool mirror_is_complete(const struct mirror *m)
{
	for (enum part part = 0; part < N_PARTS; part++) {
		if (!m->held[part])
			return false;
	}
	return true;
}

void mirror_ask_for_neighbour(
	struct mirror *m, int ifindex, const struct address *address, bool managed)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	// The operator may have fixed it just now, which the request would undo.
	bool is_new = tables_find_neighbour(m->tables, ifindex, address) == NULL;
	const struct nlmsghdr *request =
		rtnl_neighbour_request(buffer, ifindex, address, managed, is_new);

	// A refusal is no news: the neighbour stays unknown, and who needs it asks again.
	(void)mnl_socket_sendto(m->socket, request, request->nlmsg_len);
}

// The socket

static int subscribe(struct mnl_socket *socket)
{
	static const int groups[] = {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR,
		RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP};

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		int group = groups[i];
		int r = mnl_socket_setsockopt(
			socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group));
		// Kernels before 5.3 have no nexthop objects.
		if (r < 0 && group != RTNLGRP_NEXTHOP)
			return -errno;
	}
	return 0;
}

static void set_receive_buffer(struct mnl_socket *socket, size_t bytes)
{
	int size = (int)bytes;
	int fd = mnl_socket_get_fd(socket);

	// The first is not bound by net.core.rmem_max, but needs CAP_NET_ADMIN.
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

static int open_socket(struct mirror *m, size_t receive_buffer_bytes)
{
	int yes = 1;

	m->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (m->socket == NULL)
		return -errno;
	set_receive_buffer(
		m->socket, receive_buffer_bytes == 0 ? RECEIVE_BUFFER : receive_buffer_bytes);
	// Lets the kernel, not us, leave out the other tables (Linux 4.20).
	(void)mnl_socket_setsockopt(m->socket, NETLINK_GET_STRICT_CHK, &yes, sizeof(yes));
	if (mnl_socket_bind(m->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	return subscribe(m->socket);
}

int mirror_start(struct tables *tables, const struct mirror_listener *listener,
	size_t receive_buffer_bytes, struct mirror **ret_mirror)
{
	int r = -ENOMEM;

	struct mirror *m = calloc(1, sizeof(*m));
	if (m == NULL)
		goto fail;

	m->tables = tables;
	m->listener = *listener;
	m->dumping = N_PARTS;
	r = open_socket(m, receive_buffer_bytes);
	if (r < 0)
		goto fail;

	want_all(m);
	*ret_mirror = m;
	return 0;

fail:
	mirror_stop(m);
	return r;
}

void mirror_stop(struct mirror *m)
{
	if (m == NULL)
		return;
	if (m->socket != NULL)
		mnl_socket_close(m->socket);
	free(m);
}

int mirror_fd(const struct mirror *m)
{
	return mnl_socket_get_fd(m->socket);
}

uint64_t mirror_dumps(const struct mirror *m)
{
	return m->n_dumps;
}

uint64_t mirror_losses(const struct mirror *m)
{
	return m->n_losses;
}
