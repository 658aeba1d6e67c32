// Lets frames through the pipeline, for corpus.py, which writes lines and reads one for each:
//
//     world [starved]           a new world; starved of SNAT ports
//     segments LEN              frames arrive in segments of so many bytes, 0 for whole, here
//                               and in later worlds
//     crowd                     later worlds are crowded
//     advance SECONDS
//     node ID STATE             enum target_state, for all services
//     set KEY VALUE             of the settings
//     mss PORT VALUE            of the services of that port
//     empty PORT                these have no node that may be used
//     await PORT                none of the nodes of these knows the VIP yet
//     routed                    nodes are reached by routers
//     hop ID PORT               the next hop is behind that port; none is known by -1
//     event WORD                answered by how often it has happened
//     frame ORIGIN PORT HEX     answered by: WAY PORT CLASS DROP HEX[,HEX]... of each that went out
//     retry                     of the frame that waits; answered likewise
//
// What is not said to be answered otherwise is answered by "ok".
//
// Each frame is traced before it is put in. Where the trace says something else than what then
// happens, or changes anything, the answer begins with "differs".

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "reassembly.h"
#include "snat.h"
#include "world.h"

static const char *const ways[] = {
	[WAY_NONE] = "none",
	[WAY_PORT] = "port",
	[WAY_KERNEL] = "kernel",
	[WAY_WAITING] = "waiting",
	[WAY_KEPT] = "kept",
};

static void fail(const char *line)
{
	fprintf(stderr, "runner: cannot read: %s", line);
	exit(2);
}

// All ports of the only worker are said to be another's.
static void starve(struct world *w)
{
	static const uint8_t key[40] = {1};
	static const uint16_t table[] = {1, 1};

	owner_map_destroy(w->owners);
	w->owners = owner_map_create_rss(2, key, sizeof(key), table, 2);
	w->pipelines[0].owners = w->owners;
}

static struct world *renew(struct world *w, const char *line)
{
	size_t segment_len = w->segment_len;

	world_destroy(w);
	w = world_create(1, false);
	w->segment_len = segment_len;
	if (strstr(line, "starved") != NULL)
		starve(w);
	return w;
}

static void set_node(struct world *w, const char *line)
{
	unsigned node, state;

	if (sscanf(line, "node %u %u", &node, &state) != 2 || node >= LITTLE_NODES)
		fail(line);
	for (size_t i = 0; i < w->table->table.n_services; i++)
		w->table->states[i][node] = (uint8_t)state;
}

// Of all addresses of ours.
static void set_rejects(struct world *w, bool rejects)
{
	for (size_t i = 0; i < w->table->table.n_own; i++)
		w->table->own[i].rejects = rejects;
}

static void set_setting(struct world *w, const char *line)
{
	struct forwarding_settings *settings = &w->table->table.settings;
	char key[32];
	unsigned value;

	if (sscanf(line, "set %31s %u", key, &value) != 2)
		fail(line);
	if (strcmp(key, "reset_unknown_tcp") == 0)
		settings->reset_unknown_tcp = value;
	else if (strcmp(key, "reset_dead_target") == 0)
		settings->reset_dead_target = value;
	else if (strcmp(key, "answers_per_s") == 0)
		settings->answers_per_s = value;
	else if (strcmp(key, "echoes_per_s") == 0)
		settings->echoes_per_s = value;
	else if (strcmp(key, "all_per_s") == 0)
		settings->all_per_s = value;
	else if (strcmp(key, "rejects") == 0)
		set_rejects(w, value);
	else
		fail(line);
}

// Calls 'change' for each service of a port.
static void change_services(struct world *w, uint16_t port, uint16_t value,
	void (*change)(struct service *service, uint16_t value))
{
	for (size_t i = 0; i < w->table->table.n_services; i++) {
		if (w->table->services[i].port == htons(port))
			change(&w->table->services[i], value);
	}
}

static void change_mss(struct service *service, uint16_t mss)
{
	service->mss = mss;
}

static void change_to_empty(struct service *service, uint16_t)
{
	service->ring = NULL;
}

static void change_to_awaiting(struct service *service, uint16_t)
{
	uint8_t *states = (uint8_t *)service->states; // Of the world, who lets us.

	service->ring = NULL;
	service->is_awaited = true;
	for (node_id node = 0; node < LITTLE_NODES; node++) {
		if (states[node] == TARGET_UP)
			states[node] = TARGET_NOT_READY;
	}
}

static void set_mss(struct world *w, const char *line)
{
	uint16_t port, mss;

	if (sscanf(line, "mss %hu %hu", &port, &mss) != 2)
		fail(line);
	change_services(w, port, mss, change_mss);
}

static void empty(struct world *w, const char *line)
{
	uint16_t port;

	if (sscanf(line, "empty %hu", &port) != 1)
		fail(line);
	change_services(w, port, 0, change_to_empty);
}

static void await(struct world *w, const char *line)
{
	uint16_t port;

	if (sscanf(line, "await %hu", &port) != 1)
		fail(line);
	change_services(w, port, 0, change_to_awaiting);
}

static void put_nodes_behind_routers(struct world *w)
{
	for (size_t i = 0; i < LITTLE_NODES; i++)
		w->table->nodes[i].is_neighbour[IPV4] = w->table->nodes[i].is_neighbour[IPV6] =
			false;
}

static void set_hop(struct world *w, const char *line)
{
	unsigned hop;
	int port;

	if (sscanf(line, "hop %u %d", &hop, &port) != 2 || hop >= NEXT_HOP_MAX ||
		port >= WORLD_PORTS)
		fail(line);
	world_set_hop(w, hop, port < 0 ? 0 : (uint8_t)port, port < 0 ? 0 : NEXT_HOP_RESOLVED);
}

static void print_event(const struct world *w, const char *line)
{
	char word[40];

	if (sscanf(line, "event %39s", word) != 1)
		fail(line);
	for (int i = 0; i < N_EVENTS; i++) {
		if (strcmp(event_word(i), word) == 0) {
			printf("%" PRIu64 "\n", world_events(w, i));
			return;
		}
	}
	fail(line);
}

static void advance(struct world *w, const char *line)
{
	w->now_ns += strtoull(line + sizeof("advance"), NULL, 10) * NS_PER_S;
	for (int i = 0; i < 1000; i++)
		snat_expire(&w->pipelines[0], &w->table->table, clock_s(w->now_ns));
	while (reassembly_expire(w->pipelines[0].reassembly, w->now_ns) > 0)
		continue;
}

static uint8_t digit(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static size_t read_hex(const char *hex, uint8_t bytes[FRAME_BYTES_MAX])
{
	size_t len = 0;

	for (; len < FRAME_BYTES_MAX && isxdigit(hex[0]) && isxdigit(hex[1]); hex += 2)
		bytes[len++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
	return len;
}

static void print_bytes(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		printf("%02x", bytes[i]);
}

static void print_ending(const struct world *w, const struct ending *e)
{
	printf("%s %u %s %s ", ways[e->way], e->port,
		e->class == KERNEL_CONTROL ? "control" : "other", drop_reason_word(e->drop));
	print_bytes(e->bytes, e->len);
	for (size_t i = 0; i < world_n_more(w); i++) {
		size_t len;
		const uint8_t *bytes = world_more(w, i, &len);

		printf(",");
		print_bytes(bytes, len);
	}
	printf("\n");
}

static void put_frame(struct world *w, const char *line, struct ending *e)
{
	static uint8_t bytes[FRAME_BYTES_MAX];
	char origin[8];
	unsigned port;
	int at;

	if (sscanf(line, "frame %7s %u %n", origin, &port, &at) != 2 || port >= WORLD_PORTS)
		fail(line);
	size_t len = read_hex(line + at, bytes);
	enum origin from = strcmp(origin, "kernel") == 0 ? ORIGIN_KERNEL : ORIGIN_PORT;
	world_put(w, 0, from, port, bytes, len, e);
	if (e->differs != NULL)
		printf("differs: %s; ", e->differs);
	print_ending(w, e);
}

static void retry(struct world *w, const struct ending *waiting, const char *line)
{
	static struct ending e;

	if (waiting->way != WAY_WAITING)
		fail(line);
	world_retry(w, waiting, &e);
	print_ending(w, &e);
}

// Returns false if the line is nothing that is answered by more than "ok".
static bool is_answered(struct world *w, const char *line)
{
	static struct ending last;

	if (strncmp(line, "frame ", 6) == 0)
		put_frame(w, line, &last);
	else if (strncmp(line, "retry", 5) == 0)
		retry(w, &last, line);
	else if (strncmp(line, "event ", 6) == 0)
		print_event(w, line);
	else
		return false;
	return true;
}

static struct world *obey(struct world *w, const char *line)
{
	if (is_answered(w, line))
		return w;

	if (strncmp(line, "world", 5) == 0)
		w = renew(w, line);
	else if (strncmp(line, "segments ", 9) == 0)
		w->segment_len = strtoul(line + 9, NULL, 10);
	else if (strcmp(line, "crowd\n") == 0)
		world_crowd(true);
	else if (strncmp(line, "advance ", 8) == 0)
		advance(w, line);
	else if (strncmp(line, "node ", 5) == 0)
		set_node(w, line);
	else if (strncmp(line, "set ", 4) == 0)
		set_setting(w, line);
	else if (strncmp(line, "mss ", 4) == 0)
		set_mss(w, line);
	else if (strncmp(line, "empty ", 6) == 0)
		empty(w, line);
	else if (strcmp(line, "routed\n") == 0)
		put_nodes_behind_routers(w);
	else if (strncmp(line, "await ", 6) == 0)
		await(w, line);
	else if (strncmp(line, "hop ", 4) == 0)
		set_hop(w, line);
	else
		fail(line);
	printf("ok\n");
	return w;
}

int main(void)
{
	char *line = NULL;
	size_t size = 0;

	world_start_environment();
	struct world *w = world_create(1, false);
	world_trace(false);
	setlinebuf(stdout);
	while (getline(&line, &size, stdin) > 0)
		w = obey(w, line);

	free(line);
	world_destroy(w);
	return 0;
}
