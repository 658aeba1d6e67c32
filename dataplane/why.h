#pragma once

#include <stdarg.h>
#include <stdio.h>

#include "guideway/dataplane.h"

// Says in 'ret_why' what failed and what would be right, and returns 'r', so that a failure is one
// line where it happens.
__attribute__((format(printf, 3, 4))) static inline int why(
	char ret_why[WHY_MAX], int r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(ret_why, WHY_MAX, format, arguments);
	va_end(arguments);
	return r;
}
