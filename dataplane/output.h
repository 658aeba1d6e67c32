#pragma once

#include <stdbool.h>

#include "burst.h"
#include "pipeline.h"

// See pipeline_retry().
bool output_retry(struct burst *b, const struct waiting *waiting);
