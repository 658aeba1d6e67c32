#pragma once

#include <stdbool.h>

// guidewayctl kubernetes release --all: asks whether it is meant unless 'is_meant', has guideway
// give up the cluster's Services, and says how far it is until it is done, or nothing moves any
// more. Returns the exit status.
int release_all(const char *socket, bool is_meant);
