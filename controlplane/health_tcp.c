#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "probe.h"

// A check by TCP: the handshake, then an ordinary end. A RST would leave less behind, but there are
// servers that write each into their log.

static socklen_t socket_address(const struct probe_config *config, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (address_is_ipv4(&config->address)) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(config->port);
		in->sin_addr.s_addr = config->address.words[3];
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(config->port);
	memcpy(&in6->sin6_addr, config->address.bytes, sizeof(in6->sin6_addr));
	return sizeof(*in6);
}

const char *probe_error_words(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return "connection refused";
	case ECONNRESET:
		return "connection reset";
	case EHOSTUNREACH:
		return "no route to the host, or no answer to ARP";
	case ENETUNREACH:
		return "no route to the network";
	default:
		return strerror(error);
	}
}

static void conclude(struct probe *probe, int error, uint64_t now_ns)
{
	bool lives = error == ECONNREFUSED && probe->config.check.kind == CHECK_NODE_PORT;
	struct answer answer = {.verdict = error == 0 ? VERDICT_UP
			: lives                       ? VERDICT_REFUSING
						      : VERDICT_DOWN};

	if (error != 0)
		snprintf(answer.reason, sizeof(answer.reason), "%s", probe_error_words(error));
	probe_answer(probe, &answer, now_ns);
}

static void connected(void *argument, uint32_t, uint64_t now_ns)
{
	struct probe *probe = argument;
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	conclude(probe, error, now_ns);
}

// Returns 0 while it waits for the handshake, or -errno.
static int begin(struct probe *probe)
{
	struct sockaddr_storage to;
	socklen_t len = socket_address(&probe->config, &to);

	probe->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe->fd < 0)
		return -errno;
	if (connect(probe->fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
		return -errno;
	return loop_watch(
		health_loop(probe->health), probe->fd, EPOLLOUT, "tcp check", connected, probe);
}

void tcp_check_begin(struct probe *probe, uint64_t now_ns)
{
	int r = begin(probe);
	if (r == -ECONNREFUSED)
		conclude(probe, -r, now_ns);
	else if (r < 0)
		probe_unable(probe, -r, now_ns);
}

void tcp_check_end(struct probe *probe)
{
	if (probe->fd < 0)
		return;

	loop_forget(health_loop(probe->health), probe->fd);
	close(probe->fd);
	probe->fd = -1;
}
