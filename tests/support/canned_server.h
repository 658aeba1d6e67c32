#pragma once

#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guideway/address.h"

// An HTTP server that gives every connection the same answer.

struct canned_server {
	const char *_Atomic head; // "503 Service Unavailable", and header lines if any.
	const char *_Atomic body;
	int listener;
	uint16_t port; // Host byte order.
	pthread_t thread;
};

static inline void *canned_server_run(void *argument)
{
	struct canned_server *server = argument;
	char request[2048];
	int fd;

	while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
		if (read(fd, request, sizeof(request)) > 0)
			dprintf(fd, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", server->head,
				strlen(server->body), server->body);
		close(fd);
	}
	return NULL;
}

// At an IPv4 address, and a port of its own if 'port' is 0.
static inline int canned_server_start(struct canned_server *server, const struct address *address,
	uint16_t port, const char *head, const char *body)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = address->words[3]};
	socklen_t len = sizeof(at);

	server->head = head;
	server->body = body;
	server->listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(server->listener, (struct sockaddr *)&at, len) < 0 ||
		listen(server->listener, 16) < 0)
		return -1;
	getsockname(server->listener, (struct sockaddr *)&at, &len);
	server->port = ntohs(at.sin_port);
	return pthread_create(&server->thread, NULL, canned_server_run, server);
}

static inline void canned_server_stop(struct canned_server *server)
{
	shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->listener);
}
