#pragma once

#include <stdbool.h>

#include "event_filter.h"

// Events that wait to be taken, first in first out, a bounded number of them.
struct event_queue;

// NULL when out of memory.
struct event_queue *event_queue_create(void);

// Accepts NULL.
void event_queue_destroy(struct event_queue *queue);

// A place for one more, which is the caller's to fill; NULL if there is none: the newest are lost.
struct service_event *event_queue_add(struct event_queue *queue);

// Returns false if there is none.
bool event_queue_take(struct event_queue *queue, struct service_event *ret_event);
