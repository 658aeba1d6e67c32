#include "lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	SKIPPED = 77,
	COMMAND_MAX = 1024,
	TRIAL_LIMIT_S = 30,
	OUR_TYPE = 0x88b5, // IEEE 802: for local experiments.
	FRAME_HEAD = 14,
	CARRIED_MS = 5000, // At most: a busy machine may let a worker wait for a second.
};

void require_that(bool condition, const char *text, const char *file, int line)
{
	if (condition)
		return;
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, text);
	_exit(1);
}

static void run_child(void (*body)(void))
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(TRIAL_LIMIT_S);
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		_exit(SKIPPED);
	// Nothing but what we send is to be on the wires.
	shell("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
	body();
	_exit(0);
}

void try_out(void (*body)(void))
{
	int status;

	fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		run_child(body);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

void shell(const char *format, ...)
{
	char command[COMMAND_MAX];
	va_list values;

	va_start(values, format);
	vsnprintf(command, sizeof(command), format, values);
	va_end(values);
	if (system(command) != 0) {
		fprintf(stderr, "fails: %s\n", command);
		_exit(1);
	}
}

static unsigned first_cpu(void)
{
	unsigned cpu = 0;
	cpu_set_t allowed;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	while (!CPU_ISSET(cpu, &allowed))
		cpu++;
	return cpu;
}

struct dataplane_config lab_config(const char *device, size_t n_workers)
{
	struct dataplane_config config = {
		.n_ports = 1,
		.n_workers = n_workers,
		.flows_max = {4096, 4096},
		.services_max = 64,
		.nodes_max = 64,
		.hash_key = {0x0123456789abcdef, 0xfedcba9876543210},
	};

	snprintf(config.instance, sizeof(config.instance), "test-%d", getpid());
	snprintf(config.ports[0].device, sizeof(config.ports[0].device), "%s", device);
	snprintf(config.ports[0].twin, sizeof(config.ports[0].twin), "gw0");
	config.ports[0].mtu = 1500;
	for (size_t i = 0; i < n_workers; i++)
		config.worker_cpus[i] = first_cpu();
	return config;
}

struct dataplane *lab_start(const struct dataplane_config *config)
{
	struct dataplane *dp = NULL;
	char why[WHY_MAX] = "";

	if (dataplane_start(config, &dp, why) < 0) {
		fprintf(stderr, "does not start: %s\n", why);
		_exit(1);
	}
	return dp;
}

struct wire wire_open(const char *interface)
{
	struct wire wire = {.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL))};
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(interface),
	};
	struct packet_mreq all = {
		.mr_ifindex = address.sll_ifindex,
		.mr_type = PACKET_MR_PROMISC,
	};

	snprintf(wire.name, sizeof(wire.name), "%s", interface);
	require(address.sll_ifindex != 0);
	require(bind(wire.fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	require(setsockopt(wire.fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) == 0);
	return wire;
}

void wire_send(const struct wire *wire, const void *bytes, size_t len)
{
	ssize_t sent;

	do
		sent = send(wire->fd, bytes, len, 0);
	while (sent < 0 && errno == ENOBUFS);
	require(sent == (ssize_t)len);
}

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Not what went out.
static size_t take_incoming(const struct wire *wire, void *ret_bytes)
{
	struct sockaddr_ll from;
	socklen_t from_len = sizeof(from);
	ssize_t len = recvfrom(wire->fd, ret_bytes, FRAME_BYTES_MAX, MSG_DONTWAIT,
		(struct sockaddr *)&from, &from_len);

	return len > 0 && from.sll_pkttype != PACKET_OUTGOING ? (size_t)len : 0;
}

size_t wire_receive(const struct wire *wire, void *ret_bytes, int wait_ms)
{
	struct pollfd poll_fd = {.fd = wire->fd, .events = POLLIN};
	int64_t until = now_ms() + wait_ms;

	for (int64_t left = wait_ms; left >= 0; left = until - now_ms()) {
		if (poll(&poll_fd, 1, (int)left) <= 0)
			continue;
		size_t len = take_incoming(wire, ret_bytes);
		if (len > 0)
			return len;
	}
	return 0;
}

bool wire_carries(const struct wire *from, const struct wire *to, const uint8_t mac[6], size_t len)
{
	static uint8_t sent[FRAME_BYTES_MAX], received[FRAME_BYTES_MAX];
	static const uint8_t source[6] = {0x02, 0, 0, 0, 0, 0x77};
	static const uint8_t type[2] = {OUR_TYPE >> 8, OUR_TYPE & 0xff};
	static uint8_t seed;

	memcpy(sent, mac, 6);
	memcpy(sent + 6, source, 6);
	memcpy(sent + 12, type, 2);
	seed++;
	for (size_t i = FRAME_HEAD; i < len; i++)
		sent[i] = (uint8_t)(i * 7 + i / 256 + seed);

	wire_send(from, sent, len);
	for (;;) {
		size_t n = wire_receive(to, received, CARRIED_MS);

		if (n == 0)
			return false;
		if (n == len && memcmp(sent, received, len) == 0)
			return true;
	}
}

bool holds_within(int wait_ms, bool (*condition)(void *), void *argument)
{
	int64_t until = now_ms() + wait_ms;

	while (!condition(argument)) {
		if (now_ms() > until)
			return false;
		usleep(1000);
	}
	return true;
}
