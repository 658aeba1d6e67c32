#include "netns.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

// Link-local addresses are good at once: until they are, nobody is solicited.
#define PREPARE                                                   \
	"ip link set lo up; "                                     \
	"echo 0 >/proc/sys/net/ipv6/conf/default/dad_transmits; " \
	"echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad"

enum { COMMAND_MAX = 2048, SKIPPED = 77 };

void netns_enter_new(void)
{
	if (unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "skipped: needs the right to make a network namespace\n");
		exit(SKIPPED);
	}
	run(PREPARE);
}

static void hold(int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) < 0)
		_exit(1);
	(void)!write(ready, "", 1);
	for (;;)
		pause();
}

pid_t netns_hold(void)
{
	char byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	pid_t holder = fork();
	assert_true(holder >= 0);
	if (holder == 0)
		hold(ends[1]);
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	run_in(holder, PREPARE);
	return holder;
}

void netns_release(pid_t holder)
{
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
}

static int shell(pid_t holder, const char *format, va_list arguments)
{
	char given[COMMAND_MAX], command[2 * COMMAND_MAX];

	vsnprintf(given, sizeof(given), format, arguments);
	if (holder == 0)
		snprintf(command, sizeof(command), "%s", given);
	else
		snprintf(command, sizeof(command), "nsenter -t %d -n sh -ec '%s'", (int)holder,
			given);
	return system(command);
}

void run(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	assert_int_equal(shell(0, format, arguments), 0);
	va_end(arguments);
}

void run_in(pid_t holder, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	assert_int_equal(shell(holder, format, arguments), 0);
	va_end(arguments);
}

int try_run(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int status = shell(0, format, arguments);
	va_end(arguments);
	return status;
}
