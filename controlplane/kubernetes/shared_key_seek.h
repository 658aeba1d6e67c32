#pragma once

#include "guideway/dataplane.h"
#include "kubernetes_config.h"
#include "loop.h"

// Gets the key of the flow hash from the cluster, before anything is forwarded: for as long as that
// takes, or until 'gives_up' says so. Runs 'loop', which nothing else runs yet. On failure
// 'ret_why' says in one sentence what failed. Returns 0, -ECANCELED, or -errno.
int shared_key_seek(struct loop *loop, const struct kubernetes_config *config,
	bool (*gives_up)(void), uint64_t ret_key[2], char ret_why[WHY_MAX]);
