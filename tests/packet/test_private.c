#include "check.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "snat.h"

// What a worker writes while it forwards is its own, and nobody else reads it: so cores do not wait
// for each other's cache lines. Two workers forward in turn. The one whose turn it is may write its
// own memory and packets, may read nothing of the other's, and of all else in the process, shared
// or not, may only read. The kernel ends it at the first access that is more.
//
// A worker's memory is what its thread has allocated: the C library gives each thread an arena, and
// a mapping apart only to what is larger than LARGE_BYTES.

enum { LARGE_BYTES = 8 << 20 };

enum { N_WORKERS = 2, MAPPINGS_MAX = 1024, N_BURSTS_MAX = 64 };

// A sanitizer keeps notes of its own of every access.
#ifdef __SANITIZE_ADDRESS__
enum { IS_SANITIZED = true };
#else
enum { IS_SANITIZED = false };
#endif

struct burst_in {
	const char *name;
	uint16_t n;
	struct rte_mbuf *mbufs[BURST_MAX];
};

struct scene {
	struct world *world;
	struct world_worker *workers[N_WORKERS];
	size_t n_bursts;
	struct burst_in bursts[N_BURSTS_MAX];
};

// Workers
// =======

struct making {
	struct scene *scene;
	unsigned worker;
	pthread_barrier_t *all_are_made;
};

// A thread that ended would leave its arena to the next.
static void *make_worker(void *argument)
{
	struct making *m = argument;

	m->scene->workers[m->worker] = world_create_worker(m->scene->world, m->worker, false);
	pthread_barrier_wait(m->all_are_made);
	return NULL;
}

static void make_workers(struct scene *s)
{
	pthread_t threads[N_WORKERS];
	struct making makings[N_WORKERS];
	pthread_barrier_t all_are_made;

	pthread_barrier_init(&all_are_made, NULL, N_WORKERS);
	for (unsigned i = 0; i < N_WORKERS; i++) {
		makings[i] = (struct making){s, i, &all_are_made};
		assert_int_equal(pthread_create(&threads[i], NULL, make_worker, &makings[i]), 0);
	}
	for (unsigned i = 0; i < N_WORKERS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&all_are_made);
}

// Packets
// =======

static struct rte_mbuf *packet(struct world *w, const struct frame *frame)
{
	static uint8_t bytes[FRAME_BYTES_MAX];
	struct rte_ether_addr from = world_hop_mac(HOP_GATEWAY);
	size_t len = frame_write(frame, &from, &w->ports[0].mac, 0, 0, bytes);

	return world_packet(w, 0, bytes, len);
}

// As many as fill a burst, from as many ports of the client.
static struct burst_in *add_burst(struct scene *s, const char *name, const struct frame *frame)
{
	assert_true(s->n_bursts < N_BURSTS_MAX);
	struct burst_in *b = &s->bursts[s->n_bursts++];

	*b = (struct burst_in){.name = name};
	for (; b->n < BURST_MAX; b->n++) {
		struct frame f = *frame;

		if (f.layers[1].kind == LAYER_TCP || f.layers[1].kind == LAYER_UDP)
			f.layers[1].ports[0] = 20000 + b->n;
		b->mbufs[b->n] = packet(s->world, &f);
	}
	return b;
}

static void add_modes(struct scene *s, const char *client, const char *vip)
{
	static const struct {
		const char *name;
		uint16_t port;
	} services[] = {
		{"snat", PORT_HTTP},
		{"snat with affinity", PORT_SPREAD},
		{"dnat", PORT_DNAT},
		{"dsr", PORT_DSR},
		{"tunnel", PORT_TUNNEL},
		{"tunnel, other family", PORT_CROSS},
		{"tunnel, gue", PORT_GUE},
		{"tunnel, gue, other family", PORT_GUE_CROSS},
		{"waiting for a next hop", PORT_UNRESOLVED},
		{"rejected", 4711},
	};

	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
		const struct frame syn = FRAME(IP(client, vip), TCP(0, services[i].port, SYN));
		const struct frame data =
			FRAME(IP(client, vip), TCP(0, services[i].port, ACK), DATA(100));

		add_burst(s, services[i].name, &syn);
		add_burst(s, services[i].name, &data);
	}
	const struct frame datagram = FRAME(IP(client, vip), UDP(0, PORT_DNS), DATA(20));
	const struct frame large = FRAME(IP(client, vip), UDP(0, PORT_NARROW), DATA(1300));
	add_burst(s, "udp", &datagram);
	add_burst(s, "larger than the way out", &large);
}

// Of 'datagram', which is in two: the first half or the second.
static void make_fragment(struct rte_mbuf *m, uint16_t datagram, bool is_second)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, 14);
	uint16_t units = (rte_be_to_cpu_16(ip->total_length) - sizeof(*ip)) / 8;

	ip->packet_id = datagram;
	ip->fragment_offset = is_second ? rte_cpu_to_be_16(units) : RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
}

static void add_rare(struct scene *s)
{
	const struct frame arp = FRAME(ARP(1, CLIENT, VIP));
	const struct frame echo = FRAME(IP(CLIENT, VIP), ICMP(8, 0));
	const struct frame echo6 = FRAME(IP(CLIENT6, VIP6), ICMP(128, 0));
	const struct frame ssh = FRAME(IP(CLIENT, "198.51.100.1"), TCP(0, 22, SYN));
	const struct frame datagram = FRAME(IP(CLIENT, VIP), UDP(0, PORT_DNS), DATA(104));

	add_burst(s, "arp", &arp);
	add_burst(s, "echo", &echo);
	add_burst(s, "echo", &echo6);
	add_burst(s, "the kernel's", &ssh);
	struct burst_in *fragments = add_burst(s, "fragments", &datagram);
	for (uint16_t i = 0; i < fragments->n; i++)
		make_fragment(fragments->mbufs[i], i / 2, i % 2 != 0);
}

// Pages
// =====

struct mapping {
	uintptr_t start, end;
};

// What is lent to the process by the kernel's leave to write.
struct memory {
	size_t n;
	struct mapping mappings[MAPPINGS_MAX];
};

static void read_memory(struct memory *m)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512], rights[5];

	m->n = 0;
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		struct mapping *at = &m->mappings[m->n];

		if (sscanf(line, "%lx-%lx %4s", &at->start, &at->end, rights) == 3 &&
			rights[1] == 'w' && m->n < MAPPINGS_MAX - 1)
			m->n++;
	}
	if (file != NULL)
		fclose(file);
}

static bool has(const struct mapping *m, const void *address)
{
	return (uintptr_t)address >= m->start && (uintptr_t)address < m->end;
}

static void lend(const void *at, size_t len)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = RTE_ALIGN_FLOOR((uintptr_t)at, page);
	uintptr_t end = RTE_ALIGN_CEIL((uintptr_t)at + len, page);

	if (mprotect((void *)start, end - start, PROT_READ | PROT_WRITE) != 0)
		_exit(3);
}

static void lend_chunk(struct rte_mempool *, void *, struct rte_mempool_memhdr *chunk, unsigned)
{
	lend(chunk->addr, chunk->len);
}

// Of DPDK's heap the packets' part alone.
static void lend_packets(struct rte_mempool *buffers)
{
	const struct rte_ring *ring = buffers->pool_data;

	lend(buffers->mz->addr, buffers->mz->len);
	lend(ring->memzone->addr, ring->memzone->len);
	rte_mempool_mem_iter(buffers, lend_chunk, NULL);
}

// 'stack' is any address of the stack.
static void protect(
	const struct memory *memory, const struct scene *s, unsigned worker, const void *stack)
{
	for (size_t i = 0; i < memory->n; i++) {
		const struct mapping *m = &memory->mappings[i];
		int rights = PROT_READ;

		// The kernel itself writes to what a thread has of its own (rseq(2)).
		if (has(m, s->workers[worker]) || has(m, stack) || has(m, &errno))
			rights = PROT_READ | PROT_WRITE;
		else if (has(m, s->workers[!worker]))
			rights = PROT_NONE;
		if (mprotect((void *)m->start, m->end - m->start, rights) != 0)
			_exit(3);
	}
	lend_packets(s->world->buffers);
}

// Turns
// =====

// An access that was too much.
struct stray {
	const uint8_t *at;
	size_t burst; // In which it was.
};

static int report_to;
static const size_t *burst_now;

static void report(int, siginfo_t *info, void *)
{
	struct stray stray = {info->si_addr, *burst_now};
	ssize_t written = write(report_to, &stray, sizeof(stray));

	_exit(written == sizeof(stray) ? 1 : 3);
}

// What goes on to a next turn.
struct on_its_way {
	uint16_t n_handed, n_replies;
	struct rte_mbuf *handed[BURST_MAX], *replies[BURST_MAX];
};

static void take_outcome(struct outcome *out, unsigned worker, struct on_its_way *next)
{
	next->n_handed = RTE_MIN(out->n.handed[!worker], (uint16_t)BURST_MAX);
	memcpy(next->handed, out->handed[!worker], next->n_handed * sizeof(next->handed[0]));
	out->n.handed[!worker] = 0;

	next->n_replies = RTE_MIN(out->n.tx[1], (uint16_t)BURST_MAX);
	for (uint16_t i = 0; i < next->n_replies; i++)
		next->replies[i] = out->tx[1][--out->n.tx[1]];
	world_free_outcome(out);
}

// What went to a node, by port 1, comes back from it.
static void turn_round(struct on_its_way *next)
{
	for (uint16_t i = 0; i < next->n_replies; i++) {
		frame_turn_round(rte_pktmbuf_mtod(next->replies[i], uint8_t *));
		next->replies[i]->port = 1;
	}
}

static void take_turn(const struct memory *memory, const struct scene *s, unsigned worker,
	struct rte_mbuf **mbufs, uint16_t n, bool were_handed, struct on_its_way *next)
{
	struct world_worker *w = s->workers[worker];
	const struct forwarding_table *table = &s->world->table->table;

	protect(memory, s, worker, &w);
	outcome_empty(&w->out);
	if (were_handed)
		pipeline_forward_handed(&w->pipeline, table, mbufs, n, s->world->now_ns, &w->out);
	else
		pipeline_forward(
			&w->pipeline, table, mbufs, n, ORIGIN_PORT, s->world->now_ns, &w->out);
	snat_expire(&w->pipeline, table, clock_s(s->world->now_ns));
	take_outcome(&w->out, worker, next);
}

// Every burst comes to the first worker, and so do the replies to what he or the other has sent.
static void forward_burst(
	const struct memory *memory, const struct scene *s, struct rte_mbuf **mbufs, uint16_t n)
{
	struct on_its_way by_first, by_other, rest;

	take_turn(memory, s, 0, mbufs, n, false, &by_first);
	take_turn(memory, s, 1, by_first.handed, by_first.n_handed, true, &by_other);
	turn_round(&by_first);
	turn_round(&by_other);
	take_turn(memory, s, 0, by_first.replies, by_first.n_replies, false, &rest);
	rte_pktmbuf_free_bulk(rest.replies, rest.n_replies);
	take_turn(memory, s, 0, by_other.replies, by_other.n_replies, false, &rest);
	rte_pktmbuf_free_bulk(rest.replies, rest.n_replies);
	take_turn(memory, s, 1, rest.handed, rest.n_handed, true, &rest);
}

// A day later, until all that is left is over.
static void expire_all(const struct memory *memory, const struct scene *s, unsigned worker)
{
	const uint32_t day_s = 24 * 3600;
	uint32_t now_s = clock_s(s->world->now_ns);

	protect(memory, s, worker, &now_s);
	for (uint32_t later_s = day_s; later_s < 2 * day_s; later_s += day_s / 24)
		snat_expire(
			&s->workers[worker]->pipeline, &s->world->table->table, now_s + later_s);
}

// Whether there was what this is about, of packets in either direction: else nothing was to see.
static bool has_forwarded(const struct scene *s, unsigned worker)
{
	const struct worker_counters *counters = &s->workers[worker]->counters;
	uint64_t n_in = 0, n_out = 0;

	for (size_t i = 0; i < s->world->table->table.n_services; i++) {
		n_in += counters->services.in[i].packets;
		n_out += counters->services.out[i].packets;
	}
	return n_in > 0 && n_out > 0 && counters->events[EVENT_FLOWS_CREATED] > 0 &&
		counters->events[EVENT_FLOWS_EXPIRED] > 0 &&
		counters->events[EVENT_REASSEMBLED] > 0;
}

static _Noreturn void forward_all(struct scene *s, bool is_traffic)
{
	uint8_t stack[16384];
	stack_t alternative = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_sigaction = report, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct memory memory;

	size_t i = 0;

	burst_now = &i;
	sigaltstack(&alternative, NULL);
	sigaction(SIGSEGV, &action, NULL);
	read_memory(&memory);
	for (; i < s->n_bursts; i++)
		forward_burst(&memory, s, s->bursts[i].mbufs, s->bursts[i].n);
	for (unsigned i = 0; i < N_WORKERS; i++) {
		expire_all(&memory, s, i);
		if (is_traffic && !has_forwarded(s, i))
			_exit(2);
	}
	_exit(0);
}

// Returns one at no address if there was none. 'is_traffic' of which both workers have their part,
// in both directions.
static struct stray find_stray(struct scene *s, bool is_traffic)
{
	struct stray stray = {0};
	int pipe_ends[2], status;

	assert_int_equal(pipe(pipe_ends), 0);
	report_to = pipe_ends[1];
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		forward_all(s, is_traffic);

	close(pipe_ends[1]);
	ssize_t n = read(pipe_ends[0], &stray, sizeof(stray));
	close(pipe_ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == (n == sizeof(stray)));
	return stray;
}

// Cases
// =====

static struct scene *make_scene(void)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->world = world_create(N_WORKERS, false);
	for (size_t i = 0; i < s->world->table->table.n_services; i++) {
		if (s->world->table->services[i].port == RTE_BE16(PORT_SPREAD))
			s->world->table->services[i].affinity_s = 100;
	}
	make_workers(s);
	return s;
}

static void end_scene(struct scene *s)
{
	for (size_t i = 0; i < s->n_bursts; i++)
		rte_pktmbuf_free_bulk(s->bursts[i].mbufs, s->bursts[i].n);
	for (unsigned i = 0; i < N_WORKERS; i++)
		world_destroy_worker(s->workers[i]);
	world_destroy(s->world);
	free(s);
}

static void a_worker_writes_nothing_that_another_reads(void **)
{
	if (IS_SANITIZED)
		skip();
	struct scene *s = make_scene();

	add_modes(s, CLIENT, VIP);
	add_modes(s, CLIENT6, VIP6);
	add_rare(s);
	struct stray stray = find_stray(s, true);
	if (stray.at != NULL)
		print_error("an access too much, of '%s': at %p; the table is at %p, next hops at "
			    "%p, path MTUs at %p, workers at %p and %p\n",
			stray.burst < s->n_bursts ? s->bursts[stray.burst].name : "expiry",
			stray.at, s->world->table, s->world->next_hops, s->world->path_mtus,
			s->workers[0], s->workers[1]);
	assert_null(stray.at);
	end_scene(s);
}

// The one exception, of which there is one write for each node that a smaller MTU is learned of. It
// shows as well that a write would be seen.
static void what_it_learns_of_a_path_is_for_all(void **)
{
	const struct frame error = FRAME(IP("192.0.2.254", "192.0.2.2"), ICMP(3, 4, .rest = 1000),
		IP("192.0.2.2", "192.0.2.10"), UDP(50000, 6080));

	if (IS_SANITIZED)
		skip();
	struct scene *s = make_scene();

	add_burst(s, "too big", &error);
	struct stray stray = find_stray(s, false);
	const _Atomic uint64_t *written = (const _Atomic uint64_t *)stray.at;
	assert_true(written >= s->world->path_mtus &&
		written < s->world->path_mtus + LITTLE_NODES * N_FAMILIES);
	end_scene(s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_writes_nothing_that_another_reads),
		cmocka_unit_test(what_it_learns_of_a_path_is_for_all),
	};

	// Functions of libraries are looked up before, not at their first call, which writes.
	if (getenv("LD_BIND_NOW") == NULL && argc > 0) {
		setenv("LD_BIND_NOW", "1", 1);
		execv("/proc/self/exe", argv);
	}
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	world_start_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
