#pragma once

#include <jansson.h>

#include "control_server.h"
#include "guideway/trace.h"

// A trace as a document, each step of it a sentence. NULL when out of memory.
json_t *trace_document(const struct control_sources *from, const struct trace_request *request,
	const struct trace *trace);
