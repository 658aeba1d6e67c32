#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "service_object.h"

// Events of Kubernetes (v1, core): what people see under 'kubectl describe'. Pure.
//
// As with client-go's recorder, an API server is not flooded by what repeats: the same event again
// is a higher count of the first; after EVENTS_ALIKE_MAX in ten minutes that differ in their
// message alone, more of them are one; and an object has EVENT_BURST events at once and then one
// each five minutes.
//
// An event has one request under way at a time, so that none overtakes another: what repeats
// meanwhile is counted, and told with the answer. One that could not be created is forgotten, and
// one that somebody deleted is created anew, so that what goes on repeating is seen.

enum {
	EVENT_MESSAGE_MAX = 1024, // As the API server has it.
	EVENTS_ALIKE_MAX = 10,
	EVENT_BURST = 25,
	EVENTS_KNOWN_MAX = 4096, // Beyond these the oldest are forgotten: they would be new again.
};

struct service_event {
	char space[SPACE_TEXT_MAX]; // Of the Service,
	char name[SPACE_TEXT_MAX];  // its name
	char uid[UID_TEXT_MAX];     // and uid.
	bool is_warning;
	const char *reason; // "EnsuredLoadBalancer"; a constant.
	char message[EVENT_MESSAGE_MAX];
};

struct event_filter;

// 'instance' tells several Guideways apart. Returns NULL when out of memory.
struct event_filter *event_filter_create(const char *instance);

// Accepts NULL.
void event_filter_destroy(struct event_filter *filter);

// What is to be sent for it: to 'path' with POST, or with PATCH (strategic merge) if there is one
// to be counted up. event_filter_answer() has to be told how it was answered.
struct event_request {
	bool is_patch;
	char path[256];
	json_t *body;  // The caller's.
	uint64_t hash; // The filter's: which event it is about.
};

// Returns false if nothing is to be sent now. 'now_s' is the time of day, since 1970.
bool event_filter_take(struct event_filter *filter, const struct service_event *event,
	int64_t now_s, struct event_request *ret_request);

// How 'sent', which was for 'event', was answered; its body is not looked at. 'status' is of HTTP,
// 0 for no answer. Returns whether more is to be sent for it, at once.
bool event_filter_answer(struct event_filter *filter, const struct service_event *event,
	const struct event_request *sent, unsigned status, struct event_request *ret_next);
