#include <stdio.h>
#include <string.h>

#include "show.h"
#include "table.h"

// "192.0.2.80:80/tcp", "[2001:db8::80]:80/tcp".
static void add_endpoint(struct table *table, const json_t *service)
{
	const char *vip = text_of(service, "vip");
	bool is_ipv6 = strchr(vip, ':') != NULL;

	table_cell(table, "%s%s%s:%lld/%s", is_ipv6 ? "[" : "", vip, is_ipv6 ? "]" : "",
		number_of(service, "port"), text_of(service, "protocol"));
}

// "snat", "tunnel-gue".
static void add_mode(struct table *table, const json_t *service)
{
	bool is_tunnel = json_is_string(json_object_get(service, "tunnel"));

	table_cell(table, "%s%s%s", text_of(service, "mode"), is_tunnel ? "-" : "",
		is_tunnel ? text_of(service, "tunnel") : "");
}

// Five cells.
static void add_traffic(struct table *table, const json_t *traffic)
{
	char text[UNITS_TEXT_MAX];

	table_cell(table, "%lld", number_of(traffic, "flows"));
	table_cell(table, "%s", with_units((double)number_of(traffic, "packets_in"), "", text));
	table_cell(table, "%s", with_units((double)number_of(traffic, "bytes_in"), "B", text));
	table_cell(table, "%s", with_units((double)number_of(traffic, "packets_out"), "", text));
	table_cell(table, "%s", with_units((double)number_of(traffic, "bytes_out"), "B", text));
}

static void show_members(const json_t *members)
{
	static const char *const headers[] = {"NODE", "STATE", ">WEIGHT", NULL};
	struct table table;
	size_t i;
	json_t *member;

	table_begin(&table, headers);
	json_array_foreach(members, i, member)
	{
		table_cell(&table, "%s", text_of(member, "node"));
		table_cell(&table, "%s", text_of(member, "state"));
		table_cell(&table, "%lld", number_of(member, "weight"));
	}
	printf("\n");
	table_print(&table);
}

void show_services(const json_t *answer)
{
	static const char *const headers[] = {"SERVICE", "ADDRESS", "MODE", ">NODE PORT", "CHECK",
		">NODES UP", ">DRAINING", ">FLOWS", ">PACKETS IN", ">BYTES IN", ">PACKETS OUT",
		">BYTES OUT", NULL};
	const json_t *services = json_object_get(answer, "services");
	struct table table;
	size_t i;
	json_t *s;

	table_begin(&table, headers);
	json_array_foreach(services, i, s)
	{
		const json_t *nodes = json_object_get(s, "nodes");

		table_cell(&table, "%s", text_of(s, "name"));
		add_endpoint(&table, s);
		add_mode(&table, s);
		table_cell(&table, "%lld", number_of(s, "node_port"));
		table_cell(&table, "%s", text_of(s, "check"));
		table_cell(
			&table, "%lld of %lld", number_of(nodes, "up"), number_of(nodes, "total"));
		table_cell(&table, "%lld", number_of(nodes, "draining"));
		add_traffic(&table, json_object_get(s, "traffic"));
	}
	table_print(&table);
	json_array_foreach(services, i, s)
	{
		const json_t *members = json_object_get(s, "members");

		if (members != NULL)
			show_members(members);
	}
}

// The addresses in one cell.
static void add_addresses(struct table *table, const json_t *addresses)
{
	const char *first = json_string_value(json_array_get(addresses, 0));
	const char *second = json_string_value(json_array_get(addresses, 1));

	table_cell(table, "%s%s%s", first != NULL ? first : "-", second != NULL ? " " : "",
		second != NULL ? second : "");
}

// Why one of the checks fails, in one cell.
static void add_checks(struct table *table, const json_t *checks)
{
	size_t i;
	json_t *check;

	json_array_foreach(checks, i, check)
	{
		const char *reason = text_of(check, "reason");

		if (strcmp(text_of(check, "verdict"), "up") == 0)
			continue;
		table_cell(table, "%s %s: %s", text_of(check, "kind"), text_of(check, "endpoint"),
			reason[0] != '\0' ? reason : "no answer yet");
		return;
	}
	table_cell(table, json_array_size(checks) == 0 ? "not checked" : "ok");
}

void show_nodes(const json_t *answer)
{
	static const char *const headers[] = {"NODE", "ADDRESSES", "STATE", "DRAINED", ">WEIGHT",
		">SERVICES", ">FLOWS", ">PACKETS IN", ">BYTES IN", ">PACKETS OUT", ">BYTES OUT",
		"CHECKS", NULL};
	struct table table;
	size_t i;
	json_t *n;

	table_begin(&table, headers);
	json_array_foreach(json_object_get(answer, "nodes"), i, n)
	{
		table_cell(&table, "%s", text_of(n, "name"));
		add_addresses(&table, json_object_get(n, "addresses"));
		table_cell(&table, "%s", text_of(n, "state"));
		table_cell(&table, "%s",
			is_true(n, "leaving")           ? "removed"
				: is_true(n, "drained") ? "yes"
							: "no");
		table_cell(&table, "%lld", number_of(n, "weight"));
		table_cell(&table, "%lld", number_of(n, "services"));
		add_traffic(&table, json_object_get(n, "traffic"));
		add_checks(&table, json_object_get(n, "checks"));
	}
	table_print(&table);
}

void show_drain(const json_t *answer)
{
	bool drained = is_true(answer, "drained");

	printf("node %s %s\n", text_of(answer, "node"),
		drained ? "drains: it takes no new flows and keeps the old"
			: "takes new flows again");
}

// Counters

static void show_named_traffic(const char *header, const json_t *list)
{
	const char *const headers[] = {header, ">FLOWS", ">CREATED", ">PACKETS IN", ">BYTES IN",
		">PACKETS OUT", ">BYTES OUT", NULL};
	static const char *const numbers[] = {
		"flows", "flows_created", "packets_in", "bytes_in", "packets_out", "bytes_out"};
	struct table table;
	size_t i;
	json_t *item;

	table_begin(&table, headers);
	json_array_foreach(list, i, item)
	{
		table_cell(&table, "%s", text_of(item, "name"));
		for (size_t j = 0; j < sizeof(numbers) / sizeof(numbers[0]); j++)
			table_cell(&table, "%lld", number_of(item, numbers[j]));
	}
	printf("\n");
	table_print(&table);
}

// Those that are not 0: the sum, each worker's, and what they are.
static void show_numbers(const char *header, const char *kind, const json_t *answer)
{
	const char *const headers[] = {header, ">ALL", "EACH WORKER", "MEANING", NULL};
	const json_t *sentences = json_object_get(answer, "sentences");
	const json_t *workers = json_object_get(answer, "workers");
	struct table table;
	const char *word;
	json_t *sum;

	table_begin(&table, headers);
	json_object_foreach(json_object_get((json_t *)answer, kind), word, sum)
	{
		char each[512] = "";
		size_t len = 0;
		size_t i;
		json_t *w;

		if (json_integer_value(sum) == 0)
			continue;
		json_array_foreach(workers, i, w)
		{
			int n = snprintf(each + len, sizeof(each) - len, "%s%lld", i > 0 ? " " : "",
				number_of(json_object_get(w, kind), word));
			len += n > 0 && (size_t)n < sizeof(each) - len ? (size_t)n : 0;
		}
		table_cell(&table, "%s", word);
		table_cell(&table, "%lld", json_integer_value(sum));
		table_cell(&table, "%s", each);
		table_cell(&table, "%s", text_of(sentences, word));
	}
	table_print(&table);
}

void show_counters(const json_t *answer)
{
	show_numbers("EVENT", "events", answer);
	printf("\n");
	show_numbers("DROP", "drops", answer);
	show_named_traffic("SERVICE", json_object_get(answer, "services"));
	show_named_traffic("NODE", json_object_get(answer, "nodes"));
}
