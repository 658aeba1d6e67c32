// Clients that notice
// ===================
//
//     traffic [OPTION]... ADDRESS PORT
//
//     --udp           datagrams in place of TCP
//     --flows N       standing flows: opened at start, asking until the end, opened anew if broken
//     --every MS      how often each flow asks (default 100)
//     --new N         opens N more flows a second,
//     --asks K        each of which asks K times and closes (default 1)
//     --seconds S     how long (default 5); SIGTERM ends it sooner
//     --patience MS   how long an answer may take (default 1000)
//     --source A      the clients' address
//     --ports FIRST-LAST  source ports, each used once before any is used again
//     --reset         flows that have asked enough end with a RST, so that their ports are free at
//     once
//     --log FILE      a line for each answer and each disappointment:
//                     TIME PORT WHAT NODE ASKED, times as seconds since 1970; a first question is
//                     asked when the flow is opened
//
// Every flow asks "who are you?" of a node (node.c) or of a pod (agnhost, TCP only), again and
// again, and remembers the answer. At the end it prints
//
//     flows 100 asked 5000 answered 5000 lost 0 moved 0 broken 0 failed 0
//     node1 flows 52 answers 2600 broken 0
//     node2 flows 48 answers 2400 broken 0
//
// lost: datagrams without an answer; moved: flows answered by another node than before; broken: TCP
// flows that ended after an answer; failed: flows that ended before the first.

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	NAMES_MAX = 256, // Nodes that may answer.
	NAME_LEN = 64,
	ANSWER_MAX = 1024,
	WHEEL_SLOTS = 4096, // A slot is a millisecond; what is due later comes round again.
	EVENTS_MAX = 256,
	FILES_MAX = 131072,
};

#define NODE_NONE (-1)

static const char tcp_question[] = "GET /hostname HTTP/1.1\r\nHost: guideway\r\n\r\n";

struct options {
	bool udp, reset;
	uint64_t flows, every_ms, new_per_s, asks, seconds, patience_ms, first_port, last_port;
	const char *source, *log, *address, *port;
};

static struct options options = {
	.flows = 0, .every_ms = 100, .asks = 1, .seconds = 5, .patience_ms = 1000};

enum state { CONNECTING, ASKED, RESTING };

struct flow {
	int fd;
	enum state state;
	bool stands;
	int node; // Index into names[], or NODE_NONE before the first answer.
	uint16_t port;
	uint32_t n_asked;
	uint64_t due_ms;   // When its patience or its rest ends.
	double asked_at;   // Seconds since 1970.
	struct flow *next; // In its slot of the wheel,
	struct flow **prev;
	char answer[ANSWER_MAX];
	size_t n_answer;
};

static struct node_count {
	char name[NAME_LEN];
	uint64_t flows, answers, broken;
} nodes[NAMES_MAX];
static int n_nodes;

static struct {
	uint64_t flows, asked, answered, lost, moved, broken, failed;
} total;

static struct sockaddr_storage server, source;
static socklen_t server_len, source_len;
static struct flow *wheel[WHEEL_SLOTS];
static uint64_t tick_ms; // Of the wheel: all before it has been looked at.
static uint64_t next_port;
static int epoll_fd;
static FILE *log_file;
static volatile sig_atomic_t stopping;

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static double wall_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void say(const struct flow *f, const char *what)
{
	if (log_file == NULL)
		return;
	fprintf(log_file, "%.6f %u %s %s %.6f\n", wall_clock(), f->port, what,
		f->node == NODE_NONE ? "-" : nodes[f->node].name, f->asked_at);
}

static void wheel_remove(struct flow *f)
{
	if (f->prev == NULL)
		return;
	*f->prev = f->next;
	if (f->next != NULL)
		f->next->prev = f->prev;
	f->prev = NULL;
}

static void wheel_put(struct flow *f, uint64_t due_ms)
{
	struct flow **slot = &wheel[due_ms % WHEEL_SLOTS];

	wheel_remove(f);
	f->due_ms = due_ms;
	f->next = *slot;
	f->prev = slot;
	if (f->next != NULL)
		f->next->prev = &f->next;
	*slot = f;
}

static int node_named(const char *name, size_t len)
{
	for (int i = 0; i < n_nodes; i++) {
		if (strlen(nodes[i].name) == len && memcmp(nodes[i].name, name, len) == 0)
			return i;
	}
	if (n_nodes == NAMES_MAX || len >= NAME_LEN)
		return NODE_NONE;
	memcpy(nodes[n_nodes].name, name, len);
	return n_nodes++;
}

static void die(const char *what)
{
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static void bind_source(int fd, uint16_t *ret_port)
{
	if (options.first_port == 0 && options.source == NULL)
		return;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (options.first_port != 0) {
		*ret_port = (uint16_t)next_port;
		next_port = next_port == options.last_port ? options.first_port : next_port + 1;
	}
	// The port lies at the same place in both families.
	((struct sockaddr_in *)&source)->sin_port = htons(*ret_port);
	if (bind(fd, (struct sockaddr *)&source, source_len) < 0)
		die("bind");
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage a;

	getsockname(fd, (struct sockaddr *)&a, &(socklen_t){sizeof(a)});
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

static void ask(struct flow *f)
{
	char datagram[32];
	const char *question = tcp_question;
	size_t len = sizeof(tcp_question) - 1;

	if (options.udp) {
		len = (size_t)sprintf(datagram, "%u", f->n_asked);
		question = datagram;
	}
	f->state = ASKED;
	if (f->n_asked > 0)
		f->asked_at = wall_clock();
	f->n_asked++;
	f->n_answer = 0;
	total.asked++;
	// An error here is found by the read that follows.
	(void)!write(f->fd, question, len);
	wheel_put(f, now_ms() + options.patience_ms);
}

static void watch(struct flow *f, uint32_t events, int operation)
{
	epoll_ctl(
		epoll_fd, operation, f->fd, &(struct epoll_event){.events = events, .data.ptr = f});
}

static void open_flow(struct flow *f)
{
	f->node = NODE_NONE;
	f->n_asked = 0;
	f->port = 0;
	f->fd = socket(server.ss_family,
		(options.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->fd < 0)
		die("socket");
	bind_source(f->fd, &f->port);
	total.flows++;
	f->asked_at = wall_clock();
	if (connect(f->fd, (struct sockaddr *)&server, server_len) < 0 && errno != EINPROGRESS)
		die("connect");
	f->port = port_of(f->fd);
	if (options.udp) {
		watch(f, EPOLLIN, EPOLL_CTL_ADD);
		ask(f);
		return;
	}
	setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	f->state = CONNECTING;
	watch(f, EPOLLOUT, EPOLL_CTL_ADD);
	wheel_put(f, now_ms() + options.patience_ms);
}

static struct flow *new_flow(bool stands)
{
	struct flow *f = calloc(1, sizeof(*f));
	if (f == NULL)
		die("calloc");

	f->stands = stands;
	open_flow(f);
	return f;
}

// A flow is over: a standing one begins anew after a rest, others are gone.
static void end_flow(struct flow *f)
{
	if (options.reset)
		setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
			sizeof(struct linger));
	close(f->fd);
	f->fd = -1;
	wheel_remove(f);
	if (!f->stands) {
		free(f);
		return;
	}
	f->state = RESTING;
	wheel_put(f, now_ms() + options.every_ms);
}

static void disappoint(struct flow *f, const char *what)
{
	if (f->node == NODE_NONE) {
		total.failed++;
	} else {
		total.broken++;
		nodes[f->node].broken++;
	}
	say(f, what);
	end_flow(f);
}

static void take_answer(struct flow *f, const char *name, size_t len)
{
	int node = node_named(name, len);

	total.answered++;
	if (f->node == NODE_NONE)
		nodes[node].flows++;
	bool moved = f->node != NODE_NONE && f->node != node;
	total.moved += moved;
	f->node = node;
	nodes[node].answers++;
	say(f, moved ? "moved" : f->n_asked == 1 ? "first" : "answer");
	if (!f->stands && f->n_asked == options.asks) {
		end_flow(f);
		return;
	}
	f->state = RESTING;
	wheel_put(f, now_ms() + options.every_ms);
}

static void read_datagram(struct flow *f, size_t n)
{
	const char *space = memchr(f->answer, ' ', n);

	// An answer that comes after its patience was over is for an older question.
	if (space == NULL || strtoul(space + 1, NULL, 10) + 1 != f->n_asked)
		return;
	take_answer(f, f->answer, (size_t)(space - f->answer));
}

// A name ends with its body, or before: agnhost's has no newline.
static void read_stream(struct flow *f, size_t n)
{
	static const char length_name[] = "\r\nContent-Length: ";

	f->n_answer += n;
	f->answer[f->n_answer] = '\0';
	const char *length = strstr(f->answer, length_name);
	const char *body = strstr(f->answer, "\r\n\r\n");
	if (length == NULL || body == NULL)
		return;
	body += strlen("\r\n\r\n");
	if (strlen(body) >= strtoul(length + strlen(length_name), NULL, 10))
		take_answer(f, body, strcspn(body, "\n"));
}

static void read_flow(struct flow *f)
{
	size_t at = options.udp ? 0 : f->n_answer;
	ssize_t n = read(f->fd, f->answer + at, sizeof(f->answer) - 1 - at);

	if (n > 0) {
		f->answer[at + (size_t)n] = '\0';
		if (options.udp)
			read_datagram(f, (size_t)n);
		else
			read_stream(f, (size_t)n);
	} else if (n == 0) {
		disappoint(f, "closed");
	} else if (errno == ECONNRESET || errno == ECONNREFUSED) {
		disappoint(f, errno == ECONNRESET ? "reset" : "refused");
	} else if (errno != EAGAIN && errno != EINTR) {
		disappoint(f, "unreachable");
	}
}

static void connected(struct flow *f)
{
	int error = 0;

	getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof(error)});
	if (error != 0) {
		disappoint(f, error == ECONNREFUSED ? "refused" : "unreachable");
		return;
	}
	watch(f, EPOLLIN, EPOLL_CTL_MOD);
	ask(f);
}

static void lose(struct flow *f)
{
	if (!options.udp || f->node == NODE_NONE) {
		total.lost += options.udp;
		disappoint(f, "timeout");
		return;
	}
	total.lost++;
	say(f, "lost");
	ask(f);
}

static void due(struct flow *f)
{
	if (f->state != RESTING)
		lose(f);
	else if (f->fd < 0)
		open_flow(f);
	else
		ask(f);
}

static void turn_wheel(uint64_t now)
{
	for (; tick_ms <= now; tick_ms++) {
		struct flow *f = wheel[tick_ms % WHEEL_SLOTS];

		while (f != NULL) {
			// due() may free 'f', or put it into another slot or this one's front.
			struct flow *next = f->next;

			if (f->due_ms <= tick_ms) {
				wheel_remove(f);
				due(f);
			}
			f = next;
		}
	}
}

static void open_new_flows(uint64_t since_start_ms)
{
	static uint64_t n_opened;

	for (; n_opened < options.new_per_s * since_start_ms / 1000; n_opened++)
		new_flow(false);
}

static void stop(int signal)
{
	(void)signal;
	stopping = 1;
}

static void run(void)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t start_ms = now_ms();

	tick_ms = start_ms;
	for (uint64_t i = 0; i < options.flows; i++)
		new_flow(true);
	while (!stopping && now_ms() - start_ms < options.seconds * 1000) {
		int n = epoll_wait(epoll_fd, events, EVENTS_MAX, 1);

		for (int i = 0; i < n; i++) {
			struct flow *f = events[i].data.ptr;

			if (f->state == CONNECTING)
				connected(f);
			else
				read_flow(f);
		}
		turn_wheel(now_ms());
		open_new_flows(now_ms() - start_ms);
	}
}

static void print_totals(void)
{
	printf("flows %lu asked %lu answered %lu lost %lu moved %lu broken %lu failed %lu\n",
		total.flows, total.asked, total.answered, total.lost, total.moved, total.broken,
		total.failed);
	for (int i = 0; i < n_nodes; i++)
		printf("%s flows %lu answers %lu broken %lu\n", nodes[i].name, nodes[i].flows,
			nodes[i].answers, nodes[i].broken);
}

static void find_address(const char *host, const char *port, struct sockaddr_storage *ret_address,
	socklen_t *ret_len)
{
	struct addrinfo *found;
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM};

	if (getaddrinfo(host, port, &hints, &found) != 0) {
		fprintf(stderr, "traffic: %s port %s: not an address and a port\n", host, port);
		exit(EXIT_FAILURE);
	}
	memcpy(ret_address, found->ai_addr, found->ai_addrlen);
	*ret_len = found->ai_addrlen;
	freeaddrinfo(found);
}

static void parse_ports(const char *text)
{
	if (sscanf(text, "%lu-%lu", &options.first_port, &options.last_port) != 2) {
		fprintf(stderr, "traffic: %s: must be FIRST-LAST\n", text);
		exit(EXIT_FAILURE);
	}
}

// Takes one option; 'argument' is its value, if it has one.
static void take_option(int letter, const char *argument)
{
	uint64_t *numbers[] = {
		['f'] = &options.flows,
		['e'] = &options.every_ms,
		['n'] = &options.new_per_s,
		['a'] = &options.asks,
		['s'] = &options.seconds,
		['p'] = &options.patience_ms,
	};
	const size_t n_numbers = sizeof(numbers) / sizeof(numbers[0]);

	if ((size_t)letter < n_numbers && numbers[letter] != NULL)
		*numbers[letter] = strtoull(argument, NULL, 10);
	else if (letter == 'u')
		options.udp = true;
	else if (letter == 'R')
		options.reset = true;
	else if (letter == 'S')
		options.source = argument;
	else if (letter == 'P')
		parse_ports(argument);
	else if (letter == 'l')
		options.log = argument;
	else
		exit(EXIT_FAILURE);
}

static void parse_options(int argc, char **argv)
{
	static const struct option known[] = {
		{"udp", no_argument, NULL, 'u'},
		{"flows", required_argument, NULL, 'f'},
		{"every", required_argument, NULL, 'e'},
		{"new", required_argument, NULL, 'n'},
		{"asks", required_argument, NULL, 'a'},
		{"reset", no_argument, NULL, 'R'},
		{"seconds", required_argument, NULL, 's'},
		{"patience", required_argument, NULL, 'p'},
		{"source", required_argument, NULL, 'S'},
		{"ports", required_argument, NULL, 'P'},
		{"log", required_argument, NULL, 'l'},
		{NULL, 0, NULL, 0},
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1)
		take_option(letter, optarg);
	if (argc - optind != 2) {
		fprintf(stderr, "usage: traffic [OPTION]... ADDRESS PORT\n");
		exit(EXIT_FAILURE);
	}
	options.address = argv[optind];
	options.port = argv[optind + 1];
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){FILES_MAX, FILES_MAX});
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	next_port = options.first_port;
	find_address(options.address, options.port, &server, &server_len);
	find_address(options.source != NULL           ? options.source
			: server.ss_family == AF_INET ? "0.0.0.0"
						      : "::",
		"0", &source, &source_len);
	if (options.log != NULL && (log_file = fopen(options.log, "w")) == NULL)
		die(options.log);

	run();
	print_totals();
	return EXIT_SUCCESS;
}
