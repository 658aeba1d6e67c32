#include "event_filter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_read.h"
#include "name.h"

#define WINDOW_S 600 // In which events that are alike are put together.
#define REFILL_S 300 // An object's next event beyond its burst.

// The source of an event is what kube-controller-manager's service controller is elsewhere.
#define COMPONENT "guideway"

// One that was told of, and may be counted up.
struct known {
	uint64_t hash; // Of its object, type, reason and message; 0 for a free place.
	char name[2 * SPACE_TEXT_MAX];
	int64_t first_s;
	int64_t last_s;
	uint32_t count;
	uint32_t asked;   // The count that the request under way has; 0 if none is.
	bool is_recorded; // The API server has it, as far as we know.
};

// What an object has left.
struct purse {
	uint64_t hash; // Of its uid; 0 for a free place.
	double tokens;
	int64_t at_s;
};

// How many messages one reason of an object had lately.
struct likeness {
	uint64_t hash; // Of object and reason; 0 for a free place.
	int64_t since_s;
	uint32_t n;
};

// Each is found by its hash among WAYS places, where the one used longest ago makes room: all of it
// is a memory of what was said, and to forget is to say it again.
enum { WAYS = 8 };

struct event_filter {
	char instance[SPACE_TEXT_MAX];
	uint64_t n_named;
	struct known known[EVENTS_KNOWN_MAX];
	struct purse purses[EVENTS_KNOWN_MAX];
	struct likeness likenesses[EVENTS_KNOWN_MAX];
};

struct event_filter *event_filter_create(const char *instance)
{
	struct event_filter *filter = calloc(1, sizeof(*filter));

	if (filter != NULL)
		snprintf(filter->instance, sizeof(filter->instance), "%.63s", instance);
	return filter;
}

void event_filter_destroy(struct event_filter *filter)
{
	free(filter);
}

static uint64_t hash_with(uint64_t seed, const char *text)
{
	uint64_t hash = mix(seed ^ name_hash(text));

	return hash == 0 ? 1 : hash;
}

// The first of the places that a hash may have.
static size_t places_of(uint64_t hash)
{
	return hash % (EVENTS_KNOWN_MAX / WAYS) * WAYS;
}

static struct purse *find_purse(struct event_filter *filter, uint64_t hash, int64_t now_s)
{
	struct purse *places = &filter->purses[places_of(hash)], *oldest = places;

	for (size_t i = 0; i < WAYS; i++) {
		if (places[i].hash == hash)
			return &places[i];
		if (places[i].at_s < oldest->at_s)
			oldest = &places[i];
	}
	*oldest = (struct purse){hash, EVENT_BURST, now_s};
	return oldest;
}

// Takes one of the object's events, if it has one left.
static bool afford(struct event_filter *filter, const struct service_event *event, int64_t now_s)
{
	struct purse *purse = find_purse(filter, hash_with(0, event->uid), now_s);

	if (now_s > purse->at_s) {
		purse->tokens += (double)(now_s - purse->at_s) / REFILL_S;
		purse->tokens = purse->tokens < EVENT_BURST ? purse->tokens : EVENT_BURST;
		purse->at_s = now_s;
	}
	if (purse->tokens < 1)
		return false;
	purse->tokens--;
	return true;
}

static struct likeness *find_likeness(struct event_filter *filter, uint64_t hash, int64_t now_s)
{
	struct likeness *places = &filter->likenesses[places_of(hash)], *oldest = places;

	for (size_t i = 0; i < WAYS; i++) {
		if (places[i].hash == hash)
			return &places[i];
		if (places[i].since_s < oldest->since_s)
			oldest = &places[i];
	}
	*oldest = (struct likeness){hash, now_s, 0};
	return oldest;
}

// Counts one more message of the object's reason. Returns whether they are too many to be told one
// by one.
static bool are_too_many(struct event_filter *filter, uint64_t alike, int64_t now_s)
{
	struct likeness *likeness = find_likeness(filter, alike, now_s);

	if (now_s - likeness->since_s >= WINDOW_S)
		*likeness = (struct likeness){alike, now_s, 0};
	return ++likeness->n > EVENTS_ALIKE_MAX;
}

// Returns NULL if it was not sent lately.
static struct known *find_known(struct event_filter *filter, uint64_t hash)
{
	struct known *places = &filter->known[places_of(hash)];

	for (size_t i = 0; i < WAYS; i++) {
		if (places[i].hash == hash)
			return &places[i];
	}
	return NULL;
}

static struct known *make_room(struct event_filter *filter, uint64_t hash)
{
	struct known *places = &filter->known[places_of(hash)], *oldest = places;

	for (size_t i = 0; i < WAYS; i++) {
		if (places[i].hash == hash)
			return &places[i];
		if (places[i].last_s < oldest->last_s)
			oldest = &places[i];
	}
	return oldest;
}

// Of all that are alike but for their message.
static uint64_t likeness_of(const struct service_event *event)
{
	return hash_with(hash_with(event->is_warning, event->uid), event->reason);
}

static struct known *begin(struct event_filter *filter, const struct service_event *event,
	uint64_t hash, int64_t now_s)
{
	struct known *known = make_room(filter, hash);

	*known = (struct known){.hash = hash, .first_s = now_s};
	// The name is a DNS subdomain, and nobody else's.
	snprintf(known->name, sizeof(known->name), "%s.%" PRIx64, event->name,
		mix((uint64_t)now_s << 20 ^ filter->n_named++ ^ hash_with(0, filter->instance)));
	return known;
}

static json_t *whole(const struct event_filter *filter, const struct service_event *event,
	const struct known *known)
{
	bool is_combined = known->hash == likeness_of(event);
	const char *before = is_combined ? "(combined from similar events): " : "";
	char message[EVENT_MESSAGE_MAX], first[JSON_TIME_MAX], last[JSON_TIME_MAX];

	snprintf(message, sizeof(message), "%s%.*s", before,
		(int)(sizeof(message) - 1 - strlen(before)), event->message);
	json_format_time(known->first_s, first);
	json_format_time(known->last_s, last);
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s}, s:s, s:s, s:s,"
			 " s:{s:s, s:s}, s:s, s:s, s:i, s:s, s:s}",
		"kind", "Event", "apiVersion", "v1", "metadata", "name", known->name, "namespace",
		event->space, "involvedObject", "kind", "Service", "apiVersion", "v1", "namespace",
		event->space, "name", event->name, "uid", event->uid, "type",
		event->is_warning ? "Warning" : "Normal", "reason", event->reason, "message",
		message, "source", "component", COMPONENT, "host", filter->instance,
		"firstTimestamp", first, "lastTimestamp", last, "count", (int)known->count,
		"reportingComponent", COMPONENT, "reportingInstance", filter->instance);
}

static json_t *difference(const struct known *known)
{
	char last[JSON_TIME_MAX];

	json_format_time(known->last_s, last);
	return json_pack("{s:i, s:s}", "count", (int)known->count, "lastTimestamp", last);
}

static void forget(struct known *known)
{
	*known = (struct known){0};
}

// All of it, or how often it was by now.
static bool send(const struct event_filter *filter, const struct service_event *event,
	struct known *known, struct event_request *ret_request)
{
	struct event_request request = {
		.is_patch = known->is_recorded,
		.body = known->is_recorded ? difference(known) : whole(filter, event, known),
		.hash = known->hash,
	};

	if (request.body == NULL) {
		forget(known);
		return false;
	}
	snprintf(request.path, sizeof(request.path), "/api/v1/namespaces/%s/events%s%s",
		event->space, known->is_recorded ? "/" : "", known->is_recorded ? known->name : "");
	known->asked = known->count;
	*ret_request = request;
	return true;
}

bool event_filter_take(struct event_filter *filter, const struct service_event *event,
	int64_t now_s, struct event_request *ret_request)
{
	uint64_t alike = likeness_of(event), hash = hash_with(alike, event->message);
	struct known *known = find_known(filter, hash);

	if (!afford(filter, event, now_s))
		return false;
	if (known == NULL && are_too_many(filter, alike, now_s)) {
		hash = alike;
		known = find_known(filter, hash);
	}
	if (known == NULL || now_s - known->last_s >= WINDOW_S)
		known = begin(filter, event, hash, now_s);
	known->count++;
	known->last_s = now_s;
	return known->asked == 0 && send(filter, event, known, ret_request);
}

bool event_filter_answer(struct event_filter *filter, const struct service_event *event,
	const struct event_request *sent, unsigned status, struct event_request *ret_next)
{
	struct known *known = find_known(filter, sent->hash);

	if (known == NULL)
		return false; // Others made it be forgotten meanwhile.
	uint32_t asked = known->asked;
	known->asked = 0;
	if (status == 200 || status == 201) {
		known->is_recorded = true;
		return known->count > asked && send(filter, event, known, ret_next);
	}
	if (sent->is_patch && status == 404) {
		known->is_recorded = false;
		return send(filter, event, known, ret_next);
	}
	if (!sent->is_patch)
		forget(known);
	return false;
}
