#include "table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	COLUMNS_MAX = 24,
};

void table_begin(struct table *table, const char *const *headers)
{
	*table = (struct table){.headers = headers};
	while (headers[table->n_columns] != NULL && table->n_columns < COLUMNS_MAX)
		table->n_columns++;
}

static void out_of_memory(void)
{
	fprintf(stderr, "guidewayctl: out of memory\n");
	exit(1);
}

void table_cell(struct table *table, const char *format, ...)
{
	va_list arguments;

	char **cells = reallocarray(table->cells, table->n_cells + 1, sizeof(*cells));
	if (cells == NULL)
		out_of_memory();
	table->cells = cells;
	va_start(arguments, format);
	if (vasprintf(&cells[table->n_cells], format, arguments) < 0)
		out_of_memory();
	va_end(arguments);
	table->n_cells++;
}

static bool is_of_numbers(const struct table *table, size_t column)
{
	return table->headers[column][0] == '>';
}

static const char *header(const struct table *table, size_t column)
{
	return table->headers[column] + is_of_numbers(table, column);
}

static void print_row(const struct table *table, const size_t *widths, const char *const *cells)
{
	for (size_t i = 0; i < table->n_columns; i++) {
		bool last = i + 1 == table->n_columns;
		int width = (int)widths[i];

		if (is_of_numbers(table, i))
			printf("%*s%s", width, cells[i], last ? "\n" : "  ");
		else if (last)
			printf("%s\n", cells[i]);
		else
			printf("%-*s  ", width, cells[i]);
	}
}

void table_print(struct table *table)
{
	size_t widths[COLUMNS_MAX];
	const char *headers[COLUMNS_MAX];

	for (size_t i = 0; i < table->n_columns; i++) {
		headers[i] = header(table, i);
		widths[i] = strlen(headers[i]);
	}
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t len = strlen(table->cells[i]);

		if (len > widths[i % table->n_columns])
			widths[i % table->n_columns] = len;
	}
	print_row(table, widths, headers);
	for (size_t i = 0; i + table->n_columns <= table->n_cells; i += table->n_columns)
		print_row(table, widths, (const char *const *)&table->cells[i]);
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
}
