#pragma once

#include <stddef.h>

// Text in columns, each as wide as its widest cell.

struct table {
	const char *const *headers; // Up to NULL; one that begins with '>' is of numbers.
	size_t n_columns;
	char **cells; // [n_cells], row by row.
	size_t n_cells;
};

void table_begin(struct table *table, const char *const *headers);

// The next cell, from left to right and then down. Ends the program when out of memory.
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Prints the headers and what there is, and frees it.
void table_print(struct table *table);
