#include "watch.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "json_documents.h"
#include "json_read.h"
#include "log.h"

// A list, then what changes, for ever
// ===================================
//
//                 refused (400, 422), silent     all pages
//     STREAM_LIST ─────────────────► PAGED_LIST ───────────► FOLLOW ◄─┐ its time is over,
//         │  all was told: goes on as FOLLOW                   │  └────┘ from the last version
//         └────────────────────────────────────────────────────┤
//                ▲        ▲                                    │ the version is too old (410),
//                └────────┴────────────────────────────────────┘ or an event cannot be read
//
// A streamed list is a watch that begins with all that there is (KEP-3157); a server without it is
// asked page by page. The next list is tried as a stream again: it may be another server's, and one
// may have been silent only once. Whatever fails is tried again after a while, twice as long each
// time, with what was told still standing; only a version that the server does not know any more is
// a reason to list anew, and an event that cannot be read, because from the last version on it
// comes again.
//
// An object that cannot be read, though it is clear where it ends, is left out: it would be in each
// list, and all the others would wait for it for ever. Nobody knows which it is, so that such a
// list says of none that it is gone. Of an event like that all is listed anew, once: what the list
// cannot read either changes nothing any more.
//
// What is no list, or has no version, does not count at all: synced() is not called. An answer of
// somebody else's empties no cluster.
//
// Bytes come faster than they are taken in: they wait in 'documents', the stream is held when there
// are UNREAD_MAX of them, and each step of the loop takes SLICE_NS.

#define SLICE_NS (2 * NSEC_PER_MSEC)
#define PAUSE_FIRST_NS (800 * NSEC_PER_MSEC)
#define PAUSE_LONGEST_NS (30 * NSEC_PER_SEC)
#define HEALTHY_NS (120 * NSEC_PER_SEC) // After so long without a failure, pauses begin anew.
#define SHORT_NS (1 * NSEC_PER_SEC)     // A watch that ends without events before is a failure.

#define INITIAL_END "k8s.io/initial-events-end"

enum {
	DOCUMENT_MAX = 4 << 20,
	UNREAD_MAX = 256 << 10,
	PAGE_OBJECTS = 500,
	PATIENCE_MS = 60000,
	RETRY_AFTER_MAX_S = 600, // Nobody makes us wait longer.
	FOLLOW_LEAST_S = 300,
	FOLLOW_MOST_S = 600,
	FOLLOW_GRACE_S = 30, // Beyond what the server was told, before it is given up.
	CONTINUE_MAX = 4096,
	SHOWN_MAX = 200, // Of what cannot be read: its name comes first.
};

enum phase { STREAM_LIST, PAGED_LIST, FOLLOW };

struct watch {
	struct watch_config config;
	struct watch_status status;
	struct loop_timer work;    // Waits for the next slice, or for the end of a pause.
	struct loop_timer silence; // Waits while a streamed list is not at its end.
	struct api_request *request;
	struct json_documents *documents;
	enum phase phase;
	bool cannot_stream;                 // The last streamed list came to nothing.
	bool cannot_page;                   // A page's token expired: the next list is whole.
	bool has_left_out;                  // An object of the last list, or of the one under way.
	bool is_held;                       // The stream waits for api_client_resume().
	char token[CONTINUE_MAX];           // Of the next page; "" for the first.
	char version[RESOURCE_VERSION_MAX]; // Of what was told last; "" for none.

	bool has_page; // Of a list: that is all there is of one.
	bool is_open;  // The request's answer has begun, and it is good.
	bool is_begun; // There is a request, or documents of one; else 'work' waits to begin one.

	// Of the request that is over, whose documents may not have been read to their end.
	bool is_over;
	bool is_ended_within; // By an event: what follows in the stream does not count.
	bool is_good;
	bool is_expired; // 410: the version, or the page's token.
	bool is_refused; // 400 or 422: what was asked for is not known there.
	bool is_forbidden;
	uint32_t retry_after_s;
	char why[WATCH_WHY_MAX];

	enum phase began_as;
	uint64_t began_ns;
	uint64_t n_events_before; // When the request began.
	uint64_t failed_ns;       // Last; 0 for never.
	unsigned n_failures;      // In a row.
};

static void work_at(struct watch *w, uint64_t due_ns)
{
	loop_timer_set(w->config.loop, &w->work, due_ns);
}

// Below 'most_ns': clients that lost one server do not all come back at once.
static uint64_t random_ns(uint64_t most_ns)
{
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = loop_clock_ns();
	return random % most_ns;
}

// What people are told

static void say_failing(struct watch *w, uint64_t pause_ns)
{
	if (w->status.failing && strcmp(w->status.why, w->why) == 0)
		return;
	if (w->is_forbidden)
		log_error("%s cannot be followed, and what was heard last stays in force: %s; "
			  "the role of this account must allow get, list and watch of %s",
			w->config.name, w->why, w->config.name);
	else
		log_warning("%s cannot be followed, and what was heard last stays in force: %s; "
			    "trying again in %.1f s",
			w->config.name, w->why, (double)pause_ns / NSEC_PER_SEC);
}

static void set_failing(struct watch *w, uint64_t pause_ns)
{
	say_failing(w, pause_ns);
	if (!w->status.failing)
		w->status.since_ns = loop_clock_ns();
	w->status.failing = true;
	strcpy(w->status.why, w->why);
}

static void set_well(struct watch *w)
{
	if (!w->status.failing)
		return;
	log_info("%s are followed again", w->config.name);
	w->status.failing = false;
	w->status.since_ns = loop_clock_ns();
}

// Failures

static uint64_t pause_of(struct watch *w, uint64_t now_ns)
{
	uint64_t pause_ns = PAUSE_FIRST_NS;

	if (now_ns - w->failed_ns > HEALTHY_NS)
		w->n_failures = 0;
	for (unsigned i = 0; i < w->n_failures && pause_ns < PAUSE_LONGEST_NS; i++)
		pause_ns *= 2;
	if (pause_ns > PAUSE_LONGEST_NS)
		pause_ns = PAUSE_LONGEST_NS;
	w->n_failures++;
	w->failed_ns = now_ns;
	pause_ns += random_ns(pause_ns);
	return w->retry_after_s * NSEC_PER_SEC > pause_ns ? w->retry_after_s * NSEC_PER_SEC
							  : pause_ns;
}

static void back_off(struct watch *w)
{
	uint64_t now_ns = loop_clock_ns(), pause_ns = pause_of(w, now_ns);

	w->is_begun = false;
	loop_timer_cancel(w->config.loop, &w->silence);
	w->status.n_failures++;
	set_failing(w, pause_ns);
	work_at(w, now_ns + pause_ns);
}

// Documents

static bool remember_version(struct watch *w, const json_t *object)
{
	const char *version = json_text_at(object, "metadata.resourceVersion");

	if (*version == '\0' || strlen(version) >= sizeof(w->version))
		return false;
	strcpy(w->version, version);
	strcpy(w->status.resource_version, version);
	return true;
}

// What a server sent is of no use, whatever its status was.
static int refuse(struct watch *w, const char *what)
{
	snprintf(w->why, sizeof(w->why), "the API server sent %s", what);
	return -EBADMSG;
}

// Likewise, of one object: others may be good.
static int pass_over(struct watch *w, const char *what)
{
	refuse(w, what);
	return -EINVAL;
}

static int end_list(struct watch *w, const json_t *object)
{
	if (!remember_version(w, object))
		return refuse(w, "a list without a resourceVersion");

	w->token[0] = '\0';
	w->cannot_page = false;
	w->cannot_stream = false;
	w->phase = FOLLOW;
	loop_timer_cancel(w->config.loop, &w->silence);
	w->status.n_lists++;
	w->status.synced = true;
	w->config.synced(w->config.argument, !w->has_left_out);
	set_well(w);
	return 0;
}

static bool ends_initial_events(const json_t *bookmark)
{
	const char *end = json_string_value(
		json_object_get(json_at(bookmark, "metadata.annotations"), INITIAL_END));

	return end != NULL && strcmp(end, "true") == 0;
}

static int take_bookmark(struct watch *w, const json_t *object)
{
	if (w->phase != FOLLOW)
		return ends_initial_events(object) ? end_list(w, object) : 0;
	remember_version(w, object);
	set_well(w);
	return 0;
}

// The server says within the stream that it has to end.
static int take_error(struct watch *w, const json_t *status)
{
	json_int_t code = json_number_at(status, "code");
	json_int_t retry_after_s = json_number_at(status, "details.retryAfterSeconds");

	api_client_cancel(w->config.client, w->request);
	w->request = NULL;
	w->is_over = w->is_ended_within = true;
	w->is_good = w->is_held = false;
	w->is_expired = code == 410 || code == 504;
	w->retry_after_s = retry_after_s > 0 && retry_after_s < RETRY_AFTER_MAX_S
		? (uint32_t)retry_after_s
		: 0;
	snprintf(w->why, sizeof(w->why), "the API server ended the watch: %.400s",
		json_text_at(status, "message"));
	return 0;
}

static int tell(struct watch *w, enum watch_change change, const json_t *object)
{
	if (!json_is_object(object))
		return pass_over(w, "an event without an object");

	if (w->phase == FOLLOW) {
		w->status.n_events++;
		remember_version(w, object);
		set_well(w);
	} else {
		w->status.n_objects++;
	}
	w->config.told(w->config.argument, change, object);
	return 0;
}

static int take_event(struct watch *w, const json_t *event)
{
	const char *type = json_text_at(event, "type");
	const json_t *object = json_at(event, "object");

	if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
		return tell(w, WATCH_SET, object);
	if (strcmp(type, "DELETED") == 0)
		return tell(w, WATCH_GONE, object);
	if (strcmp(type, "BOOKMARK") == 0)
		return take_bookmark(w, object);
	if (strcmp(type, "ERROR") == 0)
		return take_error(w, object);
	return pass_over(w, "an event of a type that is not known");
}

// What is around the items of a page: it comes last.
static int take_page(struct watch *w, const json_t *page)
{
	const char *token = json_text_at(page, "metadata.continue");
	const json_t *items = json_object_get(page, "items");

	if (!json_is_array(items) && !json_is_null(items))
		return refuse(w, "something else than a list");
	w->has_page = true;
	if (*token == '\0')
		return end_list(w, page);
	if (strcmp(token, w->token) == 0)
		return refuse(w, "a page that is followed by itself");
	if (strlen(token) >= sizeof(w->token)) {
		w->cannot_page = true;
		return refuse(w, "the token of a page that is too long");
	}
	strcpy(w->token, token);
	return 0;
}

// Its beginning, of printable characters alone.
static void show(const struct json_document *document, char ret_text[SHOWN_MAX])
{
	size_t len = document->len < SHOWN_MAX - 1 ? document->len : SHOWN_MAX - 1;

	for (size_t i = 0; i < len; i++)
		ret_text[i] = document->text[i] >= ' ' && document->text[i] <= '~'
			? document->text[i]
			: '?';
	ret_text[len] = '\0';
}

static int leave_out(struct watch *w, const struct json_document *document)
{
	char shown[SHOWN_MAX];

	if (w->phase == FOLLOW && !w->has_left_out)
		return -EBADMSG; // A list may have it so that it can be read.
	w->has_left_out = true;
	w->status.n_bad_objects++;
	show(document, shown);
	log_limited(
		LEVEL_WARNING, "one of the %s is left out: %s: %s", w->config.name, w->why, shown);
	return 0;
}

static int take_document(struct watch *w, const struct json_document *document)
{
	json_t *json = json_parse(document->text, document->len);
	int r;

	if (w->phase == PAGED_LIST && !document->is_item)
		r = take_page(w, json);
	else if (json == NULL)
		r = pass_over(w, "what is no JSON");
	else if (document->is_item)
		r = tell(w, WATCH_SET, json);
	else
		r = take_event(w, json);
	json_decref(json);
	return r == -EINVAL ? leave_out(w, document) : r;
}

// The request

static void explain_end(struct watch *w, const struct api_answer *answer)
{
	w->is_good = api_status_is_good(answer->status);
	w->is_expired = answer->status == 410;
	w->is_refused = answer->status == 400 || answer->status == 422;
	w->is_forbidden = answer->status == 403;
	w->retry_after_s = answer->retry_after_s < RETRY_AFTER_MAX_S ? answer->retry_after_s
								     : RETRY_AFTER_MAX_S;
	snprintf(w->why, sizeof(w->why), "%.500s", answer->why);
}

static void request_over(void *argument, const struct api_answer *answer)
{
	struct watch *w = argument;

	w->request = NULL;
	w->is_held = false;
	w->is_over = true;
	explain_end(w, answer);
	work_at(w, loop_clock_ns());
}

static uint32_t patience_ms(const struct watch *w)
{
	return w->config.patience_ms == 0 ? PATIENCE_MS : w->config.patience_ms;
}

static void await_more(struct watch *w)
{
	loop_timer_set(
		w->config.loop, &w->silence, loop_clock_ns() + patience_ms(w) * NSEC_PER_MSEC);
}

static bool take_bytes(void *argument, const char *bytes, size_t len)
{
	struct watch *w = argument;

	if (len == 0) {
		w->is_open = true;
		if (w->phase == STREAM_LIST)
			await_more(w);
		work_at(w, loop_clock_ns() + SHORT_NS);
		return true;
	}
	if (json_documents_unread(w->documents) > UNREAD_MAX ||
		json_documents_feed(w->documents, bytes, len) < 0) {
		w->is_held = true;
		work_at(w, loop_clock_ns());
		return false;
	}
	work_at(w, loop_clock_ns());
	return true;
}

static int ask(struct watch *w, const char *query, uint32_t timeout_ms)
{
	bool has_query = strchr(w->config.path, '?') != NULL;
	char *path;

	if (asprintf(&path, "%s%c%s", w->config.path, has_query ? '&' : '?', query) < 0)
		return -ENOMEM;
	struct client_call call = {
		.method = "GET",
		.path = path,
		.timeout_ms = timeout_ms,
		.head_timeout_ms = patience_ms(w),
		.stream = take_bytes,
		.fn = request_over,
		.argument = w,
	};
	int r = api_client_call(w->config.client, &call, &w->request);
	free(path);
	return r;
}

// As much as a query has room for.
static void escape(const char *text, char *ret_text, size_t room)
{
	char *escaped = curl_easy_escape(NULL, text, 0);

	snprintf(ret_text, room, "%s", escaped == NULL ? "" : escaped);
	curl_free(escaped);
}

static int ask_page(struct watch *w)
{
	char query[3 * CONTINUE_MAX + 64], token[3 * CONTINUE_MAX];

	if (w->cannot_page)
		return ask(w, "resourceVersion=", patience_ms(w));
	escape(w->token, token, sizeof(token));
	snprintf(query, sizeof(query), "limit=%d%s%s", PAGE_OBJECTS,
		w->token[0] == '\0' ? "" : "&continue=", token);
	return ask(w, query, patience_ms(w));
}

static int ask_watch(struct watch *w)
{
	uint32_t seconds = FOLLOW_LEAST_S +
		(uint32_t)(random_ns((FOLLOW_MOST_S - FOLLOW_LEAST_S) * NSEC_PER_SEC) /
			NSEC_PER_SEC);
	uint32_t timeout_ms = (seconds + FOLLOW_GRACE_S) * 1000;
	char query[512], version[3 * RESOURCE_VERSION_MAX];
	const char *initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&";

	escape(w->phase == FOLLOW ? w->version : "", version, sizeof(version));
	snprintf(query, sizeof(query),
		"watch=1&allowWatchBookmarks=true&%sresourceVersion=%s&timeoutSeconds=%u",
		w->phase == FOLLOW ? "" : initial, version, seconds);
	w->status.n_watches++;
	return ask(w, query, timeout_ms);
}

static void reset(struct watch *w, enum json_stream kind)
{
	json_documents_destroy(w->documents);
	w->documents = json_documents_create(kind, DOCUMENT_MAX);
	w->is_begun = true;
	w->is_ended_within = false;
	w->is_over = w->is_good = w->is_expired = w->is_refused = w->is_forbidden = false;
	w->is_held = w->is_open = w->has_page = false;
	loop_timer_cancel(w->config.loop, &w->silence);
	w->retry_after_s = 0;
	w->began_as = w->phase;
	w->began_ns = loop_clock_ns();
	w->n_events_before = w->status.n_events;
}

static void begin_request(struct watch *w)
{
	bool begins_list = w->version[0] == '\0' && w->token[0] == '\0';

	if (w->version[0] == '\0')
		w->phase = w->cannot_stream ? PAGED_LIST : STREAM_LIST;
	reset(w, w->phase == PAGED_LIST ? JSON_LIST : JSON_EACH);
	if (begins_list) {
		w->has_left_out = false;
		w->config.begun(w->config.argument);
	}
	int r = w->documents == NULL     ? -ENOMEM
		: w->phase == PAGED_LIST ? ask_page(w)
					 : ask_watch(w);
	if (r < 0) {
		snprintf(w->why, sizeof(w->why), "%s",
			r == -EBUSY ? "too many requests wait" : "out of memory");
		back_off(w);
	}
}

// The end of a request

static void list_anew(struct watch *w)
{
	// A page's token that expired is a reason not to page; a version that did, is none.
	w->cannot_page = w->phase == PAGED_LIST && w->token[0] != '\0';
	w->version[0] = w->token[0] = '\0';
}

// A watch whose time was over.
static void end_well(struct watch *w)
{
	bool was_short = w->began_as == FOLLOW && w->status.n_events == w->n_events_before &&
		loop_clock_ns() - w->began_ns < SHORT_NS;

	bool was_empty = w->began_as == PAGED_LIST && !w->has_page;

	w->cannot_stream |= w->phase == STREAM_LIST; // It never said that this was all.
	if (w->phase == STREAM_LIST || was_short || was_empty) {
		snprintf(w->why, sizeof(w->why),
			was_empty ? "the API server's answer was empty"
				  : "the API server ended the watch at once");
		back_off(w);
		return;
	}
	begin_request(w);
}

static void end_request(struct watch *w)
{
	if (w->is_good && json_documents_is_between(w->documents)) {
		end_well(w);
		return;
	}
	if (w->is_good)
		snprintf(w->why, sizeof(w->why), "the API server's answer was cut");
	if (w->phase == STREAM_LIST && w->is_refused) {
		w->cannot_stream = true;
		begin_request(w);
		return;
	}
	if (w->is_expired)
		list_anew(w);
	else if (w->phase != FOLLOW)
		w->token[0] = '\0'; // What was told of a list that failed is told anew.
	back_off(w);
}

// What was sent cannot be used, for the reason 'why': that ends the request.
static void give_up(struct watch *w)
{
	api_client_cancel(w->config.client, w->request);
	w->request = NULL;
	if (w->phase == FOLLOW)
		list_anew(w);
	else
		w->token[0] = '\0';
	back_off(w);
}

static int next_document(struct watch *w, struct json_document *ret_document)
{
	int r = json_documents_next(w->documents, ret_document);

	if (r == -EMSGSIZE)
		refuse(w, "a document of more than 4 MiB");
	else if (r == -EBADMSG)
		refuse(w, "what is no JSON");
	else if (r < 0)
		snprintf(w->why, sizeof(w->why), "out of memory");
	return r;
}

// Takes in documents for SLICE_NS, or until one of them ends the request. Returns 1 if there are
// more, 0 if there is none for now, or -errno with the reason in 'why'.
static int take_slice(struct watch *w)
{
	uint64_t until_ns = loop_clock_ns() + SLICE_NS;
	struct json_document document;

	while (loop_clock_ns() < until_ns) {
		int r = next_document(w, &document);
		if (r == 1)
			r = take_document(w, &document) < 0 ? -EBADMSG : 1;
		if (r <= 0)
			return r;
		if (w->phase == STREAM_LIST)
			await_more(w);
		if (w->is_ended_within)
			return 0;
	}
	return 1;
}

static void go_on(struct watch *w)
{
	int r = take_slice(w);

	if (r < 0)
		give_up(w);
	else if (r > 0)
		work_at(w, loop_clock_ns());
	else if (w->is_over)
		end_request(w);
	else if (w->is_held) {
		w->is_held = false;
		api_client_resume(w->config.client, w->request);
	} else if (w->is_open && w->phase == FOLLOW && loop_clock_ns() - w->began_ns >= SHORT_NS) {
		set_well(w); // It lasts, though there is nothing to tell.
	}
}

// A server that does not know of streamed lists may take one for an ordinary watch, and then never
// says that this was all.
static void give_up_streaming(void *argument, uint64_t)
{
	struct watch *w = argument;

	w->cannot_stream = true;
	snprintf(w->why, sizeof(w->why), "the API server is silent within a list");
	give_up(w);
}

static void work(void *argument, uint64_t)
{
	struct watch *w = argument;

	if (!w->is_begun)
		begin_request(w);
	else
		go_on(w);
}

// The face

int watch_start(const struct watch_config *config, struct watch **ret_watch)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -ENOMEM;
	w->config = *config;
	w->work = (struct loop_timer){.name = "watch", .fn = work, .argument = w};
	w->silence = (struct loop_timer){
		.name = "watch is silent", .fn = give_up_streaming, .argument = w};
	w->status.since_ns = loop_clock_ns();
	work_at(w, loop_clock_ns());
	*ret_watch = w;
	return 0;
}

void watch_stop(struct watch *watch)
{
	if (watch == NULL)
		return;

	api_client_cancel(watch->config.client, watch->request);
	loop_timer_cancel(watch->config.loop, &watch->work);
	loop_timer_cancel(watch->config.loop, &watch->silence);
	json_documents_destroy(watch->documents);
	free(watch);
}

void watch_read_status(const struct watch *watch, struct watch_status *ret_status)
{
	*ret_status = watch->status;
}
