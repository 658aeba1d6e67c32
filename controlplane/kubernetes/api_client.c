#include "api_client.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "credentials.h"
#include "http_client.h"
#include "json_read.h"

// A request's life
// ================
//
//     waits ────► under way ────► answered
//       ▲  its turn,   │ cannot be connected: the next server, each once
//       └── credentials┘ 401 and there are other credentials: once
//
// HTTP/1.1 only: each request that is under way has a connection to itself, so that neither a slow
// list nor a stalled watch holds up a write. Connections are kept and used again.
//
// A server that answers is turned to first ever after. One that takes a request and does not
// answer, or answers that it is in trouble (5xx, as all get from one that is cut off from etcd), is
// left for the next one, but the request is not repeated: it may have been done. Its owner asks
// again when it likes, so that servers that are all in trouble are asked no more than one would be.

enum {
	TIMEOUT_MS = 10000,
	CONNECT_TIMEOUT_MS = 5000,
	KEEPALIVE_IDLE_S = 30,
	KEEPALIVE_INTERVAL_S = 10,
	KEEPALIVE_PROBES = 3,
	USER_TIMEOUT_MS = 30000, // What was sent is acknowledged within, or the peer is dead.
	IDLE_CONNECTIONS = 8,
	URL_MAX = 2048,
	REFUSAL_MAX = 300, // Of a server's own words.
};

struct api_request {
	struct api_client *client;
	struct api_request *next; // Of all of the client's.
	struct api_request **link;

	// What was asked for.
	char *path;
	const char *method;
	char *content_type;
	char *body;
	size_t body_len;
	uint32_t timeout_ms;
	uint32_t head_timeout_ms;
	bool (*stream)(void *argument, const char *bytes, size_t len);
	void (*fn)(void *argument, const struct api_answer *answer);
	void *argument;

	bool is_write;
	bool has_turn;    // A write that needs to wait no more.
	bool was_refused; // By a 401, once.
	size_t server;
	size_t n_tried; // Servers that could not be connected to.
	uint64_t generation;

	// While it is under way; 'easy' is NULL while it waits.
	struct http_transfer transfer;
	struct loop_timer head; // Waits until the answer begins.
	struct curl_slist *headers;
	struct curl_slist *connect_to;
	char error[CURL_ERROR_SIZE];
	char *answer; // [answer_len]
	size_t answer_len;
	size_t answer_room;
	bool is_too_long;
};

struct api_client {
	struct loop *loop;
	struct http_client *http;
	const struct api_access *access;
	struct credentials *credentials;
	struct api_request *requests; // The newest first.
	size_t n_requests;
	size_t server;           // The first to be tried.
	struct loop_timer start; // What waits is looked at.
	uint64_t write_interval_ns;
	uint64_t write_burst_ns; // So many intervals at once.
	uint64_t write_due_ns;   // When the next one may go if none went before; never far ahead.
	uint64_t held_ns;        // None goes before: the server has too much of it.
	struct api_client_status status;
};

// The turn of writes
// ------------------
// A bucket as one number: the time at which it would be full. A write moves it ahead by an
// interval, and may go if it is then no more than the burst ahead of now.

static bool take_turn(struct api_client *client, uint64_t now_ns)
{
	uint64_t full_ns = client->write_due_ns > now_ns ? client->write_due_ns : now_ns;

	if (now_ns < client->held_ns ||
		full_ns + client->write_interval_ns > now_ns + client->write_burst_ns)
		return false;
	client->write_due_ns = full_ns + client->write_interval_ns;
	return true;
}

// Of a client none of whose writes may go now.
static uint64_t next_turn_ns(const struct api_client *client)
{
	uint64_t turn_ns =
		client->write_due_ns + client->write_interval_ns - client->write_burst_ns;

	return turn_ns > client->held_ns ? turn_ns : client->held_ns;
}

// The owner of a write that was refused for that asks again when it likes: then it waits, as all
// others do. What is urgent does not.
static void hold_writes(struct api_client *client, uint32_t retry_after_s)
{
	uint32_t held_s = retry_after_s < API_HELD_MAX_S ? retry_after_s : API_HELD_MAX_S;
	uint64_t held_ns = loop_clock_ns() + held_s * NSEC_PER_SEC;

	if (held_ns > client->held_ns)
		client->held_ns = held_ns;
}

// What is sent

static bool add_header(struct api_request *request, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool add_header(struct api_request *request, const char *format, ...)
{
	va_list arguments;
	char *text = NULL;

	va_start(arguments, format);
	int len = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (len < 0)
		return false;

	struct curl_slist *more = curl_slist_append(request->headers, text);
	free(text);
	if (more == NULL)
		return false;
	request->headers = more;
	return true;
}

// A name in a header's name: what is no token is percent-encoded, as Kubernetes reads it.
static bool add_extra(struct api_request *request, const struct api_pair *extra)
{
	char name[256];
	size_t n = 0;

	for (const char *c = extra->name; *c != '\0' && n < sizeof(name) - 4; c++) {
		bool plain = isalnum((unsigned char)*c) || strchr("!#$&'*+-.^_`|~", *c) != NULL;

		n += (size_t)snprintf(
			name + n, 4, plain ? "%c" : "%%%02X", (unsigned char)tolower(*c));
	}
	return add_header(request, "Impersonate-Extra-%s: %s", name, extra->value);
}

static bool add_impersonation(struct api_request *request)
{
	const struct api_access *access = request->client->access;
	bool good = true;

	if (access->as != NULL)
		good = add_header(request, "Impersonate-User: %s", access->as);
	if (access->as_uid != NULL)
		good = good && add_header(request, "Impersonate-Uid: %s", access->as_uid);
	for (size_t i = 0; i < access->n_as_groups; i++)
		good = good && add_header(request, "Impersonate-Group: %s", access->as_groups[i]);
	for (size_t i = 0; i < access->n_as_extra; i++)
		good = good && add_extra(request, &access->as_extra[i]);
	return good;
}

static bool set_headers(struct api_request *request, const struct credential *credential)
{
	const struct api_access *access = request->client->access;
	CURL *easy = request->transfer.easy;
	bool good = add_header(request, "Accept: application/json") && add_impersonation(request);

	if (request->content_type != NULL)
		good = good && add_header(request, "Content-Type: %s", request->content_type) &&
			add_header(request, "Expect:");
	if (credential->token != NULL)
		good = good && add_header(request, "Authorization: Bearer %s", credential->token);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
	if (access->username != NULL) {
		curl_easy_setopt(easy, CURLOPT_USERNAME, access->username);
		curl_easy_setopt(
			easy, CURLOPT_PASSWORD, access->password == NULL ? "" : access->password);
	}
	return good;
}

static bool set_body(struct api_request *request)
{
	CURL *easy = request->transfer.easy;

	if (strcmp(request->method, "GET") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	if (request->body == NULL)
		return true;
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
	return curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body) == CURLE_OK;
}

static char *part_of(CURLU *url, CURLUPart part, unsigned flags)
{
	char *text = NULL;

	return curl_url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

// The server goes by another name in TLS: that one is put into the URL, so that it is what is sent
// and verified, and the connection is led to where the server is. The Host header stays.
static bool set_server_name(struct api_request *request, CURLU *url)
{
	const char *name = request->client->access->tls_server_name;
	char *host = part_of(url, CURLUPART_HOST, 0);
	char *port = part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	char text[URL_MAX];
	bool good = host != NULL && port != NULL;

	if (good) {
		bool is_ipv6 = strchr(name, ':') != NULL;

		snprintf(text, sizeof(text), is_ipv6 ? "[%s]" : "%s", name);
		good = curl_url_set(url, CURLUPART_HOST, text, 0) == CURLUE_OK &&
			add_header(request, "Host: %s:%s", host, port);
		snprintf(text, sizeof(text), "::%s:%s", host, port);
		request->connect_to = curl_slist_append(NULL, text);
		curl_easy_setopt(request->transfer.easy, CURLOPT_CONNECT_TO, request->connect_to);
	}
	curl_free(host);
	curl_free(port);
	return good && request->connect_to != NULL;
}

static bool set_url(struct api_request *request)
{
	const struct api_access *access = request->client->access;
	CURLU *url = curl_url();
	char *text = NULL;
	bool good = url != NULL &&
		asprintf(&text, "%s%s", access->servers[request->server], request->path) >= 0 &&
		curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK;

	if (good && access->tls_server_name != NULL)
		good = set_server_name(request, url);
	free(text);
	text = good ? part_of(url, CURLUPART_URL, 0) : NULL;
	if (text != NULL)
		curl_easy_setopt(request->transfer.easy, CURLOPT_URL, text);
	good = text != NULL;
	curl_free(text);
	curl_url_cleanup(url);
	return good;
}

static bool set_blob(CURL *easy, CURLoption option, const char *pem)
{
	struct curl_blob blob = {
		.data = (void *)pem,
		.len = pem == NULL ? 0 : strlen(pem),
		.flags = CURL_BLOB_COPY,
	};

	return pem == NULL || curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

static bool set_tls(struct api_request *request, const struct credential *credential)
{
	CURL *easy = request->transfer.easy;
	bool verify = !request->client->access->insecure;

	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	return set_blob(easy, CURLOPT_CAINFO_BLOB, credential->ca_pem) &&
		set_blob(easy, CURLOPT_SSLCERT_BLOB, credential->certificate_pem) &&
		set_blob(easy, CURLOPT_SSLKEY_BLOB, credential->key_pem);
}

// "socks5://" is a proxy that resolves names itself, as Kubernetes means it; libcurl's word for
// that is another, and its CURLOPT_PROXYTYPE gives way to what the URL says.
static bool set_proxy(CURL *easy, const char *url)
{
	static const char theirs[] = "socks5://", ours[] = "socks5h://";
	char *proxy = NULL;

	if (url == NULL)
		return true; // Then the environment says, as with kubectl.
	bool is_socks = strncasecmp(url, theirs, strlen(theirs)) == 0;
	if (asprintf(&proxy, "%s%s", is_socks ? ours : "", url + (is_socks ? strlen(theirs) : 0)) <
		0)
		return false;
	bool good = curl_easy_setopt(easy, CURLOPT_PROXY, proxy) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_NOPROXY, "") == CURLE_OK;
	free(proxy);
	return good;
}

static int set_socket(void *, curl_socket_t fd, curlsocktype)
{
	unsigned timeout_ms = USER_TIMEOUT_MS;
	int n_probes = KEEPALIVE_PROBES;

	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &n_probes, sizeof(n_probes));
	return CURL_SOCKOPT_OK;
}

static void set_connection(CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "guideway/" GUIDEWAY_VERSION);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_INTERVAL_S);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, set_socket);
	curl_easy_setopt(easy, CURLOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
	// Else giving up waits for a name server that does not answer, and holds the loop.
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}

// What comes

static int keep(struct api_request *request, const char *bytes, size_t len)
{
	if (request->answer_len + len > API_BODY_MAX) {
		request->is_too_long = true;
		return -EMSGSIZE;
	}
	if (request->answer_len + len > request->answer_room) {
		size_t room = 2 * (request->answer_len + len);
		char *answer = realloc(request->answer, room);

		if (answer == NULL)
			return -ENOMEM;
		request->answer = answer;
		request->answer_room = room;
	}
	memcpy(request->answer + request->answer_len, bytes, len);
	request->answer_len += len;
	return 0;
}

static unsigned status_of(const struct api_request *request)
{
	long status = 0;

	curl_easy_getinfo(request->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
	return (unsigned)status;
}

static size_t take_bytes(char *bytes, size_t, size_t len, void *argument)
{
	struct api_request *request = argument;

	if (request->stream == NULL || !api_status_is_good(status_of(request)))
		return keep(request, bytes, len) < 0 ? 0 : len;
	return request->stream(request->argument, bytes, len) ? len : CURL_WRITEFUNC_PAUSE;
}

// The head of an answer ends with an empty line, also that of an answer before the answer (1xx).
static size_t take_head(char *line, size_t, size_t len, void *argument)
{
	struct api_request *request = argument;

	loop_timer_cancel(request->client->loop, &request->head);
	if (request->stream != NULL && len <= 2 && (line[0] == '\r' || line[0] == '\n') &&
		api_status_is_good(status_of(request)))
		request->stream(request->argument, "", 0);
	return len;
}

// From waiting to under way

static void end_transfer(struct api_request *request)
{
	loop_timer_cancel(request->client->loop, &request->head);
	curl_easy_cleanup(request->transfer.easy);
	curl_slist_free_all(request->headers);
	curl_slist_free_all(request->connect_to);
	free(request->answer);
	request->transfer.easy = NULL;
	request->headers = request->connect_to = NULL;
	request->answer = NULL;
	request->answer_len = request->answer_room = 0;
	request->is_too_long = false;
}

static void transfer_done(void *argument, CURLcode result);
static void head_is_late(void *argument, uint64_t now_ns);

static bool set_options(struct api_request *request, const struct credential *credential)
{
	CURL *easy = request->transfer.easy;

	request->error[0] = '\0';
	request->generation = credential->generation;
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_head);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	// That of a proxy is none of ours.
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
	set_connection(easy);
	return set_proxy(easy, request->client->access->proxy_url) && set_url(request) &&
		set_body(request) && set_tls(request, credential) &&
		set_headers(request, credential);
}

static int begin_transfer(struct api_request *request, const struct credential *credential)
{
	CURL *easy = curl_easy_init();

	request->transfer =
		(struct http_transfer){.easy = easy, .fn = transfer_done, .argument = request};
	int r = easy != NULL && set_options(request, credential)
		? http_client_start(request->client->http, &request->transfer)
		: -ENOMEM;
	if (r < 0)
		end_transfer(request);
	else if (request->head_timeout_ms > 0)
		loop_timer_set(request->client->loop, &request->head,
			loop_clock_ns() + request->head_timeout_ms * NSEC_PER_MSEC);
	return r;
}

// From under way to answered

static void unlink_request(struct api_request *request)
{
	*request->link = request->next;
	if (request->next != NULL)
		request->next->link = request->link;
	request->client->n_requests--;
}

static void free_request(struct api_request *request)
{
	free(request->path);
	free(request->content_type);
	free(request->body);
	free(request);
}

// Its owner may ask for something else, or end all of us, while it is told.
static void finish(struct api_request *request, const struct api_answer *answer)
{
	unlink_request(request);
	request->fn(request->argument, answer);
	free_request(request);
}

static void wait_again(struct api_request *request)
{
	struct api_client *client = request->client;

	end_transfer(request);
	loop_timer_set(client->loop, &client->start, loop_clock_ns());
}

// Whether nothing of the request was sent.
static bool is_unreachable(const struct api_request *request, CURLcode result)
{
	curl_off_t sent_us = 0;

	switch (result) {
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_PROXY:
		return true;
	default:
		curl_easy_getinfo(request->transfer.easy, CURLINFO_PRETRANSFER_TIME_T, &sent_us);
		return sent_us == 0 && status_of(request) == 0;
	}
}

static void turn_from(struct api_client *client, size_t server)
{
	if (client->server != server || client->access->n_servers < 2)
		return;
	client->server = (server + 1) % client->access->n_servers;
	client->status.n_failovers++;
}

static const char *server_of(const struct api_request *request)
{
	return request->client->access->servers[request->server];
}

static void explain_result(
	const struct api_request *request, CURLcode result, char ret_why[API_WHY_MAX])
{
	long error = 0;
	const char *server = server_of(request);
	// Its URL may have a password.
	const char *whose = request->client->access->proxy_url == NULL ? "" : "the proxy to ";

	curl_easy_getinfo(request->transfer.easy, CURLINFO_OS_ERRNO, &error);
	if (request->is_too_long)
		snprintf(ret_why, API_WHY_MAX, "an answer of more than %d bytes by %s",
			API_BODY_MAX, server);
	else if (result == CURLE_OPERATION_TIMEDOUT)
		snprintf(ret_why, API_WHY_MAX, "no answer in time by %s", server);
	else if (result == CURLE_COULDNT_CONNECT && error == ECONNREFUSED)
		snprintf(ret_why, API_WHY_MAX, "connection refused by %s%s", whose, server);
	else if (result == CURLE_COULDNT_CONNECT && error != 0)
		snprintf(ret_why, API_WHY_MAX, "%s%s cannot be connected to: %s", whose, server,
			strerror((int)error));
	else
		snprintf(ret_why, API_WHY_MAX, "%s: %.300s", server,
			request->error[0] != '\0' ? request->error : curl_easy_strerror(result));
}

static void explain_status(unsigned status, const json_t *json, char ret_why[API_WHY_MAX])
{
	const char *message = json_string_value(json_object_get(json, "message"));
	int len = snprintf(ret_why, API_WHY_MAX, "HTTP status %u", status);

	if (message == NULL)
		return;
	snprintf(ret_why + len, (size_t)(API_WHY_MAX - len), ": %.*s", REFUSAL_MAX, message);
	for (char *c = ret_why; *c != '\0'; c++)
		if (iscntrl((unsigned char)*c))
			*c = ' ';
}

static uint32_t retry_after_s(const struct api_request *request)
{
	curl_off_t seconds = 0;

	curl_easy_getinfo(request->transfer.easy, CURLINFO_RETRY_AFTER, &seconds);
	return seconds > 0 && seconds < UINT32_MAX ? (uint32_t)seconds : 0;
}

static void count(struct api_client *client, const struct api_answer *answer)
{
	client->status.n_refused += answer->status == 401 || answer->status == 403;
	client->status.n_throttled += answer->status == 429;
	client->status.n_failed += answer->status == 0;
}

// The end of one that got no answer, or not a whole one.
static void fail(struct api_request *request, CURLcode result)
{
	struct api_client *client = request->client;
	char why[API_WHY_MAX];
	struct api_answer answer = {
		.unreachable = is_unreachable(request, result),
		.timed_out = result == CURLE_OPERATION_TIMEDOUT,
		.why = why,
		.server = server_of(request),
	};

	// An answer that began and took too long is no reason: others may be as slow.
	if (answer.unreachable || (answer.timed_out && status_of(request) == 0))
		turn_from(client, request->server);
	if (answer.unreachable && ++request->n_tried < client->access->n_servers) {
		request->server = (request->server + 1) % client->access->n_servers;
		wait_again(request);
		return;
	}
	if (answer.unreachable)
		answer.timed_out = false;
	explain_result(request, result, why);
	end_transfer(request);
	count(client, &answer);
	finish(request, &answer);
}

static void answer_with(struct api_request *request, unsigned status)
{
	char why[API_WHY_MAX] = "";
	json_t *json =
		request->answer_len == 0 ? NULL : json_parse(request->answer, request->answer_len);
	struct api_answer answer = {
		.status = status,
		.retry_after_s = retry_after_s(request),
		.why = why,
		.server = server_of(request),
		.json = json,
	};

	if (!api_status_is_good(status))
		explain_status(status, json, why);
	else if (json == NULL && request->stream == NULL && request->answer_len > 0)
		snprintf(why, sizeof(why), "the answer of %s is not JSON", answer.server);
	end_transfer(request);
	count(request->client, &answer);
	if (status == 429 && request->is_write)
		hold_writes(request->client, answer.retry_after_s);
	finish(request, &answer);
	json_decref(json);
}

static void transfer_done(void *argument, CURLcode result)
{
	struct api_request *request = argument;
	struct api_client *client = request->client;
	unsigned status = status_of(request);

	if (result != CURLE_OK) {
		fail(request, result);
		return;
	}
	if (status >= 500)
		turn_from(client, request->server);
	else
		client->server = request->server;
	if (status == 401 && !request->was_refused &&
		credentials_refused(client->credentials, request->generation, loop_clock_ns())) {
		request->was_refused = true;
		wait_again(request);
		return;
	}
	answer_with(request, status);
}

static void head_is_late(void *argument, uint64_t)
{
	struct api_request *request = argument;

	http_client_cancel(request->client->http, &request->transfer);
	fail(request, CURLE_OPERATION_TIMEDOUT);
}

// What waits

// Without credentials nothing can be sent.
static void fail_unsent(struct api_request *request, const char *why)
{
	struct api_answer answer = {.why = why, .server = server_of(request)};

	count(request->client, &answer);
	finish(request, &answer);
}

// The oldest of those that wait and may go; of writes only if 'writes'.
static struct api_request *first_waiting(struct api_client *client, bool writes)
{
	struct api_request *first = NULL;

	for (struct api_request *r = client->requests; r != NULL; r = r->next)
		if (r->transfer.easy == NULL && (writes || !r->is_write || r->has_turn))
			first = r;
	return first;
}

static void start_one(struct api_request *request, uint64_t now_ns)
{
	struct credential credential;
	char why[CREDENTIALS_WHY_MAX];

	// Pending ones were told of before: see start_waiting().
	if (credentials_look(request->client->credentials, now_ns, &credential, why) !=
		CREDENTIALS_READY) {
		fail_unsent(request, why);
		return;
	}
	request->client->status.n_requests++;
	if (begin_transfer(request, &credential) < 0)
		fail_unsent(request, "out of memory");
}

static bool are_pending(struct api_client *client, uint64_t now_ns)
{
	struct credential credential;
	char why[CREDENTIALS_WHY_MAX];

	return credentials_look(client->credentials, now_ns, &credential, why) ==
		CREDENTIALS_PENDING;
}

// One a step: an owner that is told may do anything, also to the client.
static void start_waiting(void *argument, uint64_t now_ns)
{
	struct api_client *client = argument;
	struct api_request *request = first_waiting(client, false);

	if (request == NULL)
		request = first_waiting(client, true);
	if (request == NULL || are_pending(client, now_ns))
		return;
	if (request->is_write && !request->has_turn) {
		if (!take_turn(client, now_ns)) {
			loop_timer_set(client->loop, &client->start, next_turn_ns(client));
			return;
		}
		request->has_turn = true;
	}
	loop_timer_set(client->loop, &client->start, now_ns);
	start_one(request, now_ns);
}

static void credentials_changed(void *argument)
{
	struct api_client *client = argument;

	loop_timer_set(client->loop, &client->start, loop_clock_ns());
}

// Asking

static int fill(struct api_request *request, const struct client_call *call)
{
	request->method = call->method;
	request->path = strdup(call->path);
	request->timeout_ms = call->timeout_ms == 0 ? TIMEOUT_MS : call->timeout_ms;
	request->head_timeout_ms = call->head_timeout_ms;
	request->head = (struct loop_timer){
		.name = "api answer is late", .fn = head_is_late, .argument = request};
	request->stream = call->stream;
	request->fn = call->fn;
	request->argument = call->argument;
	request->is_write = strcmp(call->method, "GET") != 0;
	request->has_turn = call->is_urgent;
	if (request->path == NULL)
		return -ENOMEM;
	if (call->body == NULL)
		return 0;

	request->content_type = strdup(call->content_type);
	request->body = json_dumps(call->body, JSON_COMPACT);
	if (request->content_type == NULL || request->body == NULL)
		return -ENOMEM;
	request->body_len = strlen(request->body);
	return 0;
}

static void link_request(struct api_client *client, struct api_request *request)
{
	request->client = client;
	request->server = client->server;
	request->next = client->requests;
	request->link = &client->requests;
	if (request->next != NULL)
		request->next->link = &request->next;
	client->requests = request;
	client->n_requests++;
}

int api_client_call(
	struct api_client *client, const struct client_call *call, struct api_request **ret_request)
{
	if (client->n_requests >= API_REQUESTS_MAX)
		return -EBUSY;

	struct api_request *request = calloc(1, sizeof(*request));
	if (request == NULL || fill(request, call) < 0) {
		if (request != NULL)
			free_request(request);
		return -ENOMEM;
	}
	link_request(client, request);
	loop_timer_set(client->loop, &client->start, loop_clock_ns());
	*ret_request = request;
	return 0;
}

int api_client_ask(struct api_client *client, const struct api_ask *asked, uint32_t timeout_ms,
	void (*fn)(void *argument, const struct api_answer *answer), void *argument,
	struct api_request **ret_request)
{
	struct client_call call = {
		.method = asked->method,
		.path = asked->path,
		.content_type = asked->body == NULL ? NULL : "application/json",
		.body = asked->body,
		.timeout_ms = timeout_ms,
		.is_urgent = true,
		.fn = fn,
		.argument = argument,
	};
	int r = api_client_call(client, &call, ret_request);

	json_decref(asked->body);
	if (r < 0)
		*ret_request = NULL;
	return r;
}

void api_client_cancel(struct api_client *client, struct api_request *request)
{
	if (request == NULL)
		return;

	if (request->transfer.easy != NULL) {
		http_client_cancel(client->http, &request->transfer);
		end_transfer(request);
	}
	unlink_request(request);
	free_request(request);
}

void api_client_resume(struct api_client *, struct api_request *request)
{
	if (request->transfer.easy != NULL)
		curl_easy_pause(request->transfer.easy, CURLPAUSE_CONT);
}

// Life

void api_client_limit_writes(struct api_client *client, uint32_t per_s, uint32_t at_once)
{
	client->write_interval_ns = NSEC_PER_SEC / per_s;
	client->write_burst_ns = at_once * client->write_interval_ns;
}

int api_client_create(
	struct loop *loop, const struct api_access *access, struct api_client **ret_client)
{
	assert(access->n_servers > 0);
	struct api_client *client = calloc(1, sizeof(*client));
	if (client == NULL)
		return -ENOMEM;

	client->loop = loop;
	client->access = access;
	api_client_limit_writes(client, API_WRITES_PER_S, API_WRITES_AT_ONCE);
	client->start =
		(struct loop_timer){.name = "api request", .fn = start_waiting, .argument = client};
	int r = http_client_create(loop, &client->http);
	if (r == 0)
		r = credentials_create(
			loop, access, credentials_changed, client, &client->credentials);
	if (r < 0) {
		api_client_destroy(client);
		return r;
	}
	*ret_client = client;
	return 0;
}

void api_client_destroy(struct api_client *client)
{
	if (client == NULL)
		return;

	while (client->requests != NULL)
		api_client_cancel(client, client->requests);
	credentials_destroy(client->credentials);
	http_client_destroy(client->http);
	loop_timer_cancel(client->loop, &client->start);
	free(client);
}

void api_client_read_status(const struct api_client *client, struct api_client_status *ret_status)
{
	*ret_status = client->status;
	ret_status->server = client->access->servers[client->server];
	for (const struct api_request *r = client->requests; r != NULL; r = r->next)
		ret_status->n_waiting += r->transfer.easy == NULL;
}
