#pragma once

#include <jansson.h>

// What a pure part wants to be asked of the API server.
struct api_ask {
	const char *method;
	char path[256];
	json_t *body; // The caller's; NULL for none.
};
