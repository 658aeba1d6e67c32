#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kubeconfig.h"

// What the kubelet puts into every pod's environment, and into a folder of its container. The token
// and the certificate are read anew where they are used: they change under our hands.

enum { NAMESPACE_MAX = 64 };

// NULL if there is none, which only some need to know.
static char *read_namespace(const char *folder)
{
	char path[512], text[NAMESPACE_MAX] = "";

	snprintf(path, sizeof(path), "%s/namespace", folder);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return NULL;

	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	text[strcspn(text, " \t\r\n")] = '\0';
	return text[0] == '\0' ? NULL : strdup(text);
}

static char *file_in(const char *folder, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static int fill(struct api_access *access, const char *url, const char *folder,
	struct text_lines *ret_mistakes)
{
	int r = api_access_set_servers(access, &url, 1, ret_mistakes);
	if (r < 0)
		return r;

	access->token_file = file_in(folder, "token");
	access->ca_file = file_in(folder, "ca.crt");
	access->namespace = read_namespace(folder);
	return access->token_file == NULL || access->ca_file == NULL ? -ENOMEM : 0;
}

int in_cluster_access(const char *host, const char *port, const char *folder,
	struct api_access *ret_access, struct text_lines *ret_mistakes)
{
	struct api_access access = {0};
	char url[512];

	if (host == NULL || host[0] == '\0' || port == NULL || port[0] == '\0') {
		int r = text_lines_add(ret_mistakes,
			"KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is "
			"no pod, and a kubeconfig must be named");
		return r < 0 ? r : -EINVAL;
	}
	bool is_ipv6 = strchr(host, ':') != NULL && host[0] != '[';
	snprintf(url, sizeof(url), "https://%s%.256s%s:%.16s", is_ipv6 ? "[" : "", host,
		is_ipv6 ? "]" : "", port);
	int r = fill(&access, url, folder, ret_mistakes);
	if (r < 0) {
		api_access_clear(&access);
		return r;
	}
	*ret_access = access;
	return 0;
}
