#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text_lines.h"

// Where the API servers are and who we are to them, as a kubeconfig says it, or as every pod finds
// it in its container. Nothing is asked of the network here, and no file is read but the ones named
// at the two functions below that read: what a kubeconfig names by file is read by credentials.h,
// again and again.

// Key and value, of an environment or of what is impersonated.
struct api_pair {
	char *name;
	char *value;
};

// A program that is run for credentials. 'command' is NULL where there is none.
struct api_exec {
	char *api_version; // "client.authentication.k8s.io/v1" or ".../v1beta1".
	char *command;     // A path, or a name that PATH has.
	char **args;       // [n_args]
	size_t n_args;
	struct api_pair *env; // [n_env], beside our own environment.
	size_t n_env;
	bool provide_cluster_info;
	char *install_hint;  // What to do if the command is not there, or NULL.
	uint32_t timeout_ms; // No kubeconfig says it; 0 for EXEC_TIMEOUT_S.
};

// Strings are NULL for what was not said. Of data and file the data wins, as with kubectl; of token
// and token_file the file. File names are absolute, or relative to where we run.
struct api_access {
	char **servers; // [n_servers] "https://192.0.2.1:6443", without a '/' at the end; tried in
	size_t n_servers; // turn.
	char *tls_server_name;
	bool insecure; // TLS is not verified.
	char *proxy_url;
	bool disable_compression; // We never ask for any.
	char *ca_pem;
	char *ca_file;

	char *certificate_pem;
	char *certificate_file;
	char *key_pem;
	char *key_file;
	char *token;
	char *token_file;
	char *username;
	char *password;
	struct api_exec exec;

	char *as; // Whom we act as.
	char *as_uid;
	char **as_groups; // [n_as_groups]
	size_t n_as_groups;
	struct api_pair *as_extra; // [n_as_extra]; a name may come several times.
	size_t n_as_extra;

	char *namespace; // That of the context, or of the pod.
};

enum { KUBECONFIG_BYTES_MAX = 1 << 20 };

// Reads a kubeconfig, which is YAML or JSON: the current context, its cluster and its user. 'path'
// is what mistakes name, and its folder is what file names are relative to. Returns 0, -EINVAL if
// it has mistakes or -ENOMEM. On -EINVAL 'ret_mistakes' has a line for each:
//     kubeconfig:12: users.[0].user.exec.command: found a list; must be the name of a program
int kubeconfig_parse_text(const char *text, size_t len, const char *path,
	struct api_access *ret_access, struct text_lines *ret_mistakes);

// The same of a file. Also returns -errno of reading, and then there is one line.
int kubeconfig_parse_file(
	const char *path, struct api_access *ret_access, struct text_lines *ret_mistakes);

// What a pod has: KUBERNETES_SERVICE_HOST and _PORT are 'host' and 'port' (NULL where the
// environment lacks them), and in 'folder' there are token, ca.crt and namespace. Returns 0,
// -EINVAL with a line that says what is missing, or -ENOMEM.
#define SERVICE_ACCOUNT_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"
int in_cluster_access(const char *host, const char *port, const char *folder,
	struct api_access *ret_access, struct text_lines *ret_mistakes);

// Replaces the servers by 'urls' [n], at least one. Returns 0, -EINVAL with a line for each that is
// no URL of a server, or -ENOMEM; on failure all is as before.
int api_access_set_servers(struct api_access *access, const char *const *urls, size_t n,
	struct text_lines *ret_mistakes);

// Whether that is the URL of a server: http or https, a host, maybe a port and a path.
bool is_server_url(const char *url);

// Makes it {0} again.
void api_access_clear(struct api_access *access);
