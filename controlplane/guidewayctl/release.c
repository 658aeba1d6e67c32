#include "release.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "show.h"

enum {
	LOOKS_A_SECOND = 4,
	PATIENCE_LOOKS = 30 * LOOKS_A_SECOND, // Without one more that is released.
};

static json_int_t count_ours(const json_t *summary)
{
	return stage_of(summary, "claim") + stage_of(summary, "wait") + stage_of(summary, "serve") +
		stage_of(summary, "release");
}

static bool confirm(json_int_t n)
{
	char answer[16] = "";

	printf("%lld Services of the cluster lose their addresses, and are not forwarded any "
	       "more. To go on, type yes: ",
		n);
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) != NULL && strcmp(answer, "yes\n") == 0;
}

static void wait_a_little(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000000 / LOOKS_A_SECOND}, NULL);
}

// How far it is. Before the API server was heard nobody knows how many there are.
struct progress {
	bool is_synced;
	json_int_t ours; // To be released, or being so;
	json_int_t left; // of those, these are being so.
};

static enum client_result look(const char *socket, struct progress *ret_progress)
{
	json_t *summary;

	enum client_result r = client_ask(socket, "GET", "/v1/kubernetes/summary", &summary);
	if (r != CLIENT_OK)
		return r;
	*ret_progress = (struct progress){
		is_true(summary, "synced"), count_ours(summary), stage_of(summary, "release")};
	json_decref(summary);
	return CLIENT_OK;
}

static bool is_done(const struct progress *progress)
{
	return progress->is_synced && progress->left == 0;
}

// Looks until none of 'n' is left, or nothing moves any more. Returns as of client_ask().
static enum client_result follow(const char *socket, json_int_t n, struct progress *ret_progress)
{
	struct progress progress = {.left = n}, before;

	for (int looks = 0; looks < PATIENCE_LOOKS && !is_done(&progress); looks++) {
		before = progress;
		wait_a_little();
		enum client_result r = look(socket, &progress);
		if (r != CLIENT_OK)
			return r;
		if (progress.left == before.left)
			continue;
		printf("%lld of %lld Services are released\n",
			n > progress.left ? n - progress.left : 0, n);
		fflush(stdout);
		looks = 0;
	}
	*ret_progress = progress;
	return CLIENT_OK;
}

static void say_left(const json_t *service)
{
	const char *error = json_string_value(json_object_get(service, "write_error"));

	if (strcmp(text_of(service, "stage"), "release") == 0)
		fprintf(stderr, "guidewayctl: not released: %s: %s\n", text_of(service, "service"),
			error == NULL ? "it is not its turn yet, or the API server does not answer"
				      : error);
}

static int say_all_left(const char *socket)
{
	json_t *answer, *service;
	size_t i;

	enum client_result r = client_ask(socket, "GET", "/v1/kubernetes", &answer);
	if (r != CLIENT_OK)
		return (int)r;
	json_array_foreach(json_object_get(answer, "services"), i, service) say_left(service);
	if (!is_true(answer, "synced"))
		fprintf(stderr,
			"guidewayctl: the cluster is not followed: nothing is released before "
			"the API server answers\n");
	json_decref(answer);
	fprintf(stderr,
		"guidewayctl: guideway goes on trying; guidewayctl kubernetes shows them\n");
	return CLIENT_REFUSED;
}

// Only the instance that writes to the cluster can release. The others serve nothing of it from now
// on, and do not claim when they come to lead.
static enum client_result begin(const char *socket)
{
	json_t *summary;

	enum client_result r = client_ask(socket, "POST", "/v1/kubernetes/release", &summary);
	if (r != CLIENT_OK)
		return r;

	const json_t *instance = json_object_get(summary, "instance");
	if (is_true(instance, "election") && !is_true(instance, "leads")) {
		fprintf(stderr,
			"guidewayctl: this instance claims nothing any more, but another one "
			"writes to the cluster, and has to be told the same: %s\n",
			text_of(instance, "leader"));
		r = CLIENT_REFUSED;
	}
	json_decref(summary);
	return r;
}

// They do not know that all was given up here.
static void warn_of_others(const char *socket)
{
	json_t *summary, *instance;
	const char *before = "guidewayctl: each other instance has to be told the same before this "
			     "one ends, or else the one that leads next claims all again: ";
	size_t i;

	if (client_ask(socket, "GET", "/v1/kubernetes/summary", &summary) != CLIENT_OK)
		return;
	json_array_foreach(json_object_get(summary, "instances"), i, instance)
	{
		if (is_true(instance, "own"))
			continue;
		fprintf(stderr, "%s%s", before, text_of(instance, "name"));
		before = ", ";
	}
	if (*before == ',')
		fprintf(stderr, "\n");
	json_decref(summary);
}

int release_all(const char *socket, bool is_meant)
{
	struct progress progress;

	enum client_result r = look(socket, &progress);
	if (r != CLIENT_OK)
		return (int)r;
	if (!is_meant && !confirm(progress.ours)) {
		printf("nothing was changed\n");
		return EXIT_FAILURE;
	}
	r = begin(socket);
	if (r == CLIENT_OK)
		r = follow(socket, progress.ours, &progress);
	if (r != CLIENT_OK)
		return (int)r;
	if (!is_done(&progress))
		return say_all_left(socket);
	printf("all are released; none is claimed before a restart, or guidewayctl kubernetes "
	       "claim\n");
	warn_of_others(socket);
	return 0;
}
