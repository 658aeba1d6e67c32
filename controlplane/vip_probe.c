#include "vip_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "vip_probe_packet.h"

// How a node is asked
// ===================
//
//     prober ── SYN that names the node ──► twin ──► worker ══ as a client's packet ══► node
//        ▲                                                                               │
//        └───────── kernel ◄──────────────────────── answer, straight to our address ────┘
//
// The SYN goes by the dataplane (guideway/vip_probe.h), so that it takes the very way that clients'
// packets will take: next hop, VLAN, tunnel and all. It comes from an address of this machine, and
// each time from another port: a node whose kernel has seen one go by, as a router does, would send
// on all that look the same for two minutes, whatever it has learnt meanwhile (conntrack asks NAT's
// rules about what is new, and only about that). No socket of ours has these ports, which whoever
// has them does not notice: none is connected to the VIP. Answers are read off the network
// interfaces before the kernel's firewall; what they answer is in the sequence number, of which the
// upper half is drawn at random, so that the kernel can filter by it and nobody answers who was not
// asked. Whoever waits for a connection then is sent a RST on the same way.
//
// We tried in thought to connect() by routes of our own, and to write frames to nodes' MAC
// addresses ourselves: the first changes the routing of the machine, the second needs everything
// that the dataplane knows about next hops and tunnels a second time, and shows nothing of the way
// through it.
//
// All nodes of a probe that have not answered are asked in rounds, after longer and longer; of all
// probes together, so many a second. Probes take turns, a few questions each, so that of ten
// thousand each soon has some node that knows; and those with nodes that get nothing before they
// answer come before those whose nodes are all used meanwhile, of which a restart has as many as
// there are.

#define ROUND_NS (20 * NSEC_PER_MSEC)
#define ROUND_LONGEST_NS (640 * NSEC_PER_MSEC)
#define TOKEN_NS (1 * NSEC_PER_MSEC) // A thousand packets a second,
#define BY_TIME_NS (2 * NSEC_PER_SEC)
#define WAIT_NS (5 * NSEC_PER_MSEC)

enum {
	TOKENS_MAX = 32, // of them so many at once.
	QUESTIONS_A_TURN = 4,
	TURNS_A_STEP = 64,
	QUESTIONS_PRESUMED = 5, // So many unanswered say that one does not know it; 620 ms.
	SENT_MAX = 4096,        // Remembered for longer than any answer takes: some four seconds.
	ANSWERS_A_STEP = 64,
	PACKET_MAX = 256,
};

enum knowledge {
	SILENT,
	PRESUMED, // It is used: it knew the VIP before we came, as far as is known.
	KNOWS,
};

struct wanted {
	node_id node;
	uint8_t knowledge;
	uint8_t n_asked; // While it is presumed.
};

TAILQ_HEAD(probe_queue, vip_probe);

struct vip_probe {
	struct vip_prober *prober;
	struct vip_probe_config config;
	unsigned n_owners;
	struct wanted *nodes; // [n_nodes], in rising order.
	size_t n_nodes;
	size_t n_silent; // Of these,
	size_t n_unsure; // and with those that are presumed to know.
	size_t next;     // To be asked in this round.
	bool is_told;
	uint64_t since_ns;       // If told.
	uint64_t pause_ns;       // After this round,
	struct loop_timer pause; // which waits meanwhile.
	TAILQ_ENTRY(vip_probe) link;
	struct probe_queue *queue; // Where it waits for its turn, or NULL.
};

// A SYN that was sent. Its sequence number says where in the ring it is.
struct sent {
	struct vip_probe *probe; // NULL for none.
	uint32_t sequence;
	node_id node;
};

struct vip_prober {
	struct vip_prober_config config;
	void *probes; // Tree.
	size_t n_probes;
	size_t n_silent;
	uint64_t n_asked;
	uint64_t n_answered;
	uint64_t tokens_ns;        // When the bucket was empty, if nothing had been taken since.
	struct probe_queue urgent; // Some of their nodes are silent;
	struct probe_queue others; // all of theirs are used.
	struct loop_timer turn;    // Waits while one of these has some.

	// From the first question on, else -1. Closing them would hold the loop: the kernel waits
	// for all that looks at them.
	int send_fd;
	int receive_fds[N_FAMILIES];
	uint16_t sequence_high;
	uint16_t sequence_low; // Of the next.
	struct sent sent[SENT_MAX];
};

// The wire
// ========

static void close_socket(struct vip_prober *p, int *fd)
{
	if (*fd < 0)
		return;
	loop_forget(p->config.loop, *fd);
	close(*fd);
	*fd = -1;
}

static void close_sockets(struct vip_prober *p)
{
	close_socket(p, &p->send_fd);
	for (enum family f = IPV4; f < N_FAMILIES; f++)
		close_socket(p, &p->receive_fds[f]);
}

static int listen_to(struct vip_prober *p, enum family family, loop_fd_fn *fn)
{
	struct sock_filter filter[VIP_PROBE_FILTER_MAX];
	uint16_t n = vip_probe_filter_write(family, p->sequence_high, filter);
	struct sock_fprog program = {n, filter};
	struct sockaddr_ll any = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(family == IPV4 ? ETH_P_IP : ETH_P_IPV6),
	};

	// Protocol 0: nothing is received before the filter is there.
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	p->receive_fds[family] = fd;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ||
		bind(fd, (void *)&any, sizeof(any)) < 0)
		return -errno;
	return loop_watch(p->config.loop, fd, EPOLLIN, "answer about a VIP", fn, p);
}

static void take_answers(void *argument, uint32_t events, uint64_t now_ns);

static int open_sockets(struct vip_prober *p)
{
	if (getrandom(&p->sequence_high, sizeof(p->sequence_high), 0) < 0)
		return -errno;
	p->send_fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->send_fd < 0)
		return -errno;
	int r = listen_to(p, IPV4, take_answers);
	return r < 0 ? r : listen_to(p, IPV6, take_answers);
}

static bool start_asking(struct vip_prober *p)
{
	if (p->send_fd >= 0)
		return true;
	int r = open_sockets(p);
	if (r == 0)
		return true;
	log_about("vip probe", LEVEL_WARNING,
		"nodes cannot be asked whether they know a VIP, and get no packets to it: %s",
		strerror(-r));
	close_sockets(p);
	return false;
}

// By the first twin that takes it: workers send it on to the node, whichever it came by. The MAC
// address is nobody's; it is not looked at.
static bool send_packet(struct vip_prober *p, const struct vip_probe_packet *packet)
{
	uint8_t bytes[VIP_PROBE_PACKET_MAX];
	size_t len = vip_probe_packet_write(packet, bytes);
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(address_family(&packet->vip) == IPV4 ? ETH_P_IP : ETH_P_IPV6),
		.sll_halen = ETH_ALEN,
		.sll_addr = {2},
	};

	for (size_t i = 0; i < p->config.n_ports; i++) {
		to.sll_ifindex = (int)if_nametoindex(p->config.ports[i].twin);
		if (to.sll_ifindex != 0 &&
			sendto(p->send_fd, bytes, len, 0, (void *)&to, sizeof(to)) == (ssize_t)len)
			return true;
	}
	return false;
}

// Which of our addresses the node would answer: none if the kernel has no way to it, or if it is
// this machine itself, who would not believe a packet from its own address.
static struct address source_towards(const struct address *node)
{
	struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	enum family family = address_family(node);
	struct address source = {0};
	socklen_t len = sizeof(to);

	to4.sin_addr.s_addr = node->words[3];
	memcpy(&to.sin6_addr, node, sizeof(to.sin6_addr));
	int fd = socket(family == IPV4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return source;
	bool is_known = family == IPV4 ? connect(fd, (void *)&to4, sizeof(to4)) == 0
				       : connect(fd, (void *)&to, sizeof(to)) == 0;
	if (is_known && getsockname(fd, (void *)&to, &len) == 0)
		source = family == IPV4
			? address_from_ipv4(((struct sockaddr_in *)&to)->sin_addr.s_addr)
			: address_from_ipv6(&to.sin6_addr);
	close(fd);
	return address_equal(&source, node) ? (struct address){0} : source;
}

static struct address find_source(const struct vip_probe *probe, node_id node)
{
	const struct vip_prober_config *config = &probe->prober->config;
	struct address address =
		config->address_of(config->argument, node, address_family(&probe->config.vip));

	return address_is_none(&address) ? address : source_towards(&address);
}

// Who knows
// =========

static struct wanted *find_wanted(const struct vip_probe *probe, node_id node)
{
	size_t low = 0, high = probe->n_nodes;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (probe->nodes[middle].node == node)
			return &probe->nodes[middle];
		if (probe->nodes[middle].node < node)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void set_silent(struct vip_probe *probe, size_t n)
{
	probe->prober->n_silent += n - probe->n_silent;
	probe->n_silent = n;
}

static void learn(struct vip_probe *probe, struct wanted *wanted)
{
	struct vip_prober *p = probe->prober;
	bool was_silent = wanted->knowledge == SILENT;

	if (wanted->knowledge == KNOWS)
		return;
	wanted->knowledge = KNOWS;
	probe->n_unsure--;
	if (!was_silent)
		return;
	set_silent(probe, probe->n_silent - 1);
	p->config.learnt(p->config.argument);
}

// Those that are wanted by now.
static void presume(struct vip_probe *probe)
{
	struct vip_prober *p = probe->prober;

	if (probe->n_silent == 0)
		return;
	for (size_t i = 0; i < probe->n_nodes; i++) {
		if (probe->nodes[i].knowledge == SILENT)
			probe->nodes[i].knowledge = PRESUMED;
	}
	set_silent(probe, 0);
	p->config.learnt(p->config.argument);
}

// One more question is about to be asked.
static void doubt(struct vip_probe *probe, struct wanted *wanted)
{
	struct vip_prober *p = probe->prober;

	if (wanted->knowledge != PRESUMED || wanted->n_asked++ < QUESTIONS_PRESUMED)
		return;
	wanted->knowledge = SILENT;
	set_silent(probe, probe->n_silent + 1);
	p->config.learnt(p->config.argument);
}

static void close_connection(struct vip_prober *p, const struct sent *sent)
{
	struct vip_probe_packet reset = {
		.source = find_source(sent->probe, sent->node),
		.vip = sent->probe->config.vip,
		.port = sent->probe->config.port,
		.sequence = sent->sequence + 1,
		.node = sent->node,
		.is_reset = true,
	};

	if (!address_is_none(&reset.source))
		send_packet(p, &reset);
}

static void take_answer(struct vip_prober *p, const struct vip_probe_answer *answer)
{
	struct sent sent = p->sent[answer->sequence % SENT_MAX];

	if (sent.probe == NULL || sent.sequence != answer->sequence)
		return;
	p->n_answered++;
	if (answer->is_connection)
		close_connection(p, &sent);
	struct wanted *wanted = find_wanted(sent.probe, sent.node);
	if (wanted != NULL)
		learn(sent.probe, wanted);
}

// Of whichever family has some.
static void take_answers(void *argument, uint32_t, uint64_t)
{
	struct vip_prober *p = argument;
	uint8_t bytes[PACKET_MAX];
	struct vip_probe_answer answer;

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		for (int i = 0; i < ANSWERS_A_STEP; i++) {
			ssize_t n = recv(p->receive_fds[f], bytes, sizeof(bytes), 0);

			if (n < 0)
				break;
			if (vip_probe_answer_read(f, bytes, (size_t)n, &answer))
				take_answer(p, &answer);
		}
	}
}

// Who is asked
// ============

static bool take_token(struct vip_prober *p, uint64_t now_ns)
{
	uint64_t full_ns = now_ns - TOKENS_MAX * TOKEN_NS;

	if (p->tokens_ns < full_ns)
		p->tokens_ns = full_ns;
	if (p->tokens_ns + TOKEN_NS > now_ns)
		return false;
	p->tokens_ns += TOKEN_NS;
	return true;
}

// The last is left out: what answers it would begin with another upper half.
static uint32_t next_sequence(struct vip_prober *p)
{
	if (++p->sequence_low == UINT16_MAX)
		p->sequence_low = 0;
	return (uint32_t)p->sequence_high << 16 | p->sequence_low;
}

static void ask(struct vip_probe *probe, struct wanted *wanted, const struct address *source)
{
	struct vip_prober *p = probe->prober;
	struct vip_probe_packet syn = {
		.source = *source,
		.vip = probe->config.vip,
		.port = probe->config.port,
		.sequence = next_sequence(p),
		.node = wanted->node,
	};

	p->sent[syn.sequence % SENT_MAX] = (struct sent){probe, syn.sequence, wanted->node};
	if (!send_packet(p, &syn))
		return;
	p->n_asked++;
	doubt(probe, wanted);
}

// Of a node that cannot be asked only time tells.
static void ask_or_wait(struct vip_probe *probe, struct wanted *wanted, uint64_t now_ns)
{
	struct address source = {0};

	if (probe->config.port != 0)
		source = find_source(probe, wanted->node);
	if (!address_is_none(&source))
		ask(probe, wanted, &source);
	else if (now_ns >= probe->since_ns + BY_TIME_NS)
		learn(probe, wanted);
}

// Asks a few. Returns false if no more may be asked now.
static bool ask_some(struct vip_probe *probe, uint64_t now_ns)
{
	for (int n = 0; n < QUESTIONS_A_TURN && probe->next < probe->n_nodes; probe->next++) {
		struct wanted *wanted = &probe->nodes[probe->next];
		bool is_question = probe->config.port != 0;

		if (wanted->knowledge == KNOWS)
			continue;
		if (is_question && !take_token(probe->prober, now_ns))
			return false;
		ask_or_wait(probe, wanted, now_ns);
		n += is_question;
	}
	return true;
}

// Turns

static struct vip_probe *whose_turn(const struct vip_prober *p)
{
	return TAILQ_EMPTY(&p->urgent) ? TAILQ_FIRST(&p->others) : TAILQ_FIRST(&p->urgent);
}

static void set_turn(struct vip_prober *p, uint64_t due_ns)
{
	loop_timer_set(p->config.loop, &p->turn, due_ns);
}

static void leave_queue(struct vip_probe *probe)
{
	if (probe->queue != NULL)
		TAILQ_REMOVE(probe->queue, probe, link);
	probe->queue = NULL;
}

static void wait_for_turn(struct vip_probe *probe)
{
	struct vip_prober *p = probe->prober;

	leave_queue(probe);
	probe->queue = probe->n_silent > 0 ? &p->urgent : &p->others;
	TAILQ_INSERT_TAIL(probe->queue, probe, link);
}

static void pause_for(struct vip_probe *probe, uint64_t now_ns, uint64_t pause_ns)
{
	leave_queue(probe);
	loop_timer_set(probe->prober->config.loop, &probe->pause, now_ns + pause_ns);
}

static void end_round(struct vip_probe *probe, uint64_t now_ns)
{
	probe->next = 0;
	if (probe->n_unsure == 0) {
		leave_queue(probe);
		return;
	}
	pause_for(probe, now_ns, probe->pause_ns);
	probe->pause_ns =
		probe->pause_ns * 2 < ROUND_LONGEST_NS ? probe->pause_ns * 2 : ROUND_LONGEST_NS;
}

// Returns false if no more may be asked now.
static bool take_turn(struct vip_probe *probe, uint64_t now_ns)
{
	if (probe->config.port != 0 && !start_asking(probe->prober)) {
		pause_for(probe, now_ns, ROUND_LONGEST_NS);
		return true;
	}
	if (!ask_some(probe, now_ns))
		return false;
	if (probe->next < probe->n_nodes)
		wait_for_turn(probe);
	else
		end_round(probe, now_ns);
	return true;
}

static void take_turns(void *argument, uint64_t now_ns)
{
	struct vip_prober *p = argument;

	if (whose_turn(p) == NULL)
		return;
	// A worker that still forwards by an older table might give the SYN to any node.
	if (!p->config.may_ask(p->config.argument)) {
		set_turn(p, now_ns + WAIT_NS);
		return;
	}
	for (int i = 0; i < TURNS_A_STEP && whose_turn(p) != NULL; i++) {
		if (!take_turn(whose_turn(p), now_ns)) {
			set_turn(p, now_ns + TOKEN_NS);
			return;
		}
	}
	if (whose_turn(p) != NULL)
		set_turn(p, now_ns);
}

static void begin_round(struct vip_probe *probe, uint64_t now_ns)
{
	struct vip_prober *p = probe->prober;

	wait_for_turn(probe);
	if (!loop_timer_waits(&p->turn))
		set_turn(p, now_ns);
}

static void end_pause(void *argument, uint64_t now_ns)
{
	struct vip_probe *probe = argument;

	if (probe->n_unsure > 0)
		begin_round(probe, now_ns);
}

static void begin_rounds(struct vip_probe *probe)
{
	probe->next = 0;
	probe->pause_ns = ROUND_NS;
	loop_timer_cancel(probe->prober->config.loop, &probe->pause);
	leave_queue(probe);
	if (probe->is_told && probe->n_unsure > 0)
		begin_round(probe, loop_clock_ns());
}

void vip_probe_tell(struct vip_probe *probe, uint64_t since_ns)
{
	if (probe->is_told)
		return;
	probe->is_told = true;
	probe->since_ns = since_ns;
	if (since_ns == 0)
		presume(probe);
	begin_rounds(probe);
}

static bool wants_just(const struct vip_probe *probe, const node_id *nodes, size_t n_nodes)
{
	if (n_nodes != probe->n_nodes)
		return false;
	for (size_t i = 0; i < n_nodes; i++) {
		if (probe->nodes[i].node != nodes[i])
			return false;
	}
	return true;
}

void vip_probe_want(struct vip_probe *probe, const node_id *nodes, size_t n_nodes)
{
	if (wants_just(probe, nodes, n_nodes))
		return;

	struct wanted *wanted = calloc(n_nodes + 1, sizeof(*wanted));
	if (wanted == NULL)
		return; // The next table asks again.

	size_t n_silent = 0, n_unsure = 0;
	for (size_t i = 0; i < n_nodes; i++) {
		const struct wanted *before = find_wanted(probe, nodes[i]);

		wanted[i] = before != NULL ? *before : (struct wanted){.node = nodes[i]};
		n_silent += wanted[i].knowledge == SILENT;
		n_unsure += wanted[i].knowledge != KNOWS;
	}
	free(probe->nodes);
	probe->nodes = wanted;
	probe->n_nodes = n_nodes;
	probe->n_unsure = n_unsure;
	set_silent(probe, n_silent);
	begin_rounds(probe);
}

bool vip_probe_knows(const struct vip_probe *probe, node_id node)
{
	const struct wanted *wanted = find_wanted(probe, node);

	return wanted != NULL && wanted->knowledge != SILENT;
}

bool vip_probe_is_done(const struct vip_probe *probe, const node_id *nodes, size_t n_nodes)
{
	return probe->n_silent == 0 && wants_just(probe, nodes, n_nodes);
}

// Probes
// ======

static int compare_probes(const void *left, const void *right)
{
	const struct vip_probe_config *a = left, *b = right;
	int by_name = strcmp(a->name, b->name);
	int by_vip = memcmp(&a->vip, &b->vip, sizeof(a->vip));

	if (by_name != 0 || by_vip != 0)
		return by_name != 0 ? by_name : by_vip;
	if (a->port != b->port)
		return a->port - b->port;
	return a->mode != b->mode ? (int)a->mode - (int)b->mode
				  : (int)a->tunnel_kind - (int)b->tunnel_kind;
}

static struct vip_probe *find_probe(
	const struct vip_prober *p, const struct vip_probe_config *config)
{
	void **place = tfind(config, &p->probes, compare_probes);

	return place == NULL ? NULL
			     : (void *)((uint8_t *)*place - offsetof(struct vip_probe, config));
}

static struct vip_probe *add_probe(struct vip_prober *p, const struct vip_probe_config *config)
{
	struct vip_probe *probe = calloc(1, sizeof(*probe));

	if (probe == NULL)
		return NULL;
	probe->prober = p;
	probe->config = *config;
	probe->pause = (struct loop_timer){
		.name = "nodes may have learnt a VIP", .fn = end_pause, .argument = probe};
	if (tsearch(&probe->config, &p->probes, compare_probes) == NULL) {
		free(probe);
		return NULL;
	}
	p->n_probes++;
	return probe;
}

struct vip_probe *vip_probe_acquire(
	struct vip_prober *prober, const struct vip_probe_config *config)
{
	struct vip_probe *probe = find_probe(prober, config);

	if (probe == NULL)
		probe = add_probe(prober, config);
	if (probe != NULL)
		probe->n_owners++;
	return probe;
}

static void forget_sent(struct vip_prober *p, const struct vip_probe *probe)
{
	for (size_t i = 0; i < SENT_MAX; i++) {
		if (p->sent[i].probe == probe)
			p->sent[i].probe = NULL;
	}
}

void vip_probe_release(struct vip_probe *probe)
{
	if (probe == NULL || --probe->n_owners > 0)
		return;

	struct vip_prober *p = probe->prober;

	loop_timer_cancel(p->config.loop, &probe->pause);
	leave_queue(probe);
	tdelete(&probe->config, &p->probes, compare_probes);
	p->n_probes--;
	set_silent(probe, 0);
	forget_sent(p, probe);
	free(probe->nodes);
	free(probe);
}

struct vip_prober *vip_prober_create(const struct vip_prober_config *config)
{
	struct vip_prober *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->config = *config;
	TAILQ_INIT(&p->urgent);
	TAILQ_INIT(&p->others);
	p->turn = (struct loop_timer){
		.name = "ask nodes about VIPs", .fn = take_turns, .argument = p};
	p->send_fd = p->receive_fds[IPV4] = p->receive_fds[IPV6] = -1;
	return p;
}

void vip_prober_destroy(struct vip_prober *prober)
{
	if (prober == NULL)
		return;
	loop_timer_cancel(prober->config.loop, &prober->turn);
	close_sockets(prober);
	free(prober);
}

void vip_prober_read_status(const struct vip_prober *prober, struct vip_prober_status *ret_status)
{
	*ret_status = (struct vip_prober_status){
		.n_probes = prober->n_probes,
		.n_silent = prober->n_silent,
		.n_asked = prober->n_asked,
		.n_answered = prober->n_answered,
	};
}
