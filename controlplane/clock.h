#pragma once

#include <stdint.h>

// Units of the monotonic clock, which the control plane counts in nanoseconds.
#define NSEC_PER_SEC UINT64_C(1000000000)
#define NSEC_PER_MSEC UINT64_C(1000000)
