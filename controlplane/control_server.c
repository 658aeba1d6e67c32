#include "control_server.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/api.h"

// libmicrohttpd has an epoll of its own, which is one fd of the loop. A call that is not answered
// within BUDGET_NS is suspended there and goes on in steps of that length, so that a listing of
// sixteen million flows does not hold a health check.

#define BUDGET_NS UINT64_C(2000000)

enum {
	CONNECTIONS_MAX = 64,
	CONNECTION_BYTES_MAX = 64 * 1024, // For a request's lines and headers, a frame among them.
	SILENT_S = 30,
	BODY_BYTES_MAX = 64 * 1024, // Nothing that we take has a body: it is read and forgotten.
	LISTEN_BACKLOG = 64,
};

// A request under way.
struct request {
	struct control_server *server;
	struct MHD_Connection *connection;
	struct api_call call;
	struct loop_timer step; // Waits while the connection is suspended.
	size_t body_bytes;
	bool begun;
	struct request *next;
	struct request **link;
};

struct control_server {
	struct control_sources sources;
	struct MHD_Daemon *daemon;
	struct request *requests;
	struct loop_timer timer; // libmicrohttpd's.
	int epoll_fd;
	int listen_fd;
	bool bound;
};

// Requests

static struct request *request_create(
	struct control_server *server, struct MHD_Connection *connection)
{
	struct request *request = calloc(1, sizeof(*request));
	if (request == NULL)
		return NULL;

	request->server = server;
	request->connection = connection;
	request->call.from = &server->sources;
	request->next = server->requests;
	request->link = &server->requests;
	if (request->next != NULL)
		request->next->link = &request->next;
	server->requests = request;
	return request;
}

static void request_destroy(struct request *request)
{
	if (request == NULL)
		return;

	*request->link = request->next;
	if (request->next != NULL)
		request->next->link = request->link;
	loop_timer_cancel(request->server->sources.loop, &request->step);
	api_clear(&request->call);
	free(request);
}

static void completed(
	void *, struct MHD_Connection *, void **request, enum MHD_RequestTerminationCode)
{
	request_destroy(*request);
	*request = NULL;
}

static void set_timer(struct control_server *server)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	if (MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES)
		loop_timer_set(server->sources.loop, &server->timer,
			loop_clock_ns() + timeout_ms * 1000000);
	else
		loop_timer_cancel(server->sources.loop, &server->timer);
}

static void run(struct control_server *server)
{
	MHD_run(server->daemon);
	set_timer(server);
}

static void epoll_ready(void *argument, uint32_t, uint64_t)
{
	run(argument);
}

static void timer_due(void *argument, uint64_t)
{
	run(argument);
}

// Works on the answer for BUDGET_NS. Returns true if there is more to do.
static bool work(struct request *request)
{
	uint64_t until_ns = loop_clock_ns() + BUDGET_NS;

	request->call.wait_ns = 0;
	while (api_go_on(&request->call)) {
		if (request->call.wait_ns > 0 || loop_clock_ns() >= until_ns)
			return true;
	}
	return false;
}

static void go_on(void *argument, uint64_t now_ns)
{
	struct request *request = argument;
	struct control_server *server = request->server;

	if (work(request)) {
		loop_timer_set(
			server->sources.loop, &request->step, now_ns + request->call.wait_ns);
		return;
	}
	MHD_resume_connection(request->connection);
	run(server);
}

static enum MHD_Result respond(struct request *request)
{
	struct api_call *call = &request->call;
	struct MHD_Response *response;

	if (call->text == NULL)
		return MHD_NO; // Out of memory: the connection is closed.

	response = MHD_create_response_from_buffer(call->len, call->text, MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		return MHD_NO;
	call->text = NULL;
	MHD_add_response_header(response, "Content-Type", "application/json");
	enum MHD_Result queued = MHD_queue_response(request->connection, call->status, response);
	MHD_destroy_response(response);
	return queued;
}

static enum MHD_Result take_argument(
	void *argument, enum MHD_ValueKind, const char *name, const char *value)
{
	struct api_call *call = argument;

	if (call->n_arguments == ARGUMENTS_MAX)
		return MHD_NO;
	call->arguments[call->n_arguments++] =
		(struct api_argument){.name = name, .value = value != NULL ? value : ""};
	return MHD_YES;
}

static enum MHD_Result begin(struct request *request, const char *method, const char *path)
{
	struct control_server *server = request->server;

	request->begun = true;
	request->step =
		(struct loop_timer){.name = "control request", .fn = go_on, .argument = request};
	MHD_get_connection_values(
		request->connection, MHD_GET_ARGUMENT_KIND, take_argument, &request->call);
	if (!api_start(&request->call, method, path) || !work(request))
		return respond(request);

	MHD_suspend_connection(request->connection);
	loop_timer_set(server->sources.loop, &request->step, loop_clock_ns());
	return MHD_YES;
}

// libmicrohttpd calls it when the headers are there, for each piece of a body, at the end of the
// body, and again after a suspension.
static enum MHD_Result handle(void *argument, struct MHD_Connection *connection, const char *path,
	const char *method, const char *, const char *, size_t *len, void **request_of)
{
	struct request *request = *request_of;

	if (request == NULL) {
		*request_of = request_create(argument, connection);
		return *request_of != NULL ? MHD_YES : MHD_NO;
	}
	if (*len > 0) {
		request->body_bytes += *len;
		*len = 0;
		return request->body_bytes <= BODY_BYTES_MAX ? MHD_YES : MHD_NO;
	}
	return request->begun ? respond(request) : begin(request, method, path);
}

// The socket

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	// The configuration bounds its length by that of sun_path.
	strcpy(address.sun_path, path);
	return address;
}

// A socket file that a process left when it was killed is in the way of bind(), but nobody accepts
// there.
static int remove_stale(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;

	int r = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	int error = r < 0 ? errno : 0;

	close(fd);
	if (error == 0)
		return -EADDRINUSE;
	if (error == ECONNREFUSED)
		unlink(address->sun_path);
	return 0;
}

// The folder, where it is only one level that is missing: /run/guideway.
static void make_folder(const char *path)
{
	char copy[SOCKET_TEXT_MAX];

	strcpy(copy, path);
	mkdir(dirname(copy), 0755);
}

static int let_group_in(const char *path, const char *group_name)
{
	if (group_name[0] != '\0') {
		const struct group *group = getgrnam(group_name);
		if (group == NULL)
			return -ESRCH;
		if (chown(path, (uid_t)-1, group->gr_gid) < 0)
			return -errno;
	}
	return chmod(path, 0660) < 0 ? -errno : 0;
}

static int listen_at(struct control_server *server, const struct config *config)
{
	const char *path = config->control_socket;
	struct sockaddr_un address = address_of(path);

	make_folder(path);
	int r = remove_stale(&address);
	if (r < 0)
		return r;

	server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (server->listen_fd < 0)
		return -errno;
	// Nobody else gets in between bind() and let_group_in().
	fchmod(server->listen_fd, 0600);
	if (bind(server->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	server->bound = true;
	r = let_group_in(path, config->control_group);
	if (r < 0)
		return r;
	return listen(server->listen_fd, LISTEN_BACKLOG) < 0 ? -errno : 0;
}

static int start_daemon(struct control_server *server)
{
	server->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		handle, server, MHD_OPTION_LISTEN_SOCKET, server->listen_fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENT_S, MHD_OPTION_NOTIFY_COMPLETED,
		completed, NULL, MHD_OPTION_END);
	if (server->daemon == NULL)
		return -ENOMEM;

	server->epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	return loop_watch(server->sources.loop, server->epoll_fd, EPOLLIN, "control socket",
		epoll_ready, server);
}

int control_server_start(const struct control_sources *sources, struct control_server **ret_server,
	char ret_why[WHY_MAX])
{
	int r = -ENOMEM;

	struct control_server *server = calloc(1, sizeof(*server));
	if (server == NULL)
		goto fail;

	server->sources = *sources;
	server->listen_fd = -1;
	server->timer = (struct loop_timer){
		.name = "control connections", .fn = timer_due, .argument = server};
	r = listen_at(server, sources->config);
	if (r < 0)
		goto fail;
	r = start_daemon(server);
	if (r < 0)
		goto fail;
	*ret_server = server;
	return 0;

fail:
	if (r == -EADDRINUSE)
		snprintf(ret_why, WHY_MAX,
			"another process serves the control socket %s: give each instance its own",
			sources->config->control_socket);
	else if (r == -ESRCH)
		snprintf(ret_why, WHY_MAX,
			"there is no group \"%s\" for the control socket: control.group has to be "
			"one of /etc/group, or empty",
			sources->config->control_group);
	else
		snprintf(ret_why, WHY_MAX, "the control socket %s cannot be made: %s",
			sources->config->control_socket, strerror(-r));
	control_server_stop(server);
	return r;
}

// libmicrohttpd must not be stopped with connections suspended.
static void resume_all(struct control_server *server)
{
	for (struct request *r = server->requests; r != NULL; r = r->next) {
		if (loop_timer_waits(&r->step))
			MHD_resume_connection(r->connection);
		loop_timer_cancel(server->sources.loop, &r->step);
	}
}

void control_server_stop(struct control_server *server)
{
	if (server == NULL)
		return;

	if (server->daemon != NULL) {
		resume_all(server);
		loop_forget(server->sources.loop, server->epoll_fd);
		loop_timer_cancel(server->sources.loop, &server->timer);
		MHD_stop_daemon(server->daemon); // Closes the listening socket.
	} else if (server->listen_fd >= 0) {
		close(server->listen_fd);
	}
	if (server->bound)
		unlink(server->sources.config->control_socket);
	free(server);
}
