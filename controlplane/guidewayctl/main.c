#include <curl/curl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "packet_text.h"
#include "release.h"
#include "show.h"

// The program guidewayctl: asks a running guideway, and shows the answer.

#define DEFAULT_SOCKET "/run/guideway/guideway.sock"

enum {
	EXIT_USAGE = 2,
	FRAME_MAX = 9018,
	PATH_MAX_LEN = 2 * FRAME_MAX + 1024,
};

static const char help[] =
	"NAME\n"
	"    guidewayctl - asks and tells a running guideway\n"
	"\n"
	"SYNOPSIS\n"
	"    guidewayctl [-s SOCKET] [-o json] COMMAND\n"
	"\n"
	"COMMANDS\n"
	"    status            how all of it fares: ports, workers, flows, health\n"
	"    services [NAME]   services, how many of their nodes are up, their traffic;\n"
	"                      of one service, what each node is to it\n"
	"    nodes [NAME]      nodes, their state, why checks fail, their traffic\n"
	"    flows [FILTER]... flows, 1000 unless --limit says otherwise. Filters:\n"
	"                      --service NAME, --node NAME, --client ADDRESS[/LENGTH],\n"
	"                      --protocol tcp|udp, --limit N (at most 10000),\n"
	"                      --state half-open|established|closing|resting\n"
	"    kubernetes        the cluster: whether it is followed, and what became of its\n"
	"                      Services\n"
	"    kubernetes release --all [--yes]\n"
	"                      gives all of the cluster's Services up, before Guideway is\n"
	"                      uninstalled: they are not forwarded any more, and lose their\n"
	"                      addresses and our finalizers, conditions and status, so that\n"
	"                      nothing of them waits for us when it is deleted. None is taken\n"
	"                      again before a restart, or until:\n"
	"    kubernetes claim\n"
	"                      Other instances claim on: tell each of them. --yes asks nothing\n"
	"    counters          packets and bytes by service and node, drops by reason,\n"
	"                      events; drops and events that did not happen are left out\n"
	"    drain NODE        NODE takes no new flows and keeps the old, over reloads and\n"
	"                      restarts too, until:\n"
	"    undrain NODE\n"
	"    explain PROTOCOL CLIENT:PORT VIP:PORT\n"
	"                      what would become of such a packet, and why:\n"
	"                      explain tcp 198.51.100.7:31337 192.0.2.80:80\n"
	"                      or of a reply: explain tcp NODE:NODEPORT CLIENT:PORT, or to an\n"
	"                      SNAT address and its port\n"
	"    trace PROTOCOL CLIENT:PORT VIP:PORT\n"
	"    trace HEX | @FILE [--number N]\n"
	"                      lets a packet through the workers on paper, changing nothing:\n"
	"                      what each step finds, and what would leave. The packet is a SYN or\n"
	"                      an empty datagram between these ends, or a whole Ethernet frame:\n"
	"                      in hexadecimal digits, or in a FILE (- is stdin) that is digits,\n"
	"                      or what capture -w or -o json capture wrote, and of that the Nth.\n"
	"                      It arrives by port 0, or --port N; --origin kernel: by its twin\n"
	"\n"
	"    capture [FILTER]... [-w FILE]\n"
	"                      packets of VIPs that came in, went out or were dropped, with the\n"
	"                      reason: 100 or those of 10 seconds. Filters: --host ADDRESS,\n"
	"                      --port N, --protocol tcp|udp|sctp, --packets N (at most 10000),\n"
	"                      --seconds N (at most 60); -w writes a pcapng file for Wireshark\n"
	"\n"
	"OPTIONS\n"
	"    -s, --socket SOCKET   the control socket (" DEFAULT_SOCKET ")\n"
	"    -o, --output json     the answer as it comes, for programs\n"
	"    -h, --help            print this\n"
	"    -V, --version         print the version\n"
	"\n"
	"EXIT STATUS\n"
	"    0   done\n"
	"    1   guideway answered with an error\n"
	"    2   the command line is wrong\n"
	"    3   no guideway answers at the socket\n"
	"\n"
	"ENVIRONMENT\n"
	"    GUIDEWAY_SOCKET   the control socket, where -s names none\n"
	"\n"
	"The same may be asked by curl --unix-socket SOCKET http://localhost/v1/status and so "
	"on.\n";

// Options by the name of the call's argument.
enum filter {
	SERVICE,
	NODE,
	CLIENT,
	PROTOCOL,
	STATE,
	LIMIT,
	HOST,
	PORT,
	PACKETS,
	SECONDS,
	ORIGIN,
	N_FILTERS
};

// Which of them a command takes.
enum {
	NO_FILTERS = 0,
	FLOWS_FILTERS =
		1 << SERVICE | 1 << NODE | 1 << CLIENT | 1 << PROTOCOL | 1 << STATE | 1 << LIMIT,
	TRACE_FILTERS = 1 << PORT | 1 << ORIGIN,
	CAPTURE_FILTERS = 1 << HOST | 1 << PORT | 1 << PROTOCOL | 1 << PACKETS | 1 << SECONDS,
};

static const char *const filter_names[] = {
	[SERVICE] = "service",
	[NODE] = "node",
	[CLIENT] = "client",
	[PROTOCOL] = "protocol",
	[STATE] = "state",
	[LIMIT] = "limit",
	[HOST] = "host",
	[PORT] = "port",
	[PACKETS] = "packets",
	[SECONDS] = "seconds",
	[ORIGIN] = "origin",
};

typedef void show_fn(const json_t *answer);

// What the command line says.
struct request {
	const char *socket;
	bool json;
	char **words; // [n_words]: the command, then its own.
	size_t n_words;
	const char *filters[N_FILTERS]; // NULL for none.
	const char *file;               // Of capture, or NULL.
	const char *number;             // Of trace, or NULL.
	bool all;                       // Of kubernetes release,
	bool yes;                       // likewise.
	char path[PATH_MAX_LEN];
};

struct command {
	const char *name;
	const char *second; // Of a name of two words; NULL for one.
	const char *method;
	size_t n_words_min; // Of its own.
	size_t n_words_max;
	bool (*make_path)(struct request *request); // Returns false, having said why not.
	show_fn *show;
	unsigned filters;
	bool releases; // Takes --all and --yes, and is more than one call.
};

// The path of a call

static void add_text(struct request *request, const char *text)
{
	size_t len = strlen(request->path);

	snprintf(request->path + len, sizeof(request->path) - len, "%s", text);
}

static void add_escaped(struct request *request, const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0);

	add_text(request, escaped != NULL ? escaped : "");
	curl_free(escaped);
}

static void add_argument(struct request *request, const char *name, const char *value)
{
	add_text(request, strchr(request->path, '?') == NULL ? "?" : "&");
	add_text(request, name);
	add_text(request, "=");
	add_escaped(request, value);
}

static bool status_path(struct request *request)
{
	add_text(request, "/v1/status");
	return true;
}

static bool services_path(struct request *request)
{
	add_text(request, "/v1/services");
	if (request->n_words > 1)
		add_argument(request, "service", request->words[1]);
	return true;
}

static bool nodes_path(struct request *request)
{
	add_text(request, "/v1/nodes");
	if (request->n_words > 1)
		add_argument(request, "node", request->words[1]);
	return true;
}

static void add_filters(struct request *request)
{
	for (enum filter f = 0; f < N_FILTERS; f++) {
		if (request->filters[f] != NULL)
			add_argument(request, filter_names[f], request->filters[f]);
	}
}

static bool flows_path(struct request *request)
{
	add_text(request, "/v1/flows");
	add_filters(request);
	return true;
}

static bool capture_path(struct request *request)
{
	add_text(request, "/v1/capture");
	add_filters(request);
	return true;
}

static bool kubernetes_path(struct request *request)
{
	add_text(request, "/v1/kubernetes");
	return true;
}

static bool counters_path(struct request *request)
{
	add_text(request, "/v1/counters");
	return true;
}

static bool drain_path(struct request *request)
{
	add_text(request, "/v1/nodes/");
	add_escaped(request, request->words[1]);
	add_text(request, "/");
	add_text(request, request->words[0]); // "drain" or "undrain".
	return true;
}

static void add_ends(struct request *request)
{
	add_argument(request, "protocol", request->words[1]);
	add_argument(request, "client", request->words[2]);
	add_argument(request, "vip", request->words[3]);
}

static bool explain_path(struct request *request)
{
	add_text(request, "/v1/explain");
	add_ends(request);
	return true;
}

static int wrong_usage(const char *what)
{
	fprintf(stderr, "guidewayctl: %s; guidewayctl --help explains it\n", what);
	return EXIT_USAGE;
}

// Returns 0 for what is no number from 1 on.
static unsigned number_of_packet(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	return *text < '0' || *text > '9' || *end != '\0' || number > UINT32_MAX ? 0
										 : (unsigned)number;
}

static bool add_frame(struct request *request)
{
	unsigned number = request->number == NULL ? 1 : number_of_packet(request->number);

	if (number == 0) {
		fprintf(stderr, "guidewayctl: --number is \"%s\"; must be from 1 on\n",
			request->number);
		return false;
	}
	char *hex = packet_text(request->words[1], number);
	if (hex == NULL)
		return false;
	bool fits = strlen(hex) <= 2 * FRAME_MAX;
	if (fits)
		add_argument(request, "frame", hex);
	else
		fprintf(stderr, "guidewayctl: the frame has %zu bytes; at most %d are taken\n",
			strlen(hex) / 2, FRAME_MAX);
	free(hex);
	return fits;
}

static bool trace_path(struct request *request)
{
	add_text(request, "/v1/trace");
	add_filters(request);
	if (request->n_words == 2)
		return add_frame(request);
	if (request->n_words == 3) {
		wrong_usage("trace takes one frame, or PROTOCOL CLIENT:PORT VIP:PORT");
		return false;
	}
	add_ends(request);
	return true;
}

static bool claim_path(struct request *request)
{
	add_text(request, "/v1/kubernetes/claim");
	return true;
}

static bool release_path(struct request *request)
{
	if (!request->all)
		wrong_usage("release takes --all: it is of all Services, or of none");
	return request->all;
}

static const struct command commands[] = {
	{"status", NULL, "GET", 0, 0, status_path, show_status, NO_FILTERS, false},
	{"services", NULL, "GET", 0, 1, services_path, show_services, NO_FILTERS, false},
	{"nodes", NULL, "GET", 0, 1, nodes_path, show_nodes, NO_FILTERS, false},
	{"flows", NULL, "GET", 0, 0, flows_path, show_flows, FLOWS_FILTERS, false},
	{"capture", NULL, "GET", 0, 0, capture_path, show_capture, CAPTURE_FILTERS, false},
	{"kubernetes", "release", "POST", 0, 0, release_path, NULL, NO_FILTERS, true},
	{"kubernetes", "claim", "POST", 0, 0, claim_path, show_claim, NO_FILTERS, false},
	{"kubernetes", NULL, "GET", 0, 0, kubernetes_path, show_kubernetes, NO_FILTERS, false},
	{"counters", NULL, "GET", 0, 0, counters_path, show_counters, NO_FILTERS, false},
	{"drain", NULL, "POST", 1, 1, drain_path, show_drain, NO_FILTERS, false},
	{"undrain", NULL, "POST", 1, 1, drain_path, show_drain, NO_FILTERS, false},
	{"explain", NULL, "GET", 3, 3, explain_path, show_explanation, NO_FILTERS, false},
	{"trace", NULL, "GET", 1, 3, trace_path, show_trace, TRACE_FILTERS, false},
};

// Of those of one name, the first that fits: names of two words stand before that of one.
static const struct command *find_command(const struct request *request)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *command = &commands[i];

		if (strcmp(command->name, request->words[0]) == 0 &&
			(command->second == NULL ||
				(request->n_words > 1 &&
					strcmp(command->second, request->words[1]) == 0)))
			return command;
	}
	return NULL;
}

static bool takes_words(const struct command *command, const struct request *request)
{
	size_t n_own = request->n_words - (command->second == NULL ? 1 : 2);

	return n_own >= command->n_words_min && n_own <= command->n_words_max;
}

static bool takes_filters(const struct command *command, const struct request *request)
{
	for (enum filter f = 0; f < N_FILTERS; f++) {
		if (request->filters[f] != NULL && !(command->filters & 1u << f))
			return false;
	}
	return (!(request->all || request->yes) || command->releases) &&
		(request->file == NULL || command->show == show_capture) &&
		(request->number == NULL || command->show == show_trace);
}

static int show(const struct request *request, const struct command *command, const json_t *answer)
{
	if (request->file != NULL)
		return write_capture(answer, request->file) ? 0 : EXIT_FAILURE;
	if (request->json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		printf("\n");
	} else {
		command->show(answer);
	}
	return 0;
}

static int run(struct request *request)
{
	json_t *answer;

	const struct command *command = find_command(request);
	if (command == NULL)
		return wrong_usage("there is no such command");
	if (!takes_words(command, request))
		return wrong_usage("the command has other arguments");
	if (!takes_filters(command, request))
		return wrong_usage("the command takes no such option");
	if (!command->make_path(request))
		return EXIT_USAGE;
	if (command->releases)
		return release_all(request->socket, request->yes);

	enum client_result r = client_ask(request->socket, command->method, request->path, &answer);
	if (r != CLIENT_OK)
		return (int)r;

	int status = show(request, command, answer);
	json_decref(answer);
	return status;
}

static const char *default_socket(void)
{
	const char *socket = getenv("GUIDEWAY_SOCKET");

	return socket != NULL && socket[0] != '\0' ? socket : DEFAULT_SOCKET;
}

enum {
	OPTION_ALL = 256,
	OPTION_YES,
	OPTION_FILTER, // And as many after it as there are filters.
};

static const struct option options[] = {
	{"socket", required_argument, NULL, 's'},
	{"output", required_argument, NULL, 'o'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{"service", required_argument, NULL, OPTION_FILTER + SERVICE},
	{"node", required_argument, NULL, OPTION_FILTER + NODE},
	{"client", required_argument, NULL, OPTION_FILTER + CLIENT},
	{"protocol", required_argument, NULL, OPTION_FILTER + PROTOCOL},
	{"state", required_argument, NULL, OPTION_FILTER + STATE},
	{"limit", required_argument, NULL, OPTION_FILTER + LIMIT},
	{"host", required_argument, NULL, OPTION_FILTER + HOST},
	{"port", required_argument, NULL, OPTION_FILTER + PORT},
	{"packets", required_argument, NULL, OPTION_FILTER + PACKETS},
	{"seconds", required_argument, NULL, OPTION_FILTER + SECONDS},
	{"origin", required_argument, NULL, OPTION_FILTER + ORIGIN},
	{"number", required_argument, NULL, 'n'},
	{"write", required_argument, NULL, 'w'},
	{"all", no_argument, NULL, OPTION_ALL},
	{"yes", no_argument, NULL, OPTION_YES},
	{0},
};

int main(int argc, char **argv)
{
	struct request request = {.socket = default_socket()};
	int option;

	while ((option = getopt_long(argc, argv, "s:o:w:hV", options, NULL)) != -1) {
		switch (option) {
		case 's':
			request.socket = optarg;
			break;
		case 'o':
			if (strcmp(optarg, "json") != 0)
				return wrong_usage("the only other output is json");
			request.json = true;
			break;
		case 'w':
			request.file = optarg;
			break;
		case 'n':
			request.number = optarg;
			break;
		case OPTION_ALL:
			request.all = true;
			break;
		case OPTION_YES:
			request.yes = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			printf("guidewayctl %s\n", GUIDEWAY_VERSION);
			return 0;
		case '?':
			return wrong_usage("the options are wrong");
		default:
			request.filters[option - OPTION_FILTER] = optarg;
		}
	}
	if (optind == argc)
		return wrong_usage("a command is missing");

	request.words = argv + optind;
	request.n_words = (size_t)(argc - optind);
	return run(&request);
}
