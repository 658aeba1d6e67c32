#pragma once

#include "guideway/dataplane.h"

// Says once in an interval what the workers ran short of, and what would help.

struct alarms {
	struct counters last; // As of the last call of alarms_check().
};

// To be called every LOG_INTERVAL_S or so; each call looks at what happened since the last.
void alarms_check(struct alarms *alarms, const struct dataplane *dp);
