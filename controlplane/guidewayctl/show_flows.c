#include <stdio.h>
#include <string.h>

#include "show.h"
#include "table.h"

static const char *const flow_headers[] = {"PROTOCOL", "CLIENT", "SERVICE", "NODE", ">NODE PORT",
	">SNAT PORT", "STATE", ">IDLE", ">EXPIRES IN", NULL};

static void add_flow(struct table *table, const json_t *flow)
{
	char text[UNITS_TEXT_MAX];

	table_cell(table, "%s", text_of(flow, "protocol"));
	table_cell(table, "%s", text_of(flow, "client"));
	table_cell(table, "%s", text_of(flow, "service"));
	table_cell(table, "%s", text_of(flow, "node"));
	table_cell(table, "%lld", number_of(flow, "node_port"));
	table_cell(table, "%lld", number_of(flow, "snat_port"));
	table_cell(table, "%s", text_of(flow, "state"));
	table_cell(table, "%s", as_duration(number_of(flow, "idle_s"), text));
	table_cell(table, "%s", as_duration(number_of(flow, "expires_s"), text));
}

void show_flows(const json_t *answer)
{
	struct table table;
	size_t i;
	json_t *flow;

	table_begin(&table, flow_headers);
	json_array_foreach(json_object_get(answer, "flows"), i, flow) add_flow(&table, flow);
	table_print(&table);
	if (is_true(answer, "truncated"))
		printf("\nThese are the first %lld, and there are more: --limit N, or filter "
		       "them.\n",
			number_of(answer, "limit"));
}

static void show_choice(const json_t *answer)
{
	if (json_object_get(answer, "slot") == NULL)
		return;
	printf("slot      %lld of the service's ring, node %s\n", number_of(answer, "slot"),
		text_of(answer, "slot_node"));
	if (json_object_get(answer, "affinity_node") != NULL)
		printf("affinity  node %s, remembered for another %lld s unless the client comes "
		       "again\n",
			text_of(answer, "affinity_node"), number_of(answer, "affinity_left_s"));
}

// Why this node, and for how long.
static const char *say_flow(const json_t *answer)
{
	const char *mode = text_of(answer, "mode");

	if (is_true(answer, "flow_found"))
		return "there is one, and it stays with its node:";
	if (strcmp(mode, "dnat") == 0 || strcmp(mode, "dsr") == 0 || strcmp(mode, "tunnel") == 0)
		return is_true(answer, "reply")
			? "none is kept in this mode: the NodePort says whose reply it is"
			: "none is kept in this mode: each packet goes to the slot's node";
	if (json_object_get(answer, "affinity_node") != NULL)
		return "there is none: a SYN or a datagram would make one, with the node of the "
		       "client's last one, which is remembered";
	if (number_of(answer, "affinity_s") > 0)
		return "there is none: a SYN or a datagram would make one; the client has no node "
		       "that is remembered and takes new flows";
	return "there is none: a SYN or a datagram would make one";
}

void show_explanation(const json_t *answer)
{
	bool forwarded = is_true(answer, "forwarded");
	struct table table;

	if (forwarded && json_object_get(answer, "service") == NULL) {
		printf("for no service of Guideway's: the kernel gets it\n");
		return;
	}
	if (forwarded && is_true(answer, "reply"))
		printf("forwarded to the client\n");
	else if (forwarded)
		printf("forwarded to node %s\n", text_of(answer, "node"));
	else
		printf("dropped: %s (%s)\n", text_of(answer, "sentence"), text_of(answer, "drop"));
	if (json_object_get(answer, "service") == NULL)
		return;
	printf("service   %s\n", text_of(answer, "service"));
	printf("mode      %s\n", text_of(answer, "mode"));
	if (json_object_get(answer, "way") != NULL)
		printf("way       %s\n", text_of(answer, "way"));
	if (json_object_get(answer, "worker") != NULL)
		printf("worker    %lld\n", number_of(answer, "worker"));
	else
		printf("worker    whichever the port's RSS chooses\n");
	show_choice(answer);
	if (json_object_get(answer, "node") != NULL)
		printf("next hop  %s\n",
			is_true(answer, "next_hop_resolved")
				? "resolved"
				: "not resolved: packets wait a little");
	printf("flow      %s\n", say_flow(answer));
	if (!is_true(answer, "flow_found"))
		return;
	printf("\n");
	table_begin(&table, flow_headers);
	add_flow(&table, json_object_get(answer, "flow"));
	table_print(&table);
}
