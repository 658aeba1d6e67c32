#include "http_client.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct http_client {
	struct loop *loop;
	CURLM *multi;
	struct loop_timer timer;
};

// Tells their owners of the transfers that are over.
static void deliver(struct http_client *client)
{
	CURLMsg *message;
	int n_left;

	while ((message = curl_multi_info_read(client->multi, &n_left)) != NULL) {
		if (message->msg != CURLMSG_DONE)
			continue;

		CURLcode result = message->data.result;
		struct http_transfer *transfer;

		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
		curl_multi_remove_handle(client->multi, transfer->easy);
		transfer->fn(transfer->argument, result);
	}
}

static void act_on_timer(void *argument, uint64_t)
{
	struct http_client *client = argument;
	int n_running;

	curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &n_running);
	deliver(client);
}

// What the loop hands back: libcurl is told of a socket by its fd.
struct socket_watch {
	struct http_client *client;
	curl_socket_t fd;
};

static void socket_ready(void *argument, uint32_t events, uint64_t)
{
	struct socket_watch *w = argument;
	struct http_client *client = w->client;
	int mask = 0;
	int n_running;

	if (events & (EPOLLIN | EPOLLHUP))
		mask |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (events & EPOLLERR)
		mask |= CURL_CSELECT_ERR;
	// 'w' may be gone after this.
	curl_multi_socket_action(client->multi, w->fd, mask, &n_running);
	deliver(client);
}

static struct socket_watch *watch_of(struct http_client *client, curl_socket_t fd)
{
	struct socket_watch *w = malloc(sizeof(*w));
	if (w == NULL)
		return NULL;

	*w = (struct socket_watch){.client = client, .fd = fd};
	curl_multi_assign(client->multi, fd, w);
	return w;
}

static int set_socket(CURL *, curl_socket_t fd, int what, void *argument, void *watch)
{
	struct http_client *client = argument;
	struct socket_watch *w = watch;

	if (what == CURL_POLL_REMOVE) {
		loop_forget(client->loop, fd);
		free(w);
		return 0;
	}
	if (w == NULL)
		w = watch_of(client, fd);
	if (w == NULL)
		return -1;

	uint32_t events = 0;
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	return loop_watch(client->loop, fd, events, "http request", socket_ready, w) < 0 ? -1 : 0;
}

// Never calls into libcurl itself, not even for a timeout of 0: it must not be entered again.
static int set_timer(CURLM *, long timeout_ms, void *argument)
{
	struct http_client *client = argument;

	if (timeout_ms < 0)
		loop_timer_cancel(client->loop, &client->timer);
	else
		loop_timer_set(client->loop, &client->timer,
			loop_clock_ns() + (uint64_t)timeout_ms * 1000000);
	return 0;
}

int http_client_create(struct loop *loop, struct http_client **ret_client)
{
	struct http_client *client = calloc(1, sizeof(*client));
	if (client == NULL)
		return -ENOMEM;

	client->loop = loop;
	client->timer = (struct loop_timer){
		.name = "http timeouts", .fn = act_on_timer, .argument = client};
	client->multi = curl_multi_init();
	if (client->multi == NULL) {
		free(client);
		return -ENOMEM;
	}
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	*ret_client = client;
	return 0;
}

void http_client_destroy(struct http_client *client)
{
	if (client == NULL)
		return;

	curl_multi_cleanup(client->multi);
	loop_timer_cancel(client->loop, &client->timer);
	free(client);
}

int http_client_start(struct http_client *client, struct http_transfer *transfer)
{
	curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
	return curl_multi_add_handle(client->multi, transfer->easy) == CURLM_OK ? 0 : -ENOMEM;
}

void http_client_cancel(struct http_client *client, struct http_transfer *transfer)
{
	curl_multi_remove_handle(client->multi, transfer->easy);
}
