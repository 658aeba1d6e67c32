#include "api/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct api_route *const routes[] = {
	&status_route,
	&services_route,
	&nodes_route,
	&drain_route,
	&undrain_route,
	&flows_route,
	&counters_route,
	&explain_route,
	&kubernetes_route,
	&kubernetes_summary_route,
	&kubernetes_release_route,
	&kubernetes_claim_route,
	&capture_route,
	&trace_route,
};

enum {
	N_ROUTES = sizeof(routes) / sizeof(routes[0]),
	HTTP_OK = 200,
	HTTP_BAD_REQUEST = 400,
	HTTP_NOT_FOUND = 404,
	HTTP_METHOD_NOT_ALLOWED = 405,
	HTTP_INTERNAL_ERROR = 500,
};

// Text

// Returns false, and forgets the answer, when out of memory.
static bool make_room(struct api_call *call, size_t n)
{
	if (call->len + n <= call->size)
		return true;

	size_t size = 2 * (call->len + n) + 1024;
	char *text = realloc(call->text, size);
	if (text == NULL) {
		free(call->text);
		call->text = NULL;
		call->len = call->size = 0;
		call->status = HTTP_INTERNAL_ERROR;
		return false;
	}
	call->text = text;
	call->size = size;
	return true;
}

static void add(struct api_call *call, const char *bytes, size_t n)
{
	if (!make_room(call, n))
		return;

	memcpy(call->text + call->len, bytes, n);
	call->len += n;
}

void api_text(struct api_call *call, const char *text)
{
	add(call, text, strlen(text));
}

void api_list(struct api_call *call, const char *text)
{
	api_text(call, text);
	call->has_items = false;
}

static void add_document(struct api_call *call, json_t *document)
{
	size_t n = json_dumpb(document, NULL, 0, JSON_COMPACT);

	if (document == NULL || n == 0)
		call->status = HTTP_INTERNAL_ERROR;
	else if (make_room(call, n))
		call->len += json_dumpb(document, call->text + call->len, n, JSON_COMPACT);
	json_decref(document);
}

void api_item(struct api_call *call, json_t *item)
{
	if (call->has_items)
		api_text(call, ",\n");
	call->has_items = true;
	add_document(call, item);
}

void api_reply(struct api_call *call, json_t *document)
{
	call->status = HTTP_OK;
	call->len = 0;
	add_document(call, document);
}

void api_fail(struct api_call *call, unsigned status, const char *format, ...)
{
	char sentence[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	api_reply(call, json_pack("{s:s}", "error", sentence));
	call->status = status;
}

// Calls

const char *api_argument(const struct api_call *call, const char *name)
{
	for (size_t i = 0; i < call->n_arguments; i++) {
		if (strcmp(call->arguments[i].name, name) == 0)
			return call->arguments[i].value;
	}
	return NULL;
}

// Matches 'path' against a pattern with at most one '*', whose part it copies to 'ret_name'. That
// part may have slashes, as names of nodes may.
static bool matches(const char *pattern, const char *path, char ret_name[NAME_TEXT_MAX])
{
	size_t head = strcspn(pattern, "*");

	if (pattern[head] == '\0')
		return strcmp(pattern, path) == 0;

	const char *end = pattern + head + 1;
	size_t around = head + strlen(end);
	size_t len = strlen(path);
	if (len <= around || len - around > NAME_MAX_LEN || strncmp(pattern, path, head) != 0 ||
		strcmp(path + len - strlen(end), end) != 0)
		return false;

	memcpy(ret_name, path + head, len - around);
	ret_name[len - around] = '\0';
	return true;
}

static void find_route(struct api_call *call, const char *method, const char *path)
{
	const char *allowed = NULL;

	for (size_t i = 0; i < N_ROUTES; i++) {
		if (!matches(routes[i]->path, path, call->name))
			continue;
		if (strcmp(routes[i]->method, method) == 0) {
			call->route = routes[i];
			return;
		}
		allowed = routes[i]->method;
	}
	if (allowed != NULL)
		api_fail(call, HTTP_METHOD_NOT_ALLOWED, "%s takes %s, not %s", path, allowed,
			method);
	else
		api_fail(call, HTTP_NOT_FOUND,
			"there is no %s: there are /v1/status, /v1/services, /v1/nodes, /v1/flows, "
			"/v1/counters, /v1/capture, /v1/explain, /v1/trace, "
			"/v1/nodes/NAME/drain, /v1/nodes/NAME/undrain, /v1/kubernetes, "
			"/v1/kubernetes/summary, /v1/kubernetes/release and /v1/kubernetes/claim",
			path);
}

static bool takes(const struct api_route *route, const char *name)
{
	for (const char *const *a = route->arguments; *a != NULL; a++) {
		if (strcmp(*a, name) == 0)
			return true;
	}
	return false;
}

static bool arguments_are_known(struct api_call *call)
{
	for (size_t i = 0; i < call->n_arguments; i++) {
		if (takes(call->route, call->arguments[i].name))
			continue;
		api_fail(call, HTTP_BAD_REQUEST, "%s takes no argument \"%s\"", call->route->path,
			call->arguments[i].name);
		return false;
	}
	return true;
}

bool api_start(struct api_call *call, const char *method, const char *path)
{
	find_route(call, method, path);
	if (call->route == NULL || !arguments_are_known(call))
		return false;

	call->route->begin(call);
	return call->status == 0;
}

bool api_go_on(struct api_call *call)
{
	bool more = call->route->step(call);

	if (call->status != 0)
		return false; // Out of memory.
	if (!more)
		call->status = HTTP_OK;
	return more;
}

void api_clear(struct api_call *call)
{
	if (call->must_end)
		call->route->end(call);
	free(call->text);
	free(call->filter);
	call->text = NULL;
	call->filter = NULL;
}
