#pragma once

#include <stddef.h>

// Lines of text, each without its newline. {0} has none.
struct text_lines {
	char **lines; // [n]
	size_t n;
};

// Adds a line. Returns 0 or -ENOMEM.
int text_lines_add(struct text_lines *lines, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

// Makes it {0} again.
void text_lines_clear(struct text_lines *lines);
