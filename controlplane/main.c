#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "config.h"
#include "daemon.h"

// The program guideway: its command line. What it does is in daemon.c.

static const char synopsis[] = "guideway --config FILE | --check FILE | --help | --version\n";

static const char help[] =
	"NAME\n"
	"    guideway - a load balancer for TCP and UDP: from virtual addresses to NodePorts\n"
	"\n"
	"SYNOPSIS\n"
	"    guideway --config FILE\n"
	"    guideway --check FILE\n"
	"\n"
	"DESCRIPTION\n"
	"    Takes the ports and CPUs that FILE names, and forwards what comes to the virtual\n"
	"    addresses of its services to the nodes that are up. Stays in the foreground, and "
	"logs\n"
	"    to stderr, or to the journal where that is stderr. guidewayctl tells how it fares.\n"
	"\n"
	"OPTIONS\n"
	"    -c, --config FILE   run\n"
	"    -n, --check FILE    read FILE, print every mistake in it, and end\n"
	"    -h, --help          print this\n"
	"    -V, --version       print the version\n"
	"\n"
	"SIGNALS\n"
	"    HUP         reads FILE again. Services, nodes, checks, SNAT addresses and timeouts\n"
	"                change without losing a flow; what needs a restart is said. A file with\n"
	"                mistakes changes nothing.\n"
	"    TERM, INT   gives back ports, addresses and routes, and ends, within a second.\n"
	"\n"
	"EXIT STATUS\n"
	"    0   it ended because it was told to, or --check found no mistake\n"
	"    1   it could not start\n"
	"    2   the command line is wrong\n"
	"    3   it failed while running\n"
	"    4   FILE cannot be read, or has mistakes\n"
	"\n"
	"ENVIRONMENT\n"
	"    NOTIFY_SOCKET   where systemd is told that VIPs are served (sd_notify(3))\n"
	"\n"
	"FILES\n"
	"    /etc/guideway/guideway.conf   the configuration, where the systemd unit looks for it\n"
	"\n"
	"CONFIGURATION\n";

static int print_help(void)
{
	struct text_lines keys = {0};

	fputs(help, stdout);
	if (config_help(&keys) == 0) {
		for (size_t i = 0; i < keys.n; i++)
			printf("    %s\n", keys.lines[i]);
	}
	text_lines_clear(&keys);
	return EXIT_ENDED;
}

// After 'before' unless that is empty.
static void print_lines(const char *before, struct text_lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		fprintf(stderr, "%s%s%s\n", before, *before == '\0' ? "" : ": ", lines->lines[i]);
	text_lines_clear(lines);
}

static int check(const char *path)
{
	struct text_lines mistakes = {0};
	struct text_lines warnings = {0};
	struct config *config;

	if (config_parse_file(path, &config, &mistakes) == 0) {
		printf("%s: no mistakes: %zu services over %zu nodes on %zu ports\n", path,
			config->n_services, config->n_nodes, config->dataplane.n_ports);
		config_warnings(config, &warnings);
		print_lines(path, &warnings);
		config_free(config);
		return EXIT_ENDED;
	}
	print_lines("", &mistakes);
	return EXIT_CONFIG;
}

static int wrong_usage(void)
{
	fprintf(stderr, "usage: %s", synopsis);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};

	int option = getopt_long(argc, argv, "c:n:hV", options, NULL);
	if (option != -1 && optind != argc)
		return wrong_usage();

	switch (option) {
	case 'c':
		return daemon_run(optarg);
	case 'n':
		return check(optarg);
	case 'h':
		return print_help();
	case 'V':
		printf("guideway %s\n", GUIDEWAY_VERSION);
		return EXIT_ENDED;
	default:
		return wrong_usage();
	}
}
