#pragma once

#include "guideway/dataplane.h"
#include "kubeconfig.h"
#include "kubernetes_config.h"

// Where the API servers are and who we are to them: as the configuration has it, else as every pod
// finds it. On failure 'ret_why' is the first mistake, of all that there are. Returns 0, -EINVAL,
// or -errno.
int access_find(const struct kubernetes_config *config, struct api_access *ret_access,
	char ret_why[WHY_MAX]);
