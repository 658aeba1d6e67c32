#include "shared_key_seek.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "access.h"
#include "api_client.h"
#include "clock.h"
#include "log.h"
#include "shared_key.h"

#define LOOK_NS (100 * NSEC_PER_MSEC)

struct seeking {
	struct loop *loop;
	struct shared_key *shared;
	struct api_client *client;
	struct api_request *request; // NULL for none.
	struct loop_timer look;
	bool (*gives_up)(void);
};

static void answered(void *argument, const struct api_answer *answer)
{
	struct seeking *s = argument;

	s->request = NULL;
	shared_key_answered(s->shared, answer->status, answer->json, loop_clock_ns());
	if (shared_key_state(s->shared) == SHARED_KEY_BAD)
		log_about("hash key", LEVEL_ERROR,
			"nothing is served yet: the Secret %s has no 32 hexadecimal digits under "
			"%s; mend it, or delete it, so that it is made anew",
			SHARED_KEY_SECRET, SHARED_KEY_MEMBER);
	else if (answer->status != 200 && answer->status != 201 && answer->status != 404 &&
		answer->status != 409)
		log_about("hash key", LEVEL_WARNING,
			"nothing is served yet: the hash key is in the Secret %s of the cluster, "
			"which cannot be read, and will be tried again: %s",
			SHARED_KEY_SECRET, answer->why);
}

static void look(void *argument, uint64_t now_ns)
{
	struct seeking *s = argument;
	struct api_ask asked;
	uint64_t key[2];

	if (s->gives_up() || shared_key_read(s->shared, key)) {
		loop_stop(s->loop);
		return;
	}
	if (shared_key_next(s->shared, false, now_ns, &asked) &&
		api_client_ask(s->client, &asked, 0, answered, s, &s->request) < 0)
		shared_key_answered(s->shared, 0, NULL, now_ns);
	loop_timer_set(s->loop, &s->look, now_ns + LOOK_NS);
}

static int seek(struct seeking *s, uint64_t ret_key[2])
{
	loop_timer_set(s->loop, &s->look, loop_clock_ns());
	int r = loop_run(s->loop);
	loop_timer_cancel(s->loop, &s->look);
	if (r == 0 && !shared_key_read(s->shared, ret_key))
		r = -ECANCELED;
	return r;
}

static int start(
	struct seeking *s, const struct kubernetes_config *config, const struct api_access *access)
{
	uint64_t made[2];

	// 16 bytes are never given in part (getrandom(2)).
	if (getrandom(made, sizeof(made), 0) != sizeof(made))
		return -errno;
	s->shared = shared_key_create(config->instances.space, made, true);
	return s->shared == NULL ? -ENOMEM : api_client_create(s->loop, access, &s->client);
}

int shared_key_seek(struct loop *loop, const struct kubernetes_config *config,
	bool (*gives_up)(void), uint64_t ret_key[2], char ret_why[WHY_MAX])
{
	struct seeking s = {.loop = loop, .gives_up = gives_up};
	struct api_access access = {0};

	s.look = (struct loop_timer){.name = "hash key", .fn = look, .argument = &s};
	int r = access_find(config, &access, ret_why);
	if (r < 0)
		return r;
	r = start(&s, config, &access);
	if (r == 0)
		r = seek(&s, ret_key);
	if (r < 0)
		snprintf(ret_why, WHY_MAX, "the hash key was not had from the cluster: %s",
			strerror(-r));
	api_client_cancel(s.client, s.request);
	api_client_destroy(s.client);
	shared_key_destroy(s.shared);
	api_access_clear(&access);
	return r;
}
