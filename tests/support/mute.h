#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guideway/address.h"

// A TCP port that gives no answer, not even a refusal: a listener whose queue of one is full, so
// that the kernel drops every SYN.

struct mute {
	int listener;
	int waiting[2]; // Connections that nobody accepts.
	uint16_t port;  // Host byte order.
};

// At an IPv4 address.
static inline int mute_start(struct mute *mute, const struct address *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = address->words[3]};
	socklen_t len = sizeof(at);

	mute->listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(mute->listener, (struct sockaddr *)&at, len) < 0 || listen(mute->listener, 0) < 0)
		return -1;
	getsockname(mute->listener, (struct sockaddr *)&at, &len);
	mute->port = ntohs(at.sin_port);
	for (int i = 0; i < 2; i++) {
		mute->waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(mute->waiting[i], (struct sockaddr *)&at, len);
	}
	return 0;
}

static inline void mute_stop(struct mute *mute)
{
	close(mute->listener);
	close(mute->waiting[0]);
	close(mute->waiting[1]);
}
