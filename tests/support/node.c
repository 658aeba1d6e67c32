// A node for the lab
// ==================
//
//     node NAME TCP_PORT UDP_PORT
//
// An HTTP server and a UDP echo that say who they are, on both families, until a signal ends them:
//
//     GET /          "NAME\n"
//     GET /client    the address that asks, as the node sees it
//     GET /bytes/N   N bytes, the same from every node: those that `node --bytes N` prints
//     PUT /...       "NAME DIGEST\n", the SHA-256 of what was sent
//     UDP datagram   "NAME " and the datagram
//
// One thread and one epoll, connections kept alive, nothing that can block.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	HEAD_MAX = 4096,
	CHUNK = 16384,
	EVENTS_MAX = 64,
	DIGEST_TEXT_MAX = 2 * EVP_MAX_MD_SIZE + 1,
	CONNECTIONS_MAX = 65536,
};

struct connection {
	int fd;
	char in[HEAD_MAX]; // A request's head, as far as it came.
	size_t n_in;
	char out[HEAD_MAX]; // What is still to be written, before 'body_left'.
	size_t n_out;
	size_t body_at; // Of GET /bytes/N: the next byte,
	size_t body_end;
	size_t upload_left; // Of PUT: bytes still to come.
	EVP_MD_CTX *digest; // Of PUT, else NULL.
	bool closing;       // After what is to be written.
};

static const char *name;
static int epoll_fd, tcp_fd, udp_fd;

// The byte at 'at' of what every node serves: no period short enough to hide a lost segment.
static uint8_t byte_at(size_t at)
{
	uint64_t x = (uint64_t)(at >> 3) * 0x9e3779b97f4a7c15;

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9;
	return (uint8_t)(x >> (8 * (at & 7)));
}

static size_t fill(char *chunk, size_t at, size_t end)
{
	size_t n = end - at < CHUNK ? end - at : CHUNK;

	for (size_t i = 0; i < n; i++)
		chunk[i] = (char)byte_at(at + i);
	return n;
}

static int print_bytes(size_t n_bytes)
{
	char chunk[CHUNK];

	for (size_t at = 0; at < n_bytes;) {
		size_t n = fill(chunk, at, n_bytes);

		if (fwrite(chunk, 1, n, stdout) != n)
			return EXIT_FAILURE;
		at += n;
	}
	return EXIT_SUCCESS;
}

static void close_connection(struct connection *c)
{
	EVP_MD_CTX_free(c->digest);
	close(c->fd);
	free(c);
}

static void answer(struct connection *c, const char *status, const char *body, size_t body_len)
{
	c->n_out += (size_t)snprintf(c->out + c->n_out, sizeof(c->out) - c->n_out,
		"HTTP/1.1 %s\r\nX-Node: %s\r\nContent-Length: %zu\r\n\r\n%s", status, name,
		body_len, body);
}

static void answer_name(struct connection *c)
{
	char body[300];

	answer(c, "200 OK", body, (size_t)snprintf(body, sizeof(body), "%s\n", name));
}

// An IPv4 address comes as an IPv4-mapped one, and is said without that.
static void answer_client(struct connection *c)
{
	struct sockaddr_in6 peer = {0};
	char address[INET6_ADDRSTRLEN] = "", body[300];

	getpeername(c->fd, (struct sockaddr *)&peer, &(socklen_t){sizeof(peer)});
	if (IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr))
		inet_ntop(AF_INET, &peer.sin6_addr.s6_addr[12], address, sizeof(address));
	else
		inet_ntop(AF_INET6, &peer.sin6_addr, address, sizeof(address));
	answer(c, "200 OK", body, (size_t)snprintf(body, sizeof(body), "%s\n", address));
}

static void answer_digest(struct connection *c)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	char text[DIGEST_TEXT_MAX] = "";
	char body[DIGEST_TEXT_MAX + 300];

	EVP_DigestFinal_ex(c->digest, digest, &n);
	for (unsigned int i = 0; i < n; i++)
		sprintf(text + 2 * (size_t)i, "%02x", digest[i]);
	EVP_MD_CTX_free(c->digest);
	c->digest = NULL;
	answer(c, "200 OK", body, (size_t)snprintf(body, sizeof(body), "%s %s\n", name, text));
}

// The value of a header in a request's head, or "".
static const char *header_of(const char *head, const char *key)
{
	const char *at = strcasestr(head, key);

	return at == NULL ? "" : at + strlen(key);
}

static void begin_upload(struct connection *c)
{
	c->upload_left = strtoull(header_of(c->in, "\r\nContent-Length:"), NULL, 10);
	c->digest = EVP_MD_CTX_new();
	EVP_DigestInit_ex(c->digest, EVP_sha256(), NULL);
	if (*header_of(c->in, "\r\nExpect:") != '\0') {
		strcpy(c->out + c->n_out, "HTTP/1.1 100 Continue\r\n\r\n");
		c->n_out += strlen(c->out + c->n_out);
	}
}

static void begin_download(struct connection *c)
{
	c->body_at = 0;
	c->body_end = strtoull(c->in + strlen("GET /bytes/"), NULL, 10);
	answer(c, "200 OK", "", c->body_end);
}

static void take_request(struct connection *c)
{
	c->closing = strcasestr(c->in, "\r\nConnection: close") != NULL;
	if (strncmp(c->in, "GET /bytes/", strlen("GET /bytes/")) == 0)
		begin_download(c);
	else if (strncmp(c->in, "GET /client ", strlen("GET /client ")) == 0)
		answer_client(c);
	else if (strncmp(c->in, "GET ", strlen("GET ")) == 0)
		answer_name(c);
	else if (strncmp(c->in, "PUT ", strlen("PUT ")) == 0)
		begin_upload(c);
	else
		answer(c, "405 Method Not Allowed", "", 0);
}

static size_t take_upload(struct connection *c, const char *bytes, size_t n)
{
	if (n > c->upload_left)
		n = c->upload_left;
	EVP_DigestUpdate(c->digest, bytes, n);
	c->upload_left -= n;
	if (c->upload_left == 0)
		answer_digest(c);
	return n;
}

static bool is_answering(const struct connection *c)
{
	return c->n_out > 0 || c->body_at < c->body_end;
}

// Takes one request, or a part of an upload, from what has arrived. Returns false when there is
// none, or when the answer before it is not yet out.
static bool take_one(struct connection *c)
{
	size_t n;

	if (c->digest != NULL) {
		if (c->n_in == 0 && c->upload_left > 0)
			return false;
		n = take_upload(c, c->in, c->n_in);
	} else {
		if (is_answering(c))
			return false;
		c->in[c->n_in] = '\0';
		const char *end = strstr(c->in, "\r\n\r\n");
		if (end == NULL)
			return false;
		n = (size_t)(end - c->in) + strlen("\r\n\r\n");
		take_request(c);
	}
	c->n_in -= n;
	memmove(c->in, c->in + n, c->n_in);
	return true;
}

// Returns false when the connection is over.
static bool read_some(struct connection *c)
{
	size_t room = sizeof(c->in) - 1 - c->n_in;
	if (room == 0)
		return is_answering(c); // A head that is too long, unless it only waits its turn.

	ssize_t n = read(c->fd, c->in + c->n_in, room);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;

	c->n_in += (size_t)n;
	return true;
}

static bool write_out(struct connection *c)
{
	ssize_t n = write(c->fd, c->out, c->n_out);
	if (n < 0)
		return errno == EAGAIN;

	c->n_out -= (size_t)n;
	memmove(c->out, c->out + n, c->n_out);
	return true;
}

static bool write_body(struct connection *c)
{
	char chunk[CHUNK];
	ssize_t n = write(c->fd, chunk, fill(chunk, c->body_at, c->body_end));
	if (n < 0)
		return errno == EAGAIN;

	c->body_at += (size_t)n;
	return true;
}

// Returns false when the connection is over.
static bool write_some(struct connection *c)
{
	if (c->n_out > 0)
		return write_out(c);
	if (c->body_at < c->body_end)
		return write_body(c);
	return true;
}

static bool serve(struct connection *c, uint32_t events)
{
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !read_some(c))
		return false;
	while (take_one(c))
		;
	if (!write_some(c))
		return false;
	if (c->closing && !is_answering(c) && c->digest == NULL)
		return false;

	// Reading waits while an answer is going out: a client that does not read is not read from.
	bool reads = !is_answering(c) || c->digest != NULL;
	struct epoll_event wanted = {
		.events = (reads ? EPOLLIN : 0) | (is_answering(c) ? EPOLLOUT : 0),
		.data.ptr = c,
	};
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &wanted);
	return true;
}

static void accept_all(void)
{
	int fd;

	while ((fd = accept4(tcp_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *c = calloc(1, sizeof(*c));
		if (c == NULL) {
			close(fd);
			return;
		}
		c->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = c};
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &wanted);
	}
}

// The address that was asked, to answer from; by whichever interface leads to the client: what came
// by a tunnel does not go back by it.
static void forget_interface(struct msghdr *message)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);

	if (control != NULL && control->cmsg_type == IPV6_PKTINFO)
		((struct in6_pktinfo *)CMSG_DATA(control))->ipi6_ifindex = 0;
}

static bool echo_one(void)
{
	char datagram[65536];
	size_t name_len = (size_t)sprintf(datagram, "%s ", name);
	char control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct sockaddr_in6 from;
	struct iovec part = {datagram + name_len, sizeof(datagram) - name_len};
	struct msghdr message = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};

	ssize_t n = recvmsg(udp_fd, &message, 0);
	if (n < 0)
		return false;
	forget_interface(&message);
	part = (struct iovec){datagram, name_len + (size_t)n};
	sendmsg(udp_fd, &message, 0);
	return true;
}

static int listen_on(int type, const char *port)
{
	struct sockaddr_in6 any = {
		.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
	if (type == SOCK_DGRAM) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &(int){1}, sizeof(int));
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){4 << 20}, sizeof(int));
	}
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 ||
		(type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0)) {
		fprintf(stderr, "node: port %s: %s\n", port, strerror(errno));
		exit(EXIT_FAILURE);
	}
	return fd;
}

static void serve_for_ever(void)
{
	struct epoll_event events[EVENTS_MAX];

	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &tcp_fd)
				accept_all();
			else if (events[i].data.ptr == &udp_fd)
				while (echo_one())
					;
			else if (!serve(events[i].data.ptr, events[i].events))
				close_connection(events[i].data.ptr);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--bytes") == 0)
		return print_bytes(strtoull(argv[2], NULL, 10));
	if (argc != 4) {
		fprintf(stderr, "usage: node NAME TCP_PORT UDP_PORT | node --bytes N\n");
		return EXIT_FAILURE;
	}
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){CONNECTIONS_MAX, CONNECTIONS_MAX});

	name = argv[1];
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	tcp_fd = listen_on(SOCK_STREAM, argv[2]);
	udp_fd = listen_on(SOCK_DGRAM, argv[3]);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, tcp_fd,
		&(struct epoll_event){.events = EPOLLIN, .data.ptr = &tcp_fd});
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, udp_fd,
		&(struct epoll_event){.events = EPOLLIN, .data.ptr = &udp_fd});
	serve_for_ever();
}
