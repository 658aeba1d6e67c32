#include "text_lines.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int text_lines_add(struct text_lines *lines, const char *format, ...)
{
	char **more = realloc(lines->lines, (lines->n + 1) * sizeof(*more));
	va_list arguments;
	char *line;

	if (more == NULL)
		return -ENOMEM;
	lines->lines = more;

	va_start(arguments, format);
	int len = vasprintf(&line, format, arguments);
	va_end(arguments);
	if (len < 0)
		return -ENOMEM;
	lines->lines[lines->n++] = line;
	return 0;
}

void text_lines_clear(struct text_lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		free(lines->lines[i]);
	free(lines->lines);
	*lines = (struct text_lines){0};
}
