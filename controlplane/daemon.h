#pragma once

// The life of one Guideway, from its configuration file to its end.

// Exit statuses.
enum {
	EXIT_ENDED = 0,   // By SIGTERM or SIGINT, everything being given back.
	EXIT_START = 1,   // It could not start, and said why.
	EXIT_USAGE = 2,   // The command line is wrong.
	EXIT_RUNNING = 3, // Its loop failed while running.
	EXIT_CONFIG =
		4, // The configuration cannot be read or has mistakes: trying again is no use.
};

// Starts, runs until told to end, and gives everything back. Returns an exit status.
int daemon_run(const char *config_path);
