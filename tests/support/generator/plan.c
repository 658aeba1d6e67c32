#include "plan.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <rte_ether.h>

#include "frame.h"

enum { WORDS_MAX = 64 };

typedef bool parse_fn(struct plan *plan, const char *value);

static bool parse_number(const char *value, double least, double most, double *ret_number)
{
	char *end;

	errno = 0;
	double number = strtod(value, &end);
	if (errno != 0 || end == value || *end != '\0' || !(number >= least && number <= most))
		return false;
	*ret_number = number;
	return true;
}

static bool parse_count(const char *value, uint64_t least, uint64_t most, uint64_t *ret_count)
{
	double number;

	if (!parse_number(value, (double)least, (double)most, &number) || number != floor(number))
		return false;
	*ret_count = (uint64_t)number;
	return true;
}

static bool parse_u16(const char *value, uint64_t least, uint64_t most, uint16_t *ret_count)
{
	uint64_t count;

	if (!parse_count(value, least, most, &count))
		return false;
	*ret_count = (uint16_t)count;
	return true;
}

static bool parse_help(struct plan *p, const char *)
{
	return p->help = true;
}

static bool parse_commands(struct plan *p, const char *)
{
	return p->takes_commands = true;
}

static bool parse_open(struct plan *p, const char *)
{
	return p->opens = true;
}

static bool parse_port(struct plan *p, const char *value)
{
	uint16_t port;
	bool good = parse_u16(value, 0, PLAN_PORTS_MAX - 1, &port);

	p->port = good ? port : p->port;
	return good;
}

static bool parse_nodes_by(struct plan *p, const char *value)
{
	uint16_t port;

	p->has_nodes_by = parse_u16(value, 0, PLAN_PORTS_MAX - 1, &port);
	p->nodes_by = p->has_nodes_by ? port : p->nodes_by;
	return p->has_nodes_by;
}

static bool parse_opened_by(struct plan *p, const char *value)
{
	uint16_t port;

	p->has_opened_by = parse_u16(value, 0, PLAN_PORTS_MAX - 1, &port);
	p->opened_by = p->has_opened_by ? port : p->opened_by;
	return p->has_opened_by;
}

static bool parse_family(struct plan *p, const char *value)
{
	p->ipv6 = strcmp(value, "6") == 0;
	return p->ipv6 || strcmp(value, "4") == 0;
}

static bool parse_protocol(struct plan *p, const char *value)
{
	bool tcp = strcmp(value, "tcp") == 0;

	p->protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP;
	return tcp || strcmp(value, "udp") == 0;
}

static bool parse_size(struct plan *p, const char *value)
{
	if (strcmp(value, "imix") == 0) {
		p->size = PLAN_IMIX;
		return true;
	}
	return parse_u16(value, 64, RTE_ETHER_MAX_LEN, &p->size) && p->size % 2 == 0;
}

static bool parse_largest(struct plan *p, const char *value)
{
	return parse_u16(value, 64, RTE_ETHER_MAX_LEN, &p->largest) && p->largest % 2 == 0;
}

static bool parse_flows(struct plan *p, const char *value)
{
	return parse_count(value, 1, 1 << 24, &p->n_flows);
}

static bool parse_vips(struct plan *p, const char *value)
{
	uint64_t n;
	bool good = parse_count(value, 1, 1 << 16, &n);

	p->n_vips = good ? (uint32_t)n : p->n_vips;
	return good;
}

static bool parse_direction(struct plan *p, const char *value)
{
	p->direction = strcmp(value, "return") == 0 ? PLAN_RETURN : PLAN_FORWARD;
	return p->direction == PLAN_RETURN || strcmp(value, "forward") == 0;
}

static bool parse_rate(struct plan *p, const char *value)
{
	return parse_number(value, 0, 1e9, &p->packets_per_s);
}

static bool parse_seconds(struct plan *p, const char *value)
{
	return parse_number(value, 0.001, 3600, &p->seconds);
}

static bool parse_packets(struct plan *p, const char *value)
{
	return parse_count(value, 0, UINT64_C(1) << 40, &p->n_packets);
}

static bool parse_seed(struct plan *p, const char *value)
{
	return parse_count(value, 0, UINT64_C(1) << 40, &p->seed);
}

static bool parse_mac(uint8_t ret_mac[6], const char *value)
{
	struct rte_ether_addr mac;

	if (rte_ether_unformat_addr(value, &mac) != 0)
		return false;
	memcpy(ret_mac, &mac, sizeof(mac));
	return true;
}

static bool parse_source_mac(struct plan *p, const char *value)
{
	return parse_mac(p->source_mac, value);
}

static bool parse_destination_mac(struct plan *p, const char *value)
{
	return parse_mac(p->destination_mac, value);
}

static bool parse_address(uint8_t ret_address[16], const char *value)
{
	return inet_pton(AF_INET, value, ret_address) == 1 ||
		inet_pton(AF_INET6, value, ret_address) == 1;
}

static bool parse_client(struct plan *p, const char *value)
{
	return p->has_client = parse_address(p->client, value);
}

static bool parse_vip(struct plan *p, const char *value)
{
	return p->has_vip = parse_address(p->vip, value);
}

static bool parse_vip_port(struct plan *p, const char *value)
{
	return parse_u16(value, 1, UINT16_MAX, &p->vip_port);
}

static bool parse_node_port(struct plan *p, const char *value)
{
	return parse_u16(value, 1, UINT16_MAX, &p->node_port);
}

// The language, whole.
static const struct option_kind {
	const char *name;
	const char *value; // NULL if it takes none.
	parse_fn *parse;
	const char *help;
} kinds[] = {
	{"port", "N", parse_port,
		"the DPDK port by which clients are, and nodes if no other has them (0)"},
	{"nodes-by", "N", parse_nodes_by, "the port by which nodes are (that of --port)"},
	{"family", "4|6", parse_family, "IPv4 or IPv6 (4)"},
	{"protocol", "tcp|udp", parse_protocol, "(tcp)"},
	{"size", "BYTES|imix", parse_size,
		"an even number, 64 to 1518, with the frame's checksum of four bytes (64);\n"
		"                             what is too short for its headers is as short as it "
		"can "
		"be;\n"
		"                             imix is 64, 594 and 1518 bytes, 7 to 4 to 1"},
	{"largest", "BYTES", parse_largest, "of imix: what is larger is so large (1518)"},
	{"flows", "N", parse_flows, "so many, each packet's one picked at random (1)"},
	{"vips", "N", parse_vips, "so many VIPs, which flows have in turn (1)"},
	{"direction", "forward|return", parse_direction,
		"from clients to VIPs, or from nodes, for flows that were opened (forward)"},
	{"opened-by", "N", parse_opened_by, "the port by which those were opened (that of --port)"},
	{"open", NULL, parse_open,
		"open every flow, answering as nodes and clients do, and measure nothing"},
	{"rate", "PPS", parse_rate, "packets a second, or 0 for as many as go (0)"},
	{"seconds", "S", parse_seconds, "for so long (1)"},
	{"packets", "N", parse_packets, "at most so many; 0 for no limit (0)"},
	{"seed", "N", parse_seed, "of what is picked at random (1)"},
	{"source-mac", "MAC", parse_source_mac, "ours (02:00:00:00:00:01)"},
	{"destination-mac", "MAC", parse_destination_mac, "the forwarder's (02:00:00:00:00:02)"},
	{"client", "ADDRESS", parse_client,
		"the first; 256 flows have one (198.18.0.0 or 2001:2::)"},
	{"vip", "ADDRESS", parse_vip, "the first (203.0.113.0 or 2001:db8:a::)"},
	{"vip-port", "PORT", parse_vip_port, "of each VIP (80)"},
	{"node-port", "PORT", parse_node_port, "of each node (30080)"},
	{"commands", NULL, parse_commands,
		"take a line of such options after the other from stdin, and answer each"},
	{"help", NULL, parse_help, "say this"},
};

struct plan plan_default(void)
{
	return (struct plan){
		.protocol = IPPROTO_TCP,
		.size = 64,
		.largest = RTE_ETHER_MAX_LEN,
		.n_flows = 1,
		.n_vips = 1,
		.seconds = 1,
		.seed = 1,
		.source_mac = {2, 0, 0, 0, 0, 1},
		.destination_mac = {2, 0, 0, 0, 0, 2},
		.vip_port = 80,
		.node_port = 30080,
	};
}

void plan_print_help(FILE *file)
{
	fprintf(file,
		"usage: generator [EAL OPTION]... -- [OPTION]...\n"
		"\n"
		"Sends packets through a forwarder, takes them as they come back, by the same port "
		"or\n"
		"another, and prints one JSON object: what was sent, refused by the port and "
		"received, at which "
		"rates\n"
		"and with what latency.\n"
		"\n");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "--%s%s%s", kinds[i].name, kinds[i].value ? " " : "",
			kinds[i].value ? kinds[i].value : "");
		fprintf(file, "  %-27s%s\n", name, kinds[i].help);
	}
}

static const struct option_kind *find_kind(const char *word)
{
	if (strncmp(word, "--", 2) != 0)
		return NULL;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, word + 2) == 0)
			return &kinds[i];
	}
	return NULL;
}

// What can only be told when all is known.
static void complete(struct plan *p)
{
	if (!p->has_client)
		parse_address(p->client, p->ipv6 ? "2001:2::" : "198.18.0.0");
	if (!p->has_nodes_by)
		p->nodes_by = p->port;
	if (!p->has_opened_by)
		p->opened_by = p->port;
	if (!p->has_vip)
		parse_address(p->vip, p->ipv6 ? "2001:db8:a::" : "203.0.113.0");
}

bool plan_parse(struct plan *plan, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const struct option_kind *kind = find_kind(argv[i]);

		if (kind == NULL) {
			fprintf(stderr,
				"generator: there is no option '%s'; --help tells which are\n",
				argv[i]);
			return false;
		}
		const char *value = kind->value == NULL ? NULL : i + 1 < argc ? argv[++i] : "";
		if (!kind->parse(plan, value)) {
			fprintf(stderr, "generator: --%s takes %s, not '%s': %s\n", kind->name,
				kind->value, value, kind->help);
			return false;
		}
	}
	complete(plan);
	return true;
}

bool plan_parse_line(struct plan *plan, char *line)
{
	char *words[WORDS_MAX] = {"generator"};
	int n = 1;

	for (char *word = strtok(line, " \n"); word != NULL && n < WORDS_MAX;
		word = strtok(NULL, " \n"))
		words[n++] = word;
	return plan_parse(plan, n, words);
}
