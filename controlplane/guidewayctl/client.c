#include "client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ANSWER_BYTES_MAX = 256 * 1024 * 1024,
	CONNECT_TIMEOUT_S = 5,
	TIMEOUT_S = 90,          // Longer than any capture.
	URL_MAX_LEN = 20 * 1024, // With a frame in it.
};

// An answer as it arrives.
struct answer {
	char *bytes;
	size_t len;
};

static size_t take(char *bytes, size_t size, size_t n, void *argument)
{
	struct answer *answer = argument;
	size_t len = size * n;

	if (answer->len + len > ANSWER_BYTES_MAX)
		return 0;

	char *grown = realloc(answer->bytes, answer->len + len);
	if (grown == NULL)
		return 0;
	memcpy(grown + answer->len, bytes, len);
	answer->bytes = grown;
	answer->len += len;
	return len;
}

static enum client_result say_unreachable(CURL *curl, CURLcode result, const char *socket)
{
	long error = 0;

	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
	fprintf(stderr, "guidewayctl: no guideway answers at %s: %s\n", socket,
		error != 0 ? strerror((int)error) : curl_easy_strerror(result));
	if (error == ENOENT || error == ECONNREFUSED)
		fprintf(stderr, "Is it running? If it has another socket, name that by -s.\n");
	if (error == EACCES)
		fprintf(stderr,
			"The socket is for root and for the group that the configuration "
			"names (control.group).\n");
	return CLIENT_UNREACHABLE;
}

static enum client_result read_answer(const struct answer *answer, long status, json_t **ret_answer)
{
	json_error_t error;
	json_t *document = json_loadb(answer->bytes, answer->len, 0, &error);
	const char *sentence = json_string_value(json_object_get(document, "error"));

	if (status == 200 && document != NULL) {
		*ret_answer = document;
		return CLIENT_OK;
	}
	if (sentence != NULL)
		fprintf(stderr, "guidewayctl: %s\n", sentence);
	else
		fprintf(stderr, "guidewayctl: the answer makes no sense (HTTP status %ld): %s\n",
			status, document == NULL ? error.text : "it says no error");
	json_decref(document);
	return CLIENT_REFUSED;
}

static CURLcode ask(CURL *curl, const char *socket, const char *method, const char *path,
	struct answer *ret_answer)
{
	char url[URL_MAX_LEN];

	snprintf(url, sizeof(url), "http://localhost%s", path);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret_answer);
	if (strcmp(method, "POST") == 0)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
	return curl_easy_perform(curl);
}

enum client_result client_ask(
	const char *socket, const char *method, const char *path, json_t **ret_answer)
{
	struct answer answer = {0};
	enum client_result r;
	long status = 0;

	CURL *curl = curl_easy_init();
	if (curl == NULL) {
		fprintf(stderr, "guidewayctl: out of memory\n");
		return CLIENT_UNREACHABLE;
	}
	CURLcode result = ask(curl, socket, method, path, &answer);
	if (result != CURLE_OK) {
		r = say_unreachable(curl, result, socket);
	} else {
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		r = read_answer(&answer, status, ret_answer);
	}
	free(answer.bytes);
	curl_easy_cleanup(curl);
	return r;
}
