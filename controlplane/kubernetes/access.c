#include "access.h"

#include <stdio.h>
#include <stdlib.h>

static int find(const struct kubernetes_config *config, struct api_access *ret_access,
	struct text_lines *ret_mistakes)
{
	const char *servers[SERVERS_MAX];
	int r = config->kubeconfig[0] != '\0'
		? kubeconfig_parse_file(config->kubeconfig, ret_access, ret_mistakes)
		: in_cluster_access(getenv("KUBERNETES_SERVICE_HOST"),
			  getenv("KUBERNETES_SERVICE_PORT"), SERVICE_ACCOUNT_FOLDER, ret_access,
			  ret_mistakes);

	for (size_t i = 0; i < config->n_servers; i++)
		servers[i] = config->servers[i];
	if (r == 0 && config->n_servers > 0)
		r = api_access_set_servers(ret_access, servers, config->n_servers, ret_mistakes);
	return r;
}

int access_find(const struct kubernetes_config *config, struct api_access *ret_access,
	char ret_why[WHY_MAX])
{
	struct text_lines mistakes = {0};
	int r = find(config, ret_access, &mistakes);

	if (r < 0)
		snprintf(ret_why, WHY_MAX, "%s",
			mistakes.n > 0 ? mistakes.lines[0]
				       : "there is not enough memory for credentials");
	text_lines_clear(&mistakes);
	return r;
}
