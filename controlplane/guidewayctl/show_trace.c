#include <stdio.h>
#include <string.h>

#include "show.h"
#include "table.h"

static void show_verdict(const json_t *answer)
{
	const char *verdict = text_of(answer, "verdict");
	const json_t *first = json_array_get(json_object_get(answer, "frames"), 0);
	size_t n = json_array_size(json_object_get(answer, "frames"));

	if (strcmp(verdict, "leaves") == 0)
		printf("leaves by port %lld%s\n", number_of(first, "port"),
			n > 1 ? ", in fragments" : "");
	else if (strcmp(verdict, "kernel") == 0)
		printf("goes to the kernel, by the twin of port %lld\n", number_of(first, "port"));
	else if (strcmp(verdict, "waits") == 0)
		printf("waits a little for the MAC address of %s, and leaves if that is told\n",
			text_of(answer, "waits_for"));
	else if (strcmp(verdict, "kept") == 0)
		printf("is kept until the rest of its datagram comes\n");
	else if (strcmp(verdict, "taken") == 0)
		printf("is taken, and nothing leaves\n");
	else
		printf("dropped: %s (%s)%s\n", text_of(answer, "sentence"), text_of(answer, "drop"),
			is_true(answer, "answered") ? "; its sender is told" : "");
}

static void show_steps(const json_t *steps)
{
	static const char *const headers[] = {">WORKER", "STEP", "", NULL};
	struct table table;
	size_t i;
	json_t *step;

	table_begin(&table, headers);
	json_array_foreach(steps, i, step)
	{
		table_cell(&table, "%lld", number_of(step, "worker"));
		table_cell(&table, "%s", text_of(step, "step"));
		table_cell(&table, "%s", text_of(step, "says"));
	}
	table_print(&table);
}

static void show_frame(const char *what, const char *hex, bool has_ethernet)
{
	printf("\n%s ", what);
	if (has_ethernet)
		print_frame(hex, true);
	else
		print_packet(hex);
	printf("  %zu bytes\n%s\n", strlen(hex) / 2, hex);
}

void show_trace(const json_t *answer)
{
	size_t i;
	json_t *frame;

	show_verdict(answer);
	printf("\n");
	show_steps(json_object_get(answer, "steps"));
	show_frame("in  ", text_of(answer, "frame"), true);
	json_array_foreach(json_object_get(answer, "frames"), i, frame)
	{
		show_frame("out ", text_of(frame, "bytes"),
			strcmp(text_of(frame, "way"), "waits") != 0);
	}
}
