#include "event_queue.h"

#include <stdlib.h>

enum { EVENTS_MAX = 256 };

struct event_queue {
	size_t first;
	size_t n;
	struct service_event events[EVENTS_MAX]; // A ring: n of them from 'first' on are used.
};

struct event_queue *event_queue_create(void)
{
	return calloc(1, sizeof(struct event_queue));
}

void event_queue_destroy(struct event_queue *queue)
{
	free(queue);
}

struct service_event *event_queue_add(struct event_queue *queue)
{
	return queue->n == EVENTS_MAX ? NULL
				      : &queue->events[(queue->first + queue->n++) % EVENTS_MAX];
}

bool event_queue_take(struct event_queue *queue, struct service_event *ret_event)
{
	if (queue->n == 0)
		return false;
	*ret_event = queue->events[queue->first];
	queue->first = (queue->first + 1) % EVENTS_MAX;
	queue->n--;
	return true;
}
