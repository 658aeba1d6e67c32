#pragma once

#include <stddef.h>
#include <stdlib.h>

typedef int compare_indexes_fn(const void *a, const void *b, void *argument);

// As qsort_r() of size_t, which takes as long for what is in order already; as most here is.
static inline void sort_indexes(
	size_t *indexes, size_t n, compare_indexes_fn *compare, void *argument)
{
	for (size_t i = 1; i < n; i++) {
		if (compare(&indexes[i - 1], &indexes[i], argument) > 0) {
			qsort_r(indexes, n, sizeof(*indexes), compare, argument);
			return;
		}
	}
}
