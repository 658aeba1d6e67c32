#include "kubeconfig.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "base64.h"

// A kubeconfig names contexts, each of them a cluster and a user, and says which one is current.
// Only that context is looked at, with its cluster and its user: the others may be of tools and
// times of their own. Keys that are not known are passed over, as kubectl does.

enum { WHERE_MAX = 192 };

struct reading {
	const char *path;
	yaml_document_t *document;
	struct api_access *access;
	struct text_lines *mistakes;
	bool out_of_memory;
};

// A value, and what it is called: "users.[0].user.exec". 'node' is NULL where it is not said; its
// line is then that of what it would be in.
struct spot {
	const yaml_node_t *node;
	unsigned line;
	char where[WHERE_MAX];
};

// Saying what is wrong

static void mistake_at(struct reading *reading, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void mistake_at(struct reading *reading, unsigned line, const char *format, ...)
{
	char what[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	if (text_lines_add(reading->mistakes, "%s:%u: %s", reading->path, line, what) < 0)
		reading->out_of_memory = true;
}

static const char *scalar(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

// What is secret is not repeated.
static void wrong(struct reading *reading, const struct spot *spot, bool secret, const char *must)
{
	char found[80] = "nothing";

	if (spot->node != NULL && spot->node->type == YAML_SEQUENCE_NODE)
		strcpy(found, "a list");
	else if (spot->node != NULL && spot->node->type == YAML_MAPPING_NODE)
		strcpy(found, "a group of keys");
	else if (spot->node != NULL && secret)
		strcpy(found, "something else");
	else if (spot->node != NULL)
		snprintf(found, sizeof(found), "\"%.60s\"", scalar(spot->node));
	for (char *c = found; *c != '\0'; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	mistake_at(reading, spot->line, "%s: found %s; must be %s", spot->where, found, must);
}

// Finding values

static bool is_text(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE && strlen(scalar(node)) == node->data.scalar.length;
}

static bool is_nothing(const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	return node->data.scalar.length == 0 || strcmp(scalar(node), "~") == 0 ||
		strcmp(scalar(node), "null") == 0;
}

static struct spot spot_of(const struct spot *in, const yaml_node_t *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static struct spot spot_of(const struct spot *in, const yaml_node_t *node, const char *format, ...)
{
	struct spot spot = {.node = node, .line = in->line};
	va_list arguments;

	if (node != NULL)
		spot.line = (unsigned)node->start_mark.line + 1;
	int len =
		snprintf(spot.where, WHERE_MAX, "%s%s", in->where, in->where[0] != '\0' ? "." : "");
	if (len < WHERE_MAX) {
		va_start(arguments, format);
		vsnprintf(spot.where + len, (size_t)(WHERE_MAX - len), format, arguments);
		va_end(arguments);
	}
	if (node != NULL && is_nothing(node))
		spot.node = NULL;
	return spot;
}

// 'group' is a mapping, or not there at all.
static struct spot find_key(struct reading *reading, const struct spot *group, const char *key)
{
	const yaml_node_t *found = NULL;
	const yaml_node_pair_t *pair = NULL, *end = NULL;

	if (group->node != NULL) {
		pair = group->node->data.mapping.pairs.start;
		end = group->node->data.mapping.pairs.top;
	}
	for (; pair < end; pair++) {
		const yaml_node_t *name = yaml_document_get_node(reading->document, pair->key);

		if (name->type != YAML_SCALAR_NODE || strcmp(scalar(name), key) != 0)
			continue;
		if (found != NULL) {
			mistake_at(reading, (unsigned)name->start_mark.line + 1,
				"%s%s%s: is said twice", group->where,
				group->where[0] != '\0' ? "." : "", key);
			break;
		}
		found = yaml_document_get_node(reading->document, pair->value);
	}
	return spot_of(group, found, "%s", key);
}

// The same of a value that is a group, or a list: anything else is a mistake, and then it is not
// there.
static struct spot find_kind(struct reading *reading, const struct spot *group, const char *key,
	yaml_node_type_t type, const char *must)
{
	struct spot spot = find_key(reading, group, key);

	if (spot.node != NULL && spot.node->type != type) {
		wrong(reading, &spot, false, must);
		spot.node = NULL;
	}
	return spot;
}

static struct spot find_group(struct reading *reading, const struct spot *group, const char *key)
{
	return find_kind(reading, group, key, YAML_MAPPING_NODE, "a group of keys");
}

static struct spot find_list(struct reading *reading, const struct spot *group, const char *key)
{
	return find_kind(reading, group, key, YAML_SEQUENCE_NODE, "a list");
}

static size_t n_elements(const struct spot *list)
{
	if (list->node == NULL)
		return 0;
	return (size_t)(list->node->data.sequence.items.top -
		list->node->data.sequence.items.start);
}

static struct spot element(struct reading *reading, const struct spot *list, size_t i)
{
	const yaml_node_t *node =
		yaml_document_get_node(reading->document, list->node->data.sequence.items.start[i]);

	return spot_of(list, node, "[%zu]", i);
}

// Values

static char *copy_bytes(struct reading *reading, const char *bytes, size_t len)
{
	char *copy = strndup(bytes, len);

	if (copy == NULL)
		reading->out_of_memory = true;
	return copy;
}

static void replace(char **field, char *value)
{
	free(*field);
	*field = value;
}

// Much of this ends in a header, which a control character would end, or in a file's name.
static bool is_one_line(const char *text)
{
	for (; *text != '\0'; text++)
		if (iscntrl((unsigned char)*text))
			return false;
	return true;
}

static char *read_text(struct reading *reading, const struct spot *spot, bool secret)
{
	if (spot->node == NULL)
		return NULL;
	if (!is_text(spot->node) || !is_one_line(scalar(spot->node))) {
		wrong(reading, spot, secret, "one line of text");
		return NULL;
	}
	if (scalar(spot->node)[0] == '\0')
		return NULL;
	return copy_bytes(reading, scalar(spot->node), spot->node->data.scalar.length);
}

// Data is PEM in base64.
static char *read_pem(struct reading *reading, const struct spot *spot)
{
	static const char must[] = "PEM (\"-----BEGIN ...\") in base64";
	if (spot->node == NULL)
		return NULL;
	if (!is_text(spot->node)) {
		wrong(reading, spot, true, must);
		return NULL;
	}

	size_t len = spot->node->data.scalar.length;
	char *pem = malloc(len + 1);
	if (pem == NULL) {
		reading->out_of_memory = true;
		return NULL;
	}

	ssize_t n = base64_decode(scalar(spot->node), len, pem);
	pem[n < 0 ? 0 : n] = '\0';
	if (n >= 0 && strlen(pem) == (size_t)n && strstr(pem, "-----BEGIN ") != NULL)
		return pem;
	if (len > 0)
		wrong(reading, spot, true, must);
	free(pem);
	return NULL;
}

// A relative name is relative to the kubeconfig's folder.
static char *resolve(struct reading *reading, const char *name)
{
	const char *slash = strrchr(reading->path, '/');
	char *text;

	if (name[0] == '/' || slash == NULL)
		return copy_bytes(reading, name, strlen(name));
	if (asprintf(&text, "%.*s/%s", (int)(slash - reading->path), reading->path, name) >= 0)
		return text;
	reading->out_of_memory = true;
	return NULL;
}

static char *read_file_name(struct reading *reading, const struct spot *spot)
{
	char *name = read_text(reading, spot, false);
	if (name == NULL)
		return NULL;

	char *resolved = resolve(reading, name);
	free(name);
	return resolved;
}

static bool read_truth(struct reading *reading, const struct spot *spot)
{
	if (spot->node == NULL)
		return false;
	if (is_text(spot->node) && strcasecmp(scalar(spot->node), "true") == 0)
		return true;
	if (!is_text(spot->node) || strcasecmp(scalar(spot->node), "false") != 0)
		wrong(reading, spot, false, "true or false");
	return false;
}

// An element that is empty is one nevertheless.
static char *read_element(struct reading *reading, const struct spot *list, size_t i)
{
	struct spot spot = element(reading, list, i);

	if (spot.node == NULL || !is_text(spot.node)) {
		wrong(reading, &spot, false, "a text");
		return NULL;
	}
	return copy_bytes(reading, scalar(spot.node), spot.node->data.scalar.length);
}

static void read_texts(
	struct reading *reading, const struct spot *list, char ***ret_texts, size_t *ret_n)
{
	size_t n = n_elements(list);
	if (n == 0)
		return;

	char **texts = calloc(n, sizeof(*texts));
	if (texts == NULL) {
		reading->out_of_memory = true;
		return;
	}
	*ret_texts = texts;
	for (size_t i = 0; i < n; i++) {
		texts[*ret_n] = read_element(reading, list, i);
		*ret_n += texts[*ret_n] != NULL;
	}
}

static void add_pair(
	struct reading *reading, struct api_pair **pairs, size_t *n, char *name, char *value)
{
	struct api_pair *more =
		name == NULL || value == NULL ? NULL : reallocarray(*pairs, *n + 1, sizeof(*more));

	if (more == NULL) {
		reading->out_of_memory = true;
		free(name);
		free(value);
		return;
	}
	*pairs = more;
	more[(*n)++] = (struct api_pair){.name = name, .value = value};
}

// The URL of what is spoken to.

static bool has_part(CURLU *parsed, CURLUPart part)
{
	char *text = NULL;
	bool has = curl_url_get(parsed, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return has;
}

// Whether it has a scheme of those, a host, and nothing behind that is not wanted.
static bool is_url(const char *url, const char *const *schemes, bool with_user)
{
	CURLU *parsed = curl_url();
	char *scheme = NULL;
	bool good = parsed != NULL && is_one_line(url) && strchr(url, ' ') == NULL &&
		curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
		curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		has_part(parsed, CURLUPART_HOST) && !has_part(parsed, CURLUPART_QUERY) &&
		!has_part(parsed, CURLUPART_FRAGMENT) &&
		(with_user || !has_part(parsed, CURLUPART_USER));
	bool known = false;

	for (size_t i = 0; good && schemes[i] != NULL; i++)
		known = known || strcasecmp(scheme, schemes[i]) == 0;
	curl_free(scheme);
	curl_url_cleanup(parsed);
	return known;
}

#define SERVER_MUST "a URL such as \"https://192.0.2.1:6443\""

bool is_server_url(const char *url)
{
	static const char *const schemes[] = {"https", "http", NULL};

	return is_url(url, schemes, false);
}

static bool is_proxy_url(const char *url)
{
	static const char *const schemes[] = {"http", "https", "socks5", "socks5h", NULL};

	return is_url(url, schemes, true);
}

static char *without_slash(const char *url)
{
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	return strndup(url, len);
}

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

int api_access_set_servers(struct api_access *access, const char *const *urls, size_t n,
	struct text_lines *ret_mistakes)
{
	char **servers = calloc(n, sizeof(*servers));
	bool bad = false, out_of_memory = servers == NULL;

	for (size_t i = 0; i < n && !out_of_memory; i++) {
		servers[i] = without_slash(urls[i]);
		out_of_memory = servers[i] == NULL;
		if (is_server_url(urls[i]))
			continue;
		bad = true;
		if (text_lines_add(
			    ret_mistakes, "found \"%.200s\"; must be %s", urls[i], SERVER_MUST) < 0)
			out_of_memory = true;
	}
	if (bad || out_of_memory) {
		free_texts(servers, servers == NULL ? 0 : n);
		return out_of_memory ? -ENOMEM : -EINVAL;
	}
	free_texts(access->servers, access->n_servers);
	access->servers = servers;
	access->n_servers = n;
	return 0;
}

// The cluster

static void read_server(struct reading *reading, const struct spot *cluster)
{
	struct spot spot = find_key(reading, cluster, "server");
	char *url = read_text(reading, &spot, false);

	if (url == NULL && spot.node == NULL)
		wrong(reading, &spot, false, SERVER_MUST);
	if (url != NULL && !is_server_url(url))
		wrong(reading, &spot, false, SERVER_MUST);
	else if (url != NULL &&
		api_access_set_servers(
			reading->access, (const char *const *)&url, 1, reading->mistakes) < 0)
		reading->out_of_memory = true;
	free(url);
}

static void read_proxy(struct reading *reading, const struct spot *cluster)
{
	struct spot spot = find_key(reading, cluster, "proxy-url");

	reading->access->proxy_url = read_text(reading, &spot, true);
	if (reading->access->proxy_url != NULL && !is_proxy_url(reading->access->proxy_url))
		wrong(reading, &spot, true, "a URL of http, https or socks5");
}

static void read_cluster(struct reading *reading, const struct spot *cluster)
{
	struct api_access *access = reading->access;
	struct spot name = find_key(reading, cluster, "tls-server-name");
	struct spot insecure = find_key(reading, cluster, "insecure-skip-tls-verify");
	struct spot file = find_key(reading, cluster, "certificate-authority");
	struct spot data = find_key(reading, cluster, "certificate-authority-data");
	struct spot compression = find_key(reading, cluster, "disable-compression");

	read_server(reading, cluster);
	read_proxy(reading, cluster);
	access->tls_server_name = read_text(reading, &name, false);
	access->insecure = read_truth(reading, &insecure);
	access->ca_file = read_file_name(reading, &file);
	access->ca_pem = read_pem(reading, &data);
	access->disable_compression = read_truth(reading, &compression);
	if (access->insecure && (access->ca_file != NULL || access->ca_pem != NULL))
		wrong(reading, &insecure, false, "false where a certificate-authority is given");
}

// The user

static void read_variable(struct reading *reading, const struct spot *list, size_t i)
{
	struct api_exec *exec = &reading->access->exec;
	struct spot variable = element(reading, list, i);

	if (variable.node == NULL || variable.node->type != YAML_MAPPING_NODE) {
		wrong(reading, &variable, false, "a group of name and value");
		return;
	}
	struct spot name = find_key(reading, &variable, "name");
	struct spot value = find_key(reading, &variable, "value");

	if (name.node == NULL || !is_text(name.node) || scalar(name.node)[0] == '\0' ||
		strchr(scalar(name.node), '=') != NULL) {
		wrong(reading, &name, false, "the name of a variable");
		return;
	}
	if (value.node != NULL && !is_text(value.node)) {
		wrong(reading, &value, true, "a text");
		return;
	}
	add_pair(reading, &exec->env, &exec->n_env, strdup(scalar(name.node)),
		strdup(value.node == NULL ? "" : scalar(value.node)));
}

static void read_exec_version(struct reading *reading, const struct spot *exec)
{
	struct spot spot = find_key(reading, exec, "apiVersion");
	char *version = read_text(reading, &spot, false);

	reading->access->exec.api_version = version;
	if (version == NULL ||
		(strcmp(version, "client.authentication.k8s.io/v1") != 0 &&
			strcmp(version, "client.authentication.k8s.io/v1beta1") != 0))
		wrong(reading, &spot, false,
			"\"client.authentication.k8s.io/v1\" or "
			"\"client.authentication.k8s.io/v1beta1\"");
}

static void read_interactive_mode(struct reading *reading, const struct spot *exec)
{
	struct spot spot = find_key(reading, exec, "interactiveMode");
	char *mode = read_text(reading, &spot, false);

	if (mode != NULL && strcmp(mode, "Never") != 0 && strcmp(mode, "IfAvailable") != 0)
		wrong(reading, &spot, false,
			"\"Never\" or \"IfAvailable\": there is nobody to be asked");
	free(mode);
}

static void read_command(struct reading *reading, const struct spot *exec)
{
	struct spot spot = find_key(reading, exec, "command");
	char *command = read_text(reading, &spot, false);

	if (command == NULL && (spot.node == NULL || is_text(spot.node)))
		wrong(reading, &spot, false, "the name of a program");
	// A name without a folder is one that PATH has.
	if (command != NULL && strchr(command, '/') != NULL)
		replace(&command, resolve(reading, command));
	reading->access->exec.command = command;
}

static void read_exec(struct reading *reading, const struct spot *user)
{
	struct api_exec *exec = &reading->access->exec;
	struct spot group = find_group(reading, user, "exec");
	if (group.node == NULL)
		return;

	struct spot args = find_list(reading, &group, "args");
	struct spot env = find_list(reading, &group, "env");
	struct spot info = find_key(reading, &group, "provideClusterInfo");
	struct spot hint = find_key(reading, &group, "installHint");

	read_command(reading, &group);
	read_exec_version(reading, &group);
	read_interactive_mode(reading, &group);
	read_texts(reading, &args, &exec->args, &exec->n_args);
	for (size_t i = 0; i < n_elements(&env); i++)
		read_variable(reading, &env, i);
	exec->provide_cluster_info = read_truth(reading, &info);
	if (hint.node != NULL && is_text(hint.node))
		exec->install_hint =
			copy_bytes(reading, scalar(hint.node), hint.node->data.scalar.length);
}

static void read_extra(struct reading *reading, const struct spot *extra)
{
	struct api_access *access = reading->access;
	const yaml_node_pair_t *pair = extra->node->data.mapping.pairs.start;

	for (; pair < extra->node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = yaml_document_get_node(reading->document, pair->key);
		const yaml_node_t *node = yaml_document_get_node(reading->document, pair->value);
		bool named = key->type == YAML_SCALAR_NODE && is_text(key);
		struct spot list = spot_of(extra, node, "%s", named ? scalar(key) : "?");

		if (!named || list.node == NULL || list.node->type != YAML_SEQUENCE_NODE) {
			wrong(reading, &list, false, "a name with a list of texts");
			continue;
		}
		for (size_t i = 0; i < n_elements(&list); i++) {
			struct spot value = element(reading, &list, i);
			char *text = read_text(reading, &value, false);

			if (text != NULL)
				add_pair(reading, &access->as_extra, &access->n_as_extra,
					strdup(scalar(key)), text);
		}
	}
}

static void check_groups(struct reading *reading, const struct spot *groups)
{
	const struct api_access *access = reading->access;

	for (size_t i = 0; i < access->n_as_groups; i++)
		if (!is_one_line(access->as_groups[i]))
			wrong(reading, groups, false, "a list of names, one line each");
}

static void read_impersonation(struct reading *reading, const struct spot *user)
{
	struct api_access *access = reading->access;
	struct spot as = find_key(reading, user, "as");
	struct spot uid = find_key(reading, user, "as-uid");
	struct spot groups = find_list(reading, user, "as-groups");
	struct spot extra = find_group(reading, user, "as-user-extra");

	access->as = read_text(reading, &as, false);
	access->as_uid = read_text(reading, &uid, false);
	read_texts(reading, &groups, &access->as_groups, &access->n_as_groups);
	check_groups(reading, &groups);
	if (extra.node != NULL)
		read_extra(reading, &extra);
	if (access->as == NULL &&
		(access->as_uid != NULL || access->n_as_groups > 0 || access->n_as_extra > 0))
		wrong(reading, &as, false,
			"a user where as-uid, as-groups or as-user-extra are given");
}

static void check_user(struct reading *reading, const struct spot *user)
{
	const struct api_access *access = reading->access;
	bool has_certificate = access->certificate_file != NULL || access->certificate_pem != NULL;
	bool has_key = access->key_file != NULL || access->key_pem != NULL;
	bool has_token = access->token != NULL || access->token_file != NULL;
	struct spot provider = find_key(reading, user, "auth-provider");

	if (has_certificate != has_key)
		mistake_at(reading, user->line,
			"%s: a client-certificate and a client-key must be given together",
			user->where);
	if (access->username != NULL && has_token)
		mistake_at(reading, user->line,
			"%s: username and token cannot be shown both; one of them must go",
			user->where);
	if (access->password != NULL && access->username == NULL)
		mistake_at(reading, user->line, "%s: a password needs a username", user->where);
	if (provider.node != NULL)
		mistake_at(reading, provider.line,
			"%s: Kubernetes itself has none any more; must be \"exec\"",
			provider.where);
}

static void read_user(struct reading *reading, const struct spot *user)
{
	struct api_access *access = reading->access;
	const struct {
		const char *key;
		char **field;
		bool is_secret;
	} texts[] =
		{
			{"token", &access->token, true},
			{"username", &access->username, false},
			{"password", &access->password, true},
		},
	  files[] =
		  {
			  {"tokenFile", &access->token_file, false},
			  {"client-certificate", &access->certificate_file, false},
			  {"client-key", &access->key_file, false},
		  },
	  pems[] = {
		  {"client-certificate-data", &access->certificate_pem, true},
		  {"client-key-data", &access->key_pem, true},
	  };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct spot spot = find_key(reading, user, texts[i].key);
		*texts[i].field = read_text(reading, &spot, texts[i].is_secret);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct spot spot = find_key(reading, user, files[i].key);
		*files[i].field = read_file_name(reading, &spot);
	}
	for (size_t i = 0; i < sizeof(pems) / sizeof(pems[0]); i++) {
		struct spot spot = find_key(reading, user, pems[i].key);
		*pems[i].field = read_pem(reading, &spot);
	}
	read_exec(reading, user);
	read_impersonation(reading, user);
	check_user(reading, user);
}

// The context

// The group called 'kind' of the element of 'lists' that 'reference' names.
static struct spot find_named(struct reading *reading, const struct spot *root, const char *lists,
	const char *kind, const struct spot *reference)
{
	struct spot list = find_list(reading, root, lists);
	char must[64];

	for (size_t i = 0; reference->node != NULL && i < n_elements(&list); i++) {
		struct spot entry = element(reading, &list, i);

		if (entry.node == NULL || entry.node->type != YAML_MAPPING_NODE) {
			wrong(reading, &entry, false, "a group of keys");
			continue;
		}
		struct spot name = find_key(reading, &entry, "name");

		if (name.node != NULL && is_text(name.node) && is_text(reference->node) &&
			strcmp(scalar(name.node), scalar(reference->node)) == 0) {
			struct spot group = find_group(reading, &entry, kind);

			if (group.node == NULL)
				wrong(reading, &group, false, "a group of keys");
			return group;
		}
	}
	snprintf(must, sizeof(must), "the name of one of the %s", lists);
	wrong(reading, reference, false, must);
	return (struct spot){0};
}

static void check_word(
	struct reading *reading, const struct spot *root, const char *key, const char *word)
{
	struct spot spot = find_key(reading, root, key);
	char must[32];

	if (spot.node == NULL || (is_text(spot.node) && strcmp(scalar(spot.node), word) == 0))
		return;
	snprintf(must, sizeof(must), "\"%s\"", word);
	wrong(reading, &spot, false, must);
}

static void read_root(struct reading *reading, const struct spot *root)
{
	check_word(reading, root, "apiVersion", "v1");
	check_word(reading, root, "kind", "Config");

	struct spot current = find_key(reading, root, "current-context");
	struct spot context = find_named(reading, root, "contexts", "context", &current);
	if (context.node == NULL)
		return;

	struct spot space = find_key(reading, &context, "namespace");
	struct spot cluster_name = find_key(reading, &context, "cluster");
	struct spot user_name = find_key(reading, &context, "user");
	struct spot cluster = find_named(reading, root, "clusters", "cluster", &cluster_name);

	reading->access->namespace = read_text(reading, &space, false);
	if (cluster.node != NULL)
		read_cluster(reading, &cluster);
	// Without a user one is nobody, which a server may like.
	if (user_name.node == NULL)
		return;
	struct spot user = find_named(reading, root, "users", "user", &user_name);
	if (user.node != NULL)
		read_user(reading, &user);
}

static void read_document(struct reading *reading)
{
	struct spot root = {.node = yaml_document_get_root_node(reading->document), .line = 1};

	if (root.node == NULL || root.node->type != YAML_MAPPING_NODE)
		mistake_at(reading, 1, "must be a group of keys, of which current-context is one");
	else
		read_root(reading, &root);
}

static void read_yaml(struct reading *reading, const char *text, size_t len)
{
	yaml_parser_t parser;
	yaml_document_t document;

	if (!yaml_parser_initialize(&parser)) {
		reading->out_of_memory = true;
		return;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (yaml_parser_load(&parser, &document)) {
		reading->document = &document;
		read_document(reading);
		yaml_document_delete(&document);
	} else if (parser.error == YAML_MEMORY_ERROR) {
		reading->out_of_memory = true;
	} else {
		mistake_at(reading, (unsigned)parser.problem_mark.line + 1, "this is not YAML: %s",
			parser.problem);
	}
	yaml_parser_delete(&parser);
}

int kubeconfig_parse_text(const char *text, size_t len, const char *path,
	struct api_access *ret_access, struct text_lines *ret_mistakes)
{
	struct api_access access = {0};
	size_t n_before = ret_mistakes->n;
	struct reading reading = {.path = path, .access = &access, .mistakes = ret_mistakes};

	if (len > KUBECONFIG_BYTES_MAX)
		mistake_at(&reading, 1, "has %zu bytes; must have at most %d", len,
			KUBECONFIG_BYTES_MAX);
	else
		read_yaml(&reading, text, len);
	if (!reading.out_of_memory && ret_mistakes->n == n_before) {
		*ret_access = access;
		return 0;
	}
	api_access_clear(&access);
	return reading.out_of_memory ? -ENOMEM : -EINVAL;
}

static int read_whole(const char *path, char **ret_text, size_t *ret_len)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return -errno;

	char *text = malloc(KUBECONFIG_BYTES_MAX + 1);
	size_t len = text == NULL ? 0 : fread(text, 1, KUBECONFIG_BYTES_MAX + 1, file);
	int r = text == NULL ? -ENOMEM : ferror(file) ? -EIO : 0;

	fclose(file);
	if (r < 0) {
		free(text);
		return r;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

int kubeconfig_parse_file(
	const char *path, struct api_access *ret_access, struct text_lines *ret_mistakes)
{
	char *text = NULL;
	size_t len = 0;

	int r = read_whole(path, &text, &len);
	if (r < 0) {
		text_lines_add(ret_mistakes, "%s: cannot be read: %s", path, strerror(-r));
		return r;
	}
	r = kubeconfig_parse_text(text, len, path, ret_access, ret_mistakes);
	free(text);
	return r;
}

static void free_pairs(struct api_pair *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(pairs[i].name);
		free(pairs[i].value);
	}
	free(pairs);
}

void api_access_clear(struct api_access *access)
{
	char *const texts[] = {access->tls_server_name, access->proxy_url, access->ca_pem,
		access->ca_file, access->certificate_pem, access->certificate_file, access->key_pem,
		access->key_file, access->token, access->token_file, access->username,
		access->password, access->as, access->as_uid, access->namespace,
		access->exec.api_version, access->exec.command, access->exec.install_hint};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(texts[i]);
	free_texts(access->servers, access->n_servers);
	free_texts(access->exec.args, access->exec.n_args);
	free_pairs(access->exec.env, access->exec.n_env);
	free_texts(access->as_groups, access->n_as_groups);
	free_pairs(access->as_extra, access->n_as_extra);
	*access = (struct api_access){0};
}
