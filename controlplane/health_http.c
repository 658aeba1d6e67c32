#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kubernetes/proxy_answer.h"
#include "probe.h"

// A check by HTTP or HTTPS: GET, and the status decides, or what kube-proxy says in the body. Each
// check makes a connection of its own, since that is what a client's first request has to do.

static bool reads_body(const struct probe *probe)
{
	enum check_kind kind = probe->config.check.kind;

	return kind == CHECK_KUBE_PROXY || kind == CHECK_SERVICE;
}

// A return of 0 ends the transfer with CURLE_WRITE_ERROR, the status being known by then.
static size_t take_body(char *bytes, size_t, size_t len, void *argument)
{
	struct probe *probe = argument;

	if (!reads_body(probe) || probe->body_len + len > PROXY_ANSWER_MAX)
		return 0;
	if (probe->body == NULL)
		probe->body = malloc(PROXY_ANSWER_MAX);
	if (probe->body == NULL)
		return 0;
	memcpy(probe->body + probe->body_len, bytes, len);
	probe->body_len += len;
	return len;
}

// "192.0.2.1" or "[2001:db8::1]".
static void write_address(const struct address *address, char ret_text[ADDRESS_TEXT_MAX + 2])
{
	char text[ADDRESS_TEXT_MAX];

	if (address_is_ipv4(address)) {
		inet_ntop(AF_INET, &address->words[3], ret_text, ADDRESS_TEXT_MAX);
	} else {
		inet_ntop(AF_INET6, address->bytes, text, sizeof(text));
		snprintf(ret_text, ADDRESS_TEXT_MAX + 2, "[%s]", text);
	}
}

// The errno that kept us from connecting, or 0.
static int connect_error(const struct probe *probe, CURLcode result)
{
	long error = 0;

	if (result == CURLE_COULDNT_CONNECT)
		curl_easy_getinfo(probe->transfer.easy, CURLINFO_OS_ERRNO, &error);
	return (int)error;
}

static enum verdict judge_status(
	const struct check_config *check, long status, char ret_reason[REASON_MAX])
{
	if (status >= check->status_first && status <= check->status_last)
		return VERDICT_UP;
	snprintf(ret_reason, REASON_MAX, "HTTP status %ld", status);
	return VERDICT_DOWN;
}

// The weight that a Service's node gives itself in a header; 0 if it does not.
static uint32_t read_weight(CURL *easy)
{
	struct curl_header *header;

	if (curl_easy_header(easy, PROXY_WEIGHT_HEADER, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return 0;
	return proxy_answer_weight(header->value);
}

static void judge_answer(const struct probe *probe, struct answer *answer)
{
	const struct check_config *check = &probe->config.check;
	const char *body = probe->body == NULL ? "" : probe->body;
	long status = 0;

	curl_easy_getinfo(probe->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
	answer->is_told = true;
	if (check->kind == CHECK_KUBE_PROXY) {
		answer->verdict =
			proxy_answer_of_node(status, body, probe->body_len, answer->reason);
	} else if (check->kind == CHECK_SERVICE) {
		answer->verdict = proxy_answer_of_service(
			status, body, probe->body_len, check->service, answer->reason);
		answer->weight = read_weight(probe->transfer.easy);
	} else {
		answer->verdict = judge_status(check, status, answer->reason);
	}
}

static struct answer judge(const struct probe *probe, CURLcode result)
{
	struct answer answer = {.verdict = VERDICT_DOWN};

	if (result == CURLE_OK || result == CURLE_WRITE_ERROR)
		judge_answer(probe, &answer);
	else
		snprintf(answer.reason, sizeof(answer.reason), "%s",
			probe->error[0] != '\0' ? probe->error : curl_easy_strerror(result));
	return answer;
}

static void set_url(CURL *easy, const struct probe_config *config)
{
	const struct check_config *check = &config->check;
	char url[PATH_TEXT_MAX + NAME_TEXT_MAX + 32];
	char address[ADDRESS_TEXT_MAX + 2];

	write_address(&config->address, address);
	snprintf(url, sizeof(url), "%s://%s:%u%s", check->kind == CHECK_HTTPS ? "https" : "http",
		check->host[0] != '\0' ? check->host : address, config->port, check->path);
	curl_easy_setopt(easy, CURLOPT_URL, url);
}

// With a host of its own, TLS and the Host header speak of that, and the connection still goes to
// the node. The header is given too, since libcurl would add the node's port to it.
// Returns false when out of memory.
static bool set_host(struct probe *probe, CURL *easy)
{
	const struct probe_config *config = &probe->config;
	char text[NAME_TEXT_MAX + ADDRESS_TEXT_MAX + 16];
	char address[ADDRESS_TEXT_MAX + 2];

	if (config->check.host[0] == '\0')
		return true;

	write_address(&config->address, address);
	snprintf(text, sizeof(text), "::%s:%u", address, config->port);
	probe->connect_to = curl_slist_append(NULL, text);
	snprintf(text, sizeof(text), "Host: %s", config->check.host);
	probe->headers = curl_slist_append(NULL, text);
	curl_easy_setopt(easy, CURLOPT_CONNECT_TO, probe->connect_to);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, probe->headers);
	return probe->connect_to != NULL && probe->headers != NULL;
}

static bool set_options(struct probe *probe, CURL *easy)
{
	bool verify = probe->config.check.verify;

	probe->error[0] = '\0';
	set_url(easy, &probe->config);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, probe->error);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "guideway/" GUIDEWAY_VERSION);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	// Nodes are addresses. What libcurl remembered of them it would look through, all of it, at
	// the end of each check.
	curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
	curl_easy_setopt(
		easy, CURLOPT_BUFFERSIZE, 1024L); // As small as it takes; of 16 kB by default.
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, probe);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
	return set_host(probe, easy);
}

static void clean_up(struct probe *probe)
{
	curl_easy_cleanup(probe->transfer.easy);
	curl_slist_free_all(probe->connect_to);
	curl_slist_free_all(probe->headers);
	probe->transfer.easy = NULL;
	probe->connect_to = NULL;
	probe->headers = NULL;
	free(probe->body);
	probe->body = NULL;
	probe->body_len = 0;
}

static void answered(void *argument, CURLcode result)
{
	struct probe *probe = argument;
	int error = connect_error(probe, result);
	struct answer answer = judge(probe, result);

	clean_up(probe);
	if (error != 0)
		probe_unable(probe, error, loop_clock_ns());
	else
		probe_answer(probe, &answer, loop_clock_ns());
}

static bool begin(struct probe *probe)
{
	CURL *easy = curl_easy_init();

	probe->transfer = (struct http_transfer){.easy = easy, .fn = answered, .argument = probe};
	return easy != NULL && set_options(probe, easy) &&
		http_client_start(health_http_client(probe->health), &probe->transfer) == 0;
}

void http_check_begin(struct probe *probe, uint64_t now_ns)
{
	if (begin(probe))
		return;

	clean_up(probe);
	probe_unable(probe, ENOMEM, now_ns);
}

void http_check_end(struct probe *probe)
{
	if (probe->transfer.easy == NULL)
		return;

	http_client_cancel(health_http_client(probe->health), &probe->transfer);
	clean_up(probe);
}
