#pragma once

#include <jansson.h>

#include "state_directory.h"

// What was known of the cluster, in the state directory, so that a restart serves it whether an API
// server answers or not. Written beside the loop: ten thousand Services take the disk a while.

struct cluster_file;

// Returns 0 or -ENOMEM.
int cluster_file_open(struct state_directory *directory, struct cluster_file **ret_file);

// Waits for what is being written. Accepts NULL.
void cluster_file_close(struct cluster_file *file);

// What the last process wrote. 'ret_document' is the caller's. Returns 0, -ENOENT if there is
// nothing, -EINVAL if it is no JSON, or -errno.
int cluster_file_read(struct cluster_file *file, json_t **ret_document);

// Takes 'document', which nobody else uses, and writes it in its own time. Returns 0, -EBUSY while
// one before is being written, or -errno; 'document' is taken in any case.
int cluster_file_write(struct cluster_file *file, json_t *document);

// How the last write that is over ended: 0 or -errno.
int cluster_file_error(const struct cluster_file *file);

// The same of the last write, which is waited for.
int cluster_file_wait(struct cluster_file *file);
