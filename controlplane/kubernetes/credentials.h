#pragma once

#include <stdint.h>

#include "kubeconfig.h"
#include "loop.h"

// Who we are to the API server, now: tokens and certificates are renewed under our hands, in files,
// or by a program that is run for them.

struct credentials;

enum { CREDENTIALS_WHY_MAX = 512 };

enum credentials_state {
	CREDENTIALS_READY,
	CREDENTIALS_PENDING, // A program was asked; 'changed' will be called.
	CREDENTIALS_FAILED,
};

// What to show a server. NULL for what there is none of.
struct credential {
	const char *token;
	const char *ca_pem;
	const char *certificate_pem;
	const char *key_pem;
	uint64_t generation; // Another one for other contents.
};

// 'changed' is called, in a step of its own, when what was pending is ready or failed. 'access' is
// borrowed. Returns 0 or -ENOMEM.
int credentials_create(struct loop *loop, const struct api_access *access,
	void (*changed)(void *argument), void *argument, struct credentials **ret_credentials);

// A program under way is killed. Accepts NULL.
void credentials_destroy(struct credentials *credentials);

// The credentials as they are to be used now. Files are read anew if they were not lately, and a
// program is run if what it said has expired. What 'ret_credential' points to is good until the
// next call. If they are FAILED, 'ret_why' says why in one sentence.
enum credentials_state credentials_look(struct credentials *credentials, uint64_t now_ns,
	struct credential *ret_credential, char ret_why[CREDENTIALS_WHY_MAX]);

// A server refused those of 'generation' (401). Returns true if others are there or on their way,
// so that asking once more is worth it.
bool credentials_refused(struct credentials *credentials, uint64_t generation, uint64_t now_ns);
