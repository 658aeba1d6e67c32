// How many cycles it takes
// ========================
//
// Cycles are of the time-stamp counter, on one core, around bursts of 32, with I/O left out: frames
// lie in the cache as a NIC leaves them there. Flows are picked at random, so in another order
// than they were made in. Each number is the median of rounds,
// beside which stands the best of them.
//
// So that machines can be compared, each result comes with what the machine is: its processor, the
// rate of its counter, how long one random line takes from memory, and what a burst costs that is
// only received from DPDK's null port, has its MAC addresses swapped, and is sent.
//
// usage: bench [--json] [--cpu N] [--flows-max N] [--only TEXT] [--rounds N] [--small-pages]
//              [--skip-machine]

#include "bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_version.h>

struct bench {
	struct bench_options options;
	bool json;
	json_t *results;
	json_t *machine;
};

const struct bench_options *bench_options(const struct bench *b)
{
	return &b->options;
}

bool bench_wants(const struct bench *b, const char *name, uint64_t n_flows)
{
	return n_flows <= b->options.flows_max &&
		(b->options.only == NULL || strstr(name, b->options.only) != NULL);
}

void bench_fact(struct bench *b, const char *name, double value, const char *unit)
{
	json_object_set_new(
		b->machine, name, json_pack("{s:f, s:s}", "value", value, "unit", unit));
	if (!b->json)
		printf("%-36s %10.1f %s\n", name, value, unit);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *samples, size_t n)
{
	qsort(samples, n, sizeof(*samples), compare);
	return n % 2 == 1 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
}

// Adds a result, and begins a line that its bound ends. Returns the median.
static double add_result(struct bench *b, const char *name, const char *unit, uint64_t n_flows,
	const char *pages, double *samples, size_t n, json_t **ret_result)
{
	double cycles = bench_median(samples, n);
	double ns = cycles * 1e9 / (double)rte_get_tsc_hz();

	*ret_result = json_pack("{s:s, s:s, s:I, s:s, s:f, s:f, s:f}", "name", name, "unit", unit,
		"flows", (json_int_t)n_flows, "pages", pages, "cycles", cycles, "best", samples[0],
		"ns", ns);
	json_array_append_new(b->results, *ret_result);
	if (b->json) // Progress; what counts comes at the end, on stdout.
		fprintf(stderr, "%s, %llu flows\n", name, (unsigned long long)n_flows);
	else
		printf("%-36s %10llu  %-22s %8.1f %8.1f %8.1f", name, (unsigned long long)n_flows,
			pages, cycles, samples[0], ns);
	return cycles;
}

static const char *judgement(double value, double bound)
{
	return value <= bound ? "held" : "MISSED";
}

static void end_line(const struct bench *b)
{
	if (!b->json)
		printf("\n");
	fflush(stdout);
}

void bench_report(struct bench *b, const char *name, const char *unit, uint64_t n_flows,
	const char *pages, double *samples, size_t n, double bound)
{
	json_t *result;
	double cycles = add_result(b, name, unit, n_flows, pages, samples, n, &result);

	if (bound > 0)
		json_object_set_new(result, "bound", json_real(bound));
	if (bound > 0 && !b->json)
		printf("  %5.0f %s", bound, judgement(cycles, bound));
	end_line(b);
}

void bench_report_beside(struct bench *b, const char *name, const char *unit, uint64_t n_flows,
	const char *pages, double *samples, const double *beside, size_t n, double bound)
{
	double ratios[BENCH_ROUNDS_MAX];
	json_t *result;

	for (size_t i = 0; i < n; i++)
		ratios[i] = samples[i] / beside[i];
	double ratio = bench_median(ratios, n);

	add_result(b, name, unit, n_flows, pages, samples, n, &result);
	json_object_set_new(result, "ratio", json_real(ratio));
	if (bound > 0)
		json_object_set_new(result, "ratio_bound", json_real(bound));
	if (!b->json)
		printf("  x%.3f", ratio);
	if (bound > 0 && !b->json)
		printf(" of x%.2f %s", bound, judgement(ratio, bound));
	end_line(b);
}

void bench_require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

uint64_t bench_overhead(void)
{
	static uint64_t least = UINT64_MAX;
	static int tries;

	for (; tries < 1000; tries++) {
		uint64_t start = bench_now();

		least = RTE_MIN(least, bench_now() - start);
	}
	return least;
}

static void usage(int status)
{
	fprintf(status == 0 ? stdout : stderr,
		"usage: bench [OPTION]...\n"
		"\n"
		"  --json          one JSON object instead of a table\n"
		"  --cpu N         run there (0)\n"
		"  --flows-max N   leave out what needs more live flows (1048576)\n"
		"  --only TEXT     only what has TEXT in its name\n"
		"  --rounds N      take the median of N rounds (31)\n"
		"  --small-pages   flow memory without reserved 2 MB pages\n"
		"  --skip-machine  do not measure the machine first\n");
	exit(status);
}

static void parse_options(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"cpu", required_argument, NULL, 'c'},
		{"flows-max", required_argument, NULL, 'f'},
		{"only", required_argument, NULL, 'o'},
		{"rounds", required_argument, NULL, 'r'},
		{"small-pages", no_argument, NULL, 's'},
		{"skip-machine", no_argument, NULL, 'm'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	b->options = (struct bench_options){.flows_max = 1 << 20, .rounds = 31, .hugepages = true};
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			b->json = true;
			break;
		case 'c':
			b->options.cpu = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'f':
			b->options.flows_max = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			b->options.only = optarg;
			break;
		case 'r':
			b->options.rounds = strtoul(optarg, NULL, 0);
			break;
		case 'm':
			b->options.skips_machine = true;
			break;
		case 's':
			b->options.hugepages = false;
			break;
		default:
			usage(option == 'h' ? 0 : 2);
		}
	}
	if (optind < argc || b->options.rounds == 0 || b->options.rounds > BENCH_ROUNDS_MAX)
		usage(2);
}

// Without hugepages for packets: those are for flow memory, and 32 buffers stay in the cache.
static void start_environment(unsigned cpu)
{
	char lcores[32];
	char *arguments[] = {"bench", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
		"-m", "64", lcores, "--iova-mode=va", "--log-level=error", "--vdev=net_null0"};

	snprintf(lcores, sizeof(lcores), "--lcores=0@%u", cpu);

	bench_require(rte_eal_init(sizeof(arguments) / sizeof(arguments[0]), arguments) >= 0,
		"DPDK's environment does not start: is there no such CPU (--cpu)?");
	bench_require(rte_eth_dev_count_avail() == 1, "there is no null port");
}

static void describe_processor(struct bench *b)
{
	char line[256], model[200] = "unknown";
	FILE *file = fopen("/proc/cpuinfo", "re");

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "model name : %199[^\n]", model) == 1)
			break;
	}
	if (file != NULL)
		fclose(file);
	json_object_set_new(b->machine, "processor", json_string(model));
	if (!b->json)
		printf("%-36s %s\n", "processor", model);
}

static void print_heading(const struct bench *b)
{
	if (!b->json)
		printf("\n%-36s %10s  %-22s %8s %8s %8s  %s\n", "", "flows", "flow memory",
			"cycles", "best", "ns", "bound");
}

int main(int argc, char **argv)
{
	struct bench b = {.results = json_array(), .machine = json_object()};

	parse_options(&b, argc, argv);
	start_environment(b.options.cpu);
	describe_processor(&b);
	if (!b.options.skips_machine)
		bench_machine(&b);
	print_heading(&b);
	bench_flow_table(&b);
	bench_snat(&b);
	bench_modes(&b);
	bench_fragments(&b);
	bench_growth(&b);
	bench_lookups(&b);
	bench_sources(&b);
	bench_tables(&b);
	bench_cluster(&b);

	json_t *build = json_pack("{s:s, s:s, s:s, s:s}", "type", BUILD_TYPE, "march", BUILD_MARCH,
		"compiler", __VERSION__, "dpdk", rte_version());
	json_t *all = json_pack(
		"{s:o, s:o, s:o}", "machine", b.machine, "build", build, "results", b.results);
	if (b.json)
		json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	if (b.json)
		printf("\n");
	json_decref(all);
	rte_eal_cleanup();
	return 0;
}
