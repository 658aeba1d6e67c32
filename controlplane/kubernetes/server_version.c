#include "server_version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json_read.h"
#include "log.h"

// ipMode, which keeps kube-proxy from answering for addresses that are ours in snat, is in every
// cluster from here on (KEP-1860). Others may lack it, or have it switched off.
#define OLDEST_MAJOR 1
#define OLDEST_MINOR 32

#define AGAIN_NS (10 * NSEC_PER_SEC) // After no answer,
#define ANEW_NS (60 * NSEC_PER_SEC)  // and after one: servers may be turned to and fro.

struct server_version {
	struct api_client *client;
	struct api_request *request; // NULL for none.
	const char *server;          // Whose release is known; NULL for none's.
	uint64_t due_ns;             // Nothing is asked before.
	struct server_release release;
};

// Some providers write "32+".
static unsigned number_of(const json_t *json, const char *member)
{
	return (unsigned)strtoul(json_text_at(json, member), NULL, 10);
}

int server_release_parse(const json_t *json, struct server_release *ret_release)
{
	struct server_release release = {
		.major = number_of(json, "major"), .minor = number_of(json, "minor")};

	if (release.major == 0 ||
		!json_copy_text(json, "gitVersion", release.text, sizeof(release.text)) ||
		release.text[0] == '\0')
		return -EINVAL;
	*ret_release = release;
	return 0;
}

bool server_release_is_old(const struct server_release *release)
{
	return release->major != 0 &&
		(release->major < OLDEST_MAJOR ||
			(release->major == OLDEST_MAJOR && release->minor < OLDEST_MINOR));
}

static void say(const char *server, const struct server_release *release)
{
	if (server_release_is_old(release))
		log_warning("%s is of Kubernetes %s, which is older than the oldest that Guideway "
			    "is made for, %d.%d: there ipMode may be missing, without which nodes "
			    "answer for addresses themselves that Guideway serves in snat",
			server, release->text, OLDEST_MAJOR, OLDEST_MINOR);
	else
		log_info("%s is of Kubernetes %s", server, release->text);
}

static void answered(void *argument, const struct api_answer *answer)
{
	struct server_version *v = argument;
	struct server_release release;

	v->request = NULL;
	if (!api_status_is_good(answer->status))
		return;
	if (server_release_parse(answer->json, &release) < 0) {
		log_about("release", LEVEL_WARNING, "%s does not say of what release it is",
			answer->server);
		return;
	}
	v->due_ns = loop_clock_ns() + ANEW_NS;
	v->server = answer->server;
	v->release = release;
	say(v->server, &v->release);
}

void server_version_look(struct server_version *version, uint64_t now_ns)
{
	struct client_call call = {
		.method = "GET", .path = "/version", .fn = answered, .argument = version};
	struct api_client_status status;

	api_client_read_status(version->client, &status);
	if (version->request != NULL || status.server == version->server ||
		now_ns < version->due_ns)
		return;
	version->due_ns = now_ns + AGAIN_NS;
	if (api_client_call(version->client, &call, &version->request) < 0)
		version->request = NULL;
}

struct server_version *server_version_create(struct api_client *client)
{
	struct server_version *version = calloc(1, sizeof(*version));

	if (version != NULL)
		version->client = client;
	return version;
}

void server_version_destroy(struct server_version *version)
{
	if (version == NULL)
		return;

	api_client_cancel(version->client, version->request);
	free(version);
}

const struct server_release *server_version_release(const struct server_version *version)
{
	return &version->release;
}
