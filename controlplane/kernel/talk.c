#include "talk.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "rtnl.h"

enum {
	ANSWER_MAX = 64 << 10,
	PATIENCE_S = 5,
	DUMPS_MAX = 10,
};

struct talk {
	struct mnl_socket *socket;
	uint32_t seq;
	char answer[ANSWER_MAX];
};

static int open_socket(struct talk *t, int bus)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	int yes = 1;

	t->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (t->socket == NULL || mnl_socket_bind(t->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	if (setsockopt(mnl_socket_get_fd(t->socket), SOL_SOCKET, SO_RCVTIMEO, &patience,
		    sizeof(patience)) < 0)
		return -errno;
	if (bus == NETLINK_ROUTE) // Linux 4.20.
		(void)mnl_socket_setsockopt(t->socket, NETLINK_GET_STRICT_CHK, &yes, sizeof(yes));
	return 0;
}

int talk_open(int bus, struct talk **ret_talk)
{
	struct talk *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;

	int r = open_socket(t, bus);
	if (r < 0) {
		talk_close(t);
		return r;
	}
	*ret_talk = t;
	return 0;
}

void talk_close(struct talk *t)
{
	if (t == NULL)
		return;
	if (t->socket != NULL)
		mnl_socket_close(t->socket);
	free(t);
}

static ssize_t receive(struct talk *t)
{
	ssize_t len;

	do
		len = mnl_socket_recvfrom(t->socket, t->answer, sizeof(t->answer));
	while (len < 0 && errno == EINTR);
	return len < 0 ? (errno == EAGAIN ? -ETIMEDOUT : -errno) : len;
}

int talk_ask_all(struct talk *t, const void *messages, size_t len_bytes, size_t n)
{
	size_t n_answers = 0;
	int failed = 0;

	if (mnl_socket_sendto(t->socket, messages, len_bytes) < 0)
		return -errno;
	while (n_answers < n) {
		ssize_t received = receive(t);
		if (received < 0)
			return (int)received;

		int len = (int)received;
		const struct nlmsghdr *answer = (const void *)t->answer;
		for (; mnl_nlmsg_ok(answer, len); answer = mnl_nlmsg_next(answer, &len)) {
			if (answer->nlmsg_type != NLMSG_ERROR)
				continue;
			n_answers++;
			if (failed == 0)
				failed = rtnl_error(answer);
		}
		// A batch that is refused as a whole is answered once.
		if (failed < 0)
			return failed;
	}
	return 0;
}

int talk_ask(struct talk *t, struct nlmsghdr *message)
{
	message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	message->nlmsg_seq = ++t->seq;
	return talk_ask_all(t, message, message->nlmsg_len, 1);
}

// Returns 1 when the dump is over, 0 while it is not, -EAGAIN if it cannot be relied on, or -errno.
static int take_dumped(
	struct talk *t, ssize_t received, bool *interrupted, talk_fn *each, void *context)
{
	const struct nlmsghdr *message = (const void *)t->answer;
	int len = (int)received;

	for (; mnl_nlmsg_ok(message, len); message = mnl_nlmsg_next(message, &len)) {
		if (message->nlmsg_seq != t->seq)
			continue;
		*interrupted |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
			int r = rtnl_error(message);
			return r < 0 ? r : *interrupted ? -EAGAIN : 1;
		}
		int r = each(context, message);
		if (r < 0)
			return r;
	}
	return 0;
}

static int dump_once(struct talk *t, uint16_t type, uint8_t family, talk_fn *each, void *context)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	const struct nlmsghdr *request = rtnl_dump_request(buffer, type, family, ++t->seq);
	bool interrupted = false;
	int r = 0;

	if (mnl_socket_sendto(t->socket, request, request->nlmsg_len) < 0)
		return -errno;
	while (r == 0) {
		ssize_t received = receive(t);
		r = received < 0 ? (int)received
				 : take_dumped(t, received, &interrupted, each, context);
	}
	return r < 0 ? r : 0;
}

int talk_dump(struct talk *t, uint16_t type, uint8_t family, talk_fn *each, void *context)
{
	int r = dump_once(t, type, family, each, context);

	for (unsigned i = 1; i < DUMPS_MAX && r == -EAGAIN; i++) {
		each(context, NULL);
		r = dump_once(t, type, family, each, context);
	}
	return r;
}
