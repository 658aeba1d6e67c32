#include <stdio.h>
#include <string.h>

#include "show.h"
#include "table.h"

static void show_watch(const json_t *answer, const char *what, const char *member)
{
	const json_t *watch = json_object_get(answer, member);

	if (!json_is_object(watch))
		return;
	if (json_is_string(json_object_get(watch, "failing")))
		printf("%s: NOT FOLLOWED, what was known stays in force: %s\n", what,
			text_of(watch, "failing"));
	else
		printf("%s: %s, %lld events since the start\n", what,
			is_true(watch, "synced") ? "followed" : "being listed",
			number_of(watch, "events"));
	if (number_of(watch, "left_out") > 0)
		printf("%s: %lld TIMES ONE WAS LEFT OUT, since it could not be read; the log names "
		       "it\n",
			what, number_of(watch, "left_out"));
}

static void show_server(const json_t *answer)
{
	if (!json_is_string(json_object_get(answer, "server_version")))
		return;
	printf("the API server is of Kubernetes %s%s\n", text_of(answer, "server_version"),
		is_true(answer, "server_is_old")
			? ", OLDER THAN THE OLDEST THAT GUIDEWAY IS MADE FOR (1.32)"
			: "");
}

static void show_addresses(struct table *table, const json_t *addresses)
{
	const char *first = json_string_value(json_array_get(addresses, 0));
	const char *second = json_string_value(json_array_get(addresses, 1));

	table_cell(table, "%s%s%s", first == NULL ? "-" : first, second == NULL ? "" : " ",
		second == NULL ? "" : second);
}

static const char *state_of(const json_t *service)
{
	const char *stage = text_of(service, "stage");
	bool is_in_force = is_true(service, "in_force");

	if (*stage == 's' && strcmp(text_of(service, "reason"), "NoRoom") == 0)
		return "not all served";
	if (*stage == 's' && is_true(service, "lacks_nodes"))
		return "served, but by no node";
	if (*stage == 's')
		return is_in_force ? "served" : "about to be served";
	if (*stage == 'r')
		return "being released";
	return *stage == 'c' ? "being claimed" : "waiting";
}

// Why it is not as asked, or its status not as it is.
static void show_reason(struct table *table, const json_t *service)
{
	const char *other = json_string_value(json_object_get(service, "overwritten_by"));
	const char *message = json_string_value(json_object_get(service, "message"));

	if (other == NULL)
		table_cell(table, "%s", text_of(service, "message"));
	else
		table_cell(table, "StatusConflict: its status is left to %s, who overwrites it%s%s",
			other, message == NULL ? "" : "; ", message == NULL ? "" : message);
}

static void show_service_table(const json_t *services)
{
	static const char *const headers[] = {
		"SERVICE", "STATE", "MODE", "ADDRESSES", "REASON", NULL};
	struct table table;
	size_t i;
	json_t *service;

	table_begin(&table, headers);
	json_array_foreach(services, i, service)
	{
		table_cell(&table, "%s", text_of(service, "service"));
		table_cell(&table, "%s", state_of(service));
		table_cell(&table, "%s", text_of(service, "mode"));
		show_addresses(&table, json_object_get(service, "addresses"));
		show_reason(&table, service);
	}
	printf("\n");
	table_print(&table);
}

static void show_pool(struct table *table, const json_t *pool, const char *family)
{
	const json_t *addresses = json_object_get(pool, family);

	if (!json_is_object(addresses))
		return;
	table_cell(table, "%s", text_of(pool, "name"));
	table_cell(table, "%s", family);
	table_cell(table, "%.6g", real_of(addresses, "size"));
	table_cell(table, "%lld", number_of(addresses, "held"));
	table_cell(table, "%lld", number_of(addresses, "resting"));
}

static void show_pool_table(const json_t *pools)
{
	static const char *const headers[] = {
		"POOL", "FAMILY", ">ADDRESSES", ">HELD", ">RESTING", NULL};
	struct table table;
	size_t i;
	json_t *pool;

	table_begin(&table, headers);
	json_array_foreach(pools, i, pool)
	{
		show_pool(&table, pool, "ipv4");
		show_pool(&table, pool, "ipv6");
	}
	printf("\n");
	table_print(&table);
}

// Those that there were.
static void show_refusals(const json_t *refusals)
{
	const char *word, *before = "addresses that were not given: ";
	json_t *n;

	json_object_foreach((json_t *)refusals, word, n)
	{
		if (json_integer_value(n) == 0)
			continue;
		printf("%s%lld %s", before, json_integer_value(n), word);
		before = ", ";
	}
	if (*before == ',')
		printf("\n");
}

void show_claim(const json_t *answer)
{
	printf("Services of the cluster are claimed%s\n",
		is_true(answer, "synced") ? "" : ", as soon as the API server answers");
}

json_int_t stage_of(const json_t *summary, const char *stage)
{
	return number_of(json_object_get(summary, "stages"), stage);
}

static void show_leaving(const json_t *answer)
{
	if (json_is_false(json_object_get(answer, "claiming")))
		printf("all Services are given up, %lld of them are being released; "
		       "guidewayctl kubernetes claim takes them again\n",
			stage_of(answer, "release"));
}

// All is well if nothing is said.
static void show_key(const char *state)
{
	if (strcmp(state, "another") == 0)
		printf("HASH KEY: the cluster's Secret has another than the one in use; it is "
		       "taken at the next restart\n");
	else if (strcmp(state, "missing") == 0 || strcmp(state, "bad") == 0)
		printf("HASH KEY: the cluster's Secret %s\n",
			state[0] == 'b' ? "has no key" : "is not there");
}

static void show_instance(const json_t *instance)
{
	const char *name = text_of(instance, "name"), *leader = text_of(instance, "leader");

	if (!is_true(instance, "election"))
		printf("%s writes to Services, without an election\n", name);
	else if (is_true(instance, "leads"))
		printf("%s leads: it writes to Services\n", name);
	else if (*leader == '\0')
		printf("%s does not lead, and nobody else does: nothing is written to Services\n",
			name);
	else
		printf("%s does not lead; the leader is %s, whose Lease was renewed %.1f s ago\n",
			name, leader, real_of(instance, "leader_renewed_s"));
	show_key(text_of(instance, "hash_key"));
}

static void show_instance_row(struct table *table, const json_t *instance)
{
	bool has_said = json_is_real(json_object_get(instance, "renewed_s"));

	table_cell(table, "%s%s", text_of(instance, "holder"),
		is_true(instance, "own") ? " (this one)" : "");
	table_cell(table, "%s", is_true(instance, "leads") ? "leads" : "follows");
	table_cell(table, has_said ? "%.1f s ago" : "-", real_of(instance, "renewed_s"));
}

// Those that live.
static void show_instance_table(const json_t *instances)
{
	static const char *const headers[] = {"INSTANCE", "ROLE", ">RENEWED", NULL};
	struct table table;
	size_t i;
	json_t *instance;

	if (json_array_size(instances) == 0)
		return;
	table_begin(&table, headers);
	json_array_foreach(instances, i, instance) show_instance_row(&table, instance);
	printf("\n");
	table_print(&table);
}

void show_kubernetes(const json_t *answer)
{
	show_instance(json_object_get(answer, "instance"));
	show_server(answer);
	show_watch(answer, "Services", "watch_services");
	show_watch(answer, "Nodes", "watch_nodes");
	show_watch(answer, "EndpointSlices", "watch_endpointslices");
	show_watch(answer, "Namespaces", "watch_namespaces");
	printf("%lld nodes, %lld of them used; %lld writes of status, %lld of them failed\n",
		number_of(answer, "nodes"), number_of(answer, "nodes_used"),
		number_of(answer, "writes"), number_of(answer, "writes_failed"));
	if (number_of(answer, "events_lost") > 0)
		printf("%lld events were not told: too many were waiting to be\n",
			number_of(answer, "events_lost"));
	show_leaving(answer);
	show_refusals(json_object_get(answer, "refusals"));
	show_instance_table(json_object_get(answer, "instances"));
	show_pool_table(json_object_get(answer, "pools"));
	show_service_table(json_object_get(answer, "services"));
}
