#include "alarms.h"

#include <inttypes.h>

#include "log.h"

static const struct alarm_of_drops {
	enum drop_reason reason;
	const char *advice;
} of_drops[] = {
	{DROP_FLOWS_FULL, "raise the size of flow memory"},
	{DROP_NO_PORT, "add an SNAT address, or nodes"},
	{DROP_HANDOVER_FULL, "a worker is overloaded: see guidewayctl status"},
	{DROP_KERNEL_FULL, "too much arrives for this machine itself"},
	{DROP_KERNEL_CONTROL_FULL, "health checks and neighbours may suffer"},
	{DROP_TX_FULL, "a port sends slower than packets come"},
	{DROP_NO_MEMORY, "raise the number of packet buffers"},
};

static const struct alarm_of_events {
	enum event event;
	const char *advice;
} of_events[] = {
	{EVENT_FLOWS_EVICTED_HALF_OPEN, "a SYN flood, or flow memory is too small"},
	{EVENT_FLOWS_EVICTED_CLOSING, "flow memory is too small"},
	{EVENT_SNAT_PORT_REUSED_EARLY, "SNAT ports run short: add an SNAT address, or nodes"},
};

void alarms_check(struct alarms *alarms, const struct dataplane *dp)
{
	struct counters now;

	dataplane_read_counters(dp, &now);
	for (size_t i = 0; i < sizeof(of_drops) / sizeof(of_drops[0]); i++) {
		enum drop_reason reason = of_drops[i].reason;
		uint64_t n = now.drops[reason] - alarms->last.drops[reason];

		if (n > 0)
			log_warning("%" PRIu64 " packets were dropped lately (%s): %s", n,
				drop_reason_sentence(reason), of_drops[i].advice);
	}
	for (size_t i = 0; i < sizeof(of_events) / sizeof(of_events[0]); i++) {
		enum event event = of_events[i].event;
		uint64_t n = now.events[event] - alarms->last.events[event];

		if (n > 0)
			log_warning("%" PRIu64 " times lately (%s): %s", n, event_sentence(event),
				of_events[i].advice);
	}
	alarms->last = now;
}
