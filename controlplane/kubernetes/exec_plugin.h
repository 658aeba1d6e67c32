#pragma once

#include <jansson.h>
#include <stdint.h>

#include "kubeconfig.h"
#include "loop.h"

// A program that is run for credentials, beside the loop: it gets none of our file descriptors, has
// EXEC_TIMEOUT_S seconds, and may say EXEC_OUTPUT_MAX bytes.

struct exec_plugin;

enum { EXEC_TIMEOUT_S = 30, EXEC_OUTPUT_MAX = 1 << 18, EXEC_WHY_MAX = 512 };

// What it said. 'token' is NULL if it gave none, as are the two others if it gave no certificate.
struct exec_answer {
	const char *token;
	const char *certificate_pem;
	const char *key_pem;
	int64_t expires_s; // Since 1970; 0 for never.
};

// 'answer' is borrowed for the call, and NULL if the program failed, for the reason 'why'.
typedef void exec_done_fn(void *argument, const struct exec_answer *answer, const char *why);

// Starts the program that 'access' names; 'ca_pem' is what it is told of the cluster, if it is to
// be told. 'fn' is called once, in a later step. On failure 'ret_why' says why in one sentence.
// Returns 0 or -errno.
int exec_plugin_start(struct loop *loop, const struct api_access *access, const char *ca_pem,
	exec_done_fn *fn, void *argument, struct exec_plugin **ret_plugin,
	char ret_why[EXEC_WHY_MAX]);

// Ends it, with all that it started. 'fn' is not called any more. To be called after 'fn' as well,
// and by it if need be. Accepts NULL.
void exec_plugin_stop(struct exec_plugin *plugin);

// What a program printed, read: an ExecCredential of 'api_version'. 'ret_answer' borrows from
// 'document'. Returns false if it is none, for the reason 'ret_why'.
bool exec_answer_read(const json_t *document, const char *api_version,
	struct exec_answer *ret_answer, char ret_why[EXEC_WHY_MAX]);

// "2026-01-02T03:04:05Z" and its like (RFC 3339), as seconds since 1970; -1 if it is none.
int64_t time_of_rfc3339(const char *text);
