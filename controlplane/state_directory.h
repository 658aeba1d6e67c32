#pragma once

#include <stddef.h>
#include <stdint.h>

#include "guideway/dataplane.h"

// The folder that outlives the process: the hash key, the nodes that the operator drained, what
// was adopted from the kernel. One process has it at a time.

struct state_directory;

// Makes the folder if it is not there, and locks it. On failure 'ret_why' says in one sentence
// what failed. Returns 0, -EBUSY if another process has it, or -errno.
int state_directory_open(
	const char *path, struct state_directory **ret_directory, char ret_why[WHY_MAX]);

// Accepts NULL.
void state_directory_close(struct state_directory *directory);

const char *state_directory_path(const struct state_directory *directory);

// Reads a file of at most 64 MB whole. 'ret_text' is the caller's to free, and a 0 follows its
// 'ret_len' bytes. Returns 0, -ENOENT if there is none, or -errno.
int state_directory_read(
	struct state_directory *directory, const char *name, char **ret_text, size_t *ret_len);

// Writes a file whole, mode 0600: after a crash at any moment it is either as before or as given.
// Returns 0 or -errno.
int state_directory_write(
	struct state_directory *directory, const char *name, const void *bytes, size_t len);

// A file that is not there is no error. Returns 0 or -errno.
int state_directory_remove(struct state_directory *directory, const char *name);

// The key of the flow hash that is there, or -ENOENT; else as below. And the one that is from now
// on.
int state_directory_find_hash_key(struct state_directory *directory, uint64_t ret_key[2]);
int state_directory_set_hash_key(struct state_directory *directory, const uint64_t key[2]);

// The key of the flow hash: random, made at the first call ever and the same ever after, so that a
// restart moves no flow. Returns 0, -EINVAL if the file is not a key, or -errno.
int state_directory_hash_key(struct state_directory *directory, uint64_t ret_key[2]);

// Tells this state directory from all others: as random and as lasting. As of the hash key.
int state_directory_instance_id(struct state_directory *directory, uint32_t *ret_id);
