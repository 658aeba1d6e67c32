#pragma once

#include <stdbool.h>

#include "guideway/address.h"
#include "service_object.h"

// What the leader of several Guidewayes records for all of them: the addresses that a Service has,
// in an annotation of it, the first of its families first.
#define RECORDED_ADDRESSES "guideway.dev/addresses"

enum { RECORD_TEXT_MAX = 128 };

// By family; none where nothing is recorded. What is no list of addresses is as if it were not
// there.
void recorded_addresses_read(
	const struct service_object *service, struct address ret_addresses[N_FAMILIES]);

// "203.0.113.1,2001:db8:113::1", or "" for none.
const char *recorded_addresses_format(const struct service_object *service,
	const struct address addresses[N_FAMILIES], char ret_text[RECORD_TEXT_MAX]);
