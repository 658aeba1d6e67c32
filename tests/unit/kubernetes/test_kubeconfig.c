#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kubernetes/exec_plugin.h"
#include "kubernetes/kubeconfig.h"

// "-----BEGIN X-----" in base64.
#define PEM "LS0tLS1CRUdJTiBYLS0tLS0="
#define PEM_TEXT "-----BEGIN X-----"

// A whole file around what a cluster and a user say, each with its line of six spaces.
#define AROUND(cluster, user)                              \
	"apiVersion: v1\n"                                 \
	"kind: Config\n"                                   \
	"current-context: here\n"                          \
	"contexts:\n"                                      \
	"- name: here\n"                                   \
	"  context: {cluster: c, user: u, namespace: n}\n" \
	"clusters:\n"                                      \
	"- name: c\n"                                      \
	"  cluster:\n" cluster "users:\n"                  \
	"- name: other\n"                                  \
	"  user: [passed, over]\n"                         \
	"- name: u\n"                                      \
	"  user:\n" user

#define SERVER "      server: https://192.0.2.1:6443\n"
#define EXEC(keys) AROUND(SERVER, "      exec:\n" keys)

static int parse(const char *text, struct api_access *ret_access, struct text_lines *ret_mistakes)
{
	return kubeconfig_parse_text(
		text, strlen(text), "/etc/guideway/kubeconfig", ret_access, ret_mistakes);
}

static struct api_access parse_good(const char *text)
{
	struct text_lines mistakes = {0};
	struct api_access access;

	if (parse(text, &access, &mistakes) != 0)
		fail_msg("%s", mistakes.n > 0 ? mistakes.lines[0] : "no line");
	assert_int_equal(mistakes.n, 0);
	return access;
}

static void every_field_of_a_cluster_is_read(void **)
{
	struct api_access a = parse_good(AROUND("      server: https://[2001:db8::1]:6443/prefix/\n"
						"      tls-server-name: kubernetes\n"
						"      certificate-authority: ca.pem\n"
						"      certificate-authority-data: " PEM "\n"
						"      proxy-url: socks5://proxy:1080\n"
						"      insecure-skip-tls-verify: false\n"
						"      disable-compression: true\n",
		"      token: t\n"));

	assert_int_equal(a.n_servers, 1);
	assert_string_equal(a.servers[0], "https://[2001:db8::1]:6443/prefix");
	assert_string_equal(a.tls_server_name, "kubernetes");
	assert_string_equal(a.ca_file, "/etc/guideway/ca.pem");
	assert_string_equal(a.ca_pem, PEM_TEXT);
	assert_string_equal(a.proxy_url, "socks5://proxy:1080");
	assert_false(a.insecure);
	assert_true(a.disable_compression);
	assert_string_equal(a.namespace, "n");
	assert_string_equal(a.token, "t");
	api_access_clear(&a);

	a = parse_good(AROUND(SERVER "      insecure-skip-tls-verify: true\n", "      token: t\n"));
	assert_true(a.insecure);
	api_access_clear(&a);
}

static void every_field_of_a_user_is_read(void **)
{
	struct api_access a = parse_good(AROUND(SERVER,
		"      tokenFile: secrets/token\n"
		"      client-certificate: /abs/c.pem\n"
		"      client-key: k.pem\n"
		"      client-certificate-data: " PEM "\n"
		"      client-key-data: \"" PEM "\"\n"
		"      as: jane\n"
		"      as-uid: 007\n"
		"      as-groups: [g, 'h i']\n"
		"      as-user-extra: {team: [red, blue], shift: [night]}\n"));

	assert_string_equal(a.token_file, "/etc/guideway/secrets/token");
	assert_string_equal(a.certificate_file, "/abs/c.pem");
	assert_string_equal(a.key_file, "/etc/guideway/k.pem");
	assert_string_equal(a.certificate_pem, PEM_TEXT);
	assert_string_equal(a.key_pem, PEM_TEXT);
	assert_string_equal(a.as, "jane");
	assert_string_equal(a.as_uid, "007");
	assert_int_equal(a.n_as_groups, 2);
	assert_string_equal(a.as_groups[1], "h i");
	assert_int_equal(a.n_as_extra, 3);
	assert_string_equal(a.as_extra[1].name, "team");
	assert_string_equal(a.as_extra[1].value, "blue");
	assert_string_equal(a.as_extra[2].name, "shift");
	api_access_clear(&a);

	a = parse_good(AROUND(SERVER, "      username: u\n      password: 'p: #w'\n"));
	assert_string_equal(a.username, "u");
	assert_string_equal(a.password, "p: #w");
	api_access_clear(&a);
}

static void every_field_of_a_program_is_read(void **)
{
	struct api_access a =
		parse_good(EXEC("        apiVersion: client.authentication.k8s.io/v1\n"
				"        command: bin/login\n"
				"        args: [--once, '']\n"
				"        env:\n"
				"        - {name: A, value: b}\n"
				"        - {name: EMPTY, value: ''}\n"
				"        provideClusterInfo: true\n"
				"        interactiveMode: IfAvailable\n"
				"        installHint: |\n"
				"          two\n"
				"          lines\n"));

	assert_string_equal(a.exec.command, "/etc/guideway/bin/login");
	assert_string_equal(a.exec.api_version, "client.authentication.k8s.io/v1");
	assert_int_equal(a.exec.n_args, 2);
	assert_string_equal(a.exec.args[0], "--once");
	assert_string_equal(a.exec.args[1], "");
	assert_int_equal(a.exec.n_env, 2);
	assert_string_equal(a.exec.env[0].name, "A");
	assert_string_equal(a.exec.env[1].value, "");
	assert_true(a.exec.provide_cluster_info);
	assert_string_equal(a.exec.install_hint, "two\nlines\n");
	api_access_clear(&a);

	// A name without a folder is left for PATH; null says nothing.
	a = parse_good(EXEC("        apiVersion: client.authentication.k8s.io/v1beta1\n"
			    "        command: login\n"
			    "        args: null\n"
			    "        env: ~\n"));
	assert_string_equal(a.exec.command, "login");
	assert_int_equal(a.exec.n_args + a.exec.n_env, 0);
	api_access_clear(&a);
}

static void json_is_read_as_well(void **)
{
	struct api_access a = parse_good(
		"{\"current-context\":\"x\",\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":"
		"\"c\"}}],\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":"
		"\"http:\\/\\/localhost:8001\"}}]}");

	assert_string_equal(a.servers[0], "http://localhost:8001");
	assert_null(a.token);
	api_access_clear(&a);
}

static const struct {
	const char *text;
	const char *line; // Behind the path.
} mistakes[] = {
	{"", "1: must be a group of keys, of which current-context is one"},
	{"- a\n", "1: must be a group of keys, of which current-context is one"},
	{"a: [\n", "2: this is not YAML: "},
	{"a: \xff\n", "1: this is not YAML: "},
	{"apiVersion: v2\n", "1: apiVersion: found \"v2\"; must be \"v1\""},
	{"kind: Pod\n", "1: kind: found \"Pod\"; must be \"Config\""},
	{"a: b\n", "1: current-context: found nothing; must be the name of one of the contexts"},
	{"\ncurrent-context: x\n",
		"2: current-context: found \"x\"; must be the name of one of the contexts"},
	{"current-context: x\ncontexts: y\n", "2: contexts: found \"y\"; must be a list"},
	{"current-context: x\ncontexts: [y]\n",
		"2: contexts.[0]: found \"y\"; must be a group of keys"},
	{"current-context: x\ncontexts:\n- name: x\n",
		"3: contexts.[0].context: found nothing; must be a group of keys"},
	{"current-context: x\ncontexts:\n- name: x\n  context: {cluster: q}\n",
		"4: contexts.[0].context.cluster: found \"q\"; must be the name of one of the "
		"clusters"},
	{"current-context: x\ncontexts:\n- name: x\n  context: {user: q}\n",
		"4: contexts.[0].context.cluster: found nothing; must be the name of one of the "
		"clusters"},
	{AROUND(SERVER, "      token: t\n") "current-context: y\n",
		"17: current-context: is said twice"},
	{AROUND("      tls-server-name: x\n", "      token: t\n"),
		"10: clusters.[0].cluster.server: found nothing; must be a URL such as"},
	{AROUND("      server: 192.0.2.1:6443\n", "      token: t\n"),
		"10: clusters.[0].cluster.server: found \"192.0.2.1:6443\"; must be a URL such as"},
	{AROUND("      server: ftp://x\n", "      token: t\n"),
		"10: clusters.[0].cluster.server: "},
	{AROUND("      server: https://u:p@x\n", "      token: t\n"),
		"10: clusters.[0].cluster.server: "},
	{AROUND("      server: https://x?y=z\n", "      token: t\n"),
		"10: clusters.[0].cluster.server: "},
	{AROUND("      server: [x]\n", "      token: t\n"),
		"10: clusters.[0].cluster.server: found a list; must be one line of text"},
	{AROUND(SERVER "      proxy-url: gopher://x\n", "      token: t\n"),
		"11: clusters.[0].cluster.proxy-url: found something else; must be a URL of http, "
		"https or socks5"},
	{AROUND(SERVER "      insecure-skip-tls-verify: perhaps\n", "      token: t\n"),
		"11: clusters.[0].cluster.insecure-skip-tls-verify: found \"perhaps\"; must be "
		"true or false"},
	{AROUND(SERVER "      insecure-skip-tls-verify: true\n      certificate-authority: x\n",
		 "      token: t\n"),
		"11: clusters.[0].cluster.insecure-skip-tls-verify: found \"true\"; must be false "
		"where a certificate-authority is given"},
	{AROUND(SERVER "      certificate-authority-data: '-----BEGIN'\n", "      token: t\n"),
		"11: clusters.[0].cluster.certificate-authority-data: found something else; must "
		"be "
		"PEM (\"-----BEGIN ...\") in base64"},
	{AROUND(SERVER "      certificate-authority-data: eHg=\n", "      token: t\n"),
		"11: clusters.[0].cluster.certificate-authority-data: "},
	{AROUND(SERVER "      certificate-authority-data: LS0tLS1CRUdJTiBYLS0tLS0\n",
		 "      token: t\n"),
		"11: clusters.[0].cluster.certificate-authority-data: "},
	{AROUND(SERVER "      disable-compression: 1\n", "      token: t\n"),
		"11: clusters.[0].cluster.disable-compression: found \"1\"; must be true or false"},
	{AROUND(SERVER, "      token: \"a\\nb\"\n"),
		"16: users.[1].user.token: found something else; must be one line of text"},
	{AROUND(SERVER, "      token: \"a\\0b\"\n"), "16: users.[1].user.token: "},
	{AROUND(SERVER, "      as: \"a\\rb\"\n"),
		"16: users.[1].user.as: found \"a?b\"; must be one"},
	{AROUND(SERVER, "      client-certificate: c\n"),
		"16: users.[1].user: a client-certificate and a client-key must be given together"},
	{AROUND(SERVER, "      client-key-data: " PEM "\n"), "16: users.[1].user: a client-cert"},
	{AROUND(SERVER, "      username: u\n      token: t\n"),
		"16: users.[1].user: username and token cannot be shown both"},
	{AROUND(SERVER, "      password: p\n"), "16: users.[1].user: a password needs a username"},
	{AROUND(SERVER, "      auth-provider: {name: gcp}\n"),
		"16: users.[1].user.auth-provider: Kubernetes itself has none any more; must be "
		"\"exec\""},
	{AROUND(SERVER, "      as-groups: [g]\n"),
		"16: users.[1].user.as: found nothing; must be a user where as-uid, as-groups"},
	{AROUND(SERVER, "      as: x\n      as-groups: g\n"),
		"17: users.[1].user.as-groups: found \"g\"; must be a list"},
	{AROUND(SERVER, "      as: x\n      as-groups: [{}]\n"),
		"17: users.[1].user.as-groups.[0]: found a group of keys; must be a text"},
	{AROUND(SERVER, "      as: x\n      as-groups: [\"g\\nh\"]\n"),
		"17: users.[1].user.as-groups: found a list; must be a list of names, one line"},
	{AROUND(SERVER, "      as: x\n      as-user-extra: {k: v}\n"),
		"17: users.[1].user.as-user-extra.k: found \"v\"; must be a name with a list"},
	{AROUND(SERVER, "      exec: login\n"),
		"16: users.[1].user.exec: found \"login\"; must be a group of keys"},
	{EXEC("        apiVersion: client.authentication.k8s.io/v1\n"),
		"17: users.[1].user.exec.command: found nothing; must be the name of a program"},
	{EXEC("        apiVersion: client.authentication.k8s.io/v1\n        command: [a, b]\n"),
		"18: users.[1].user.exec.command: found a list; must be one line of text"},
	{EXEC("        command: x\n"),
		"17: users.[1].user.exec.apiVersion: found nothing; must be "
		"\"client.authentication.k8s.io/v1\" or"},
	{EXEC("        command: x\n        apiVersion: client.authentication.k8s.io/v1alpha1\n"),
		"18: users.[1].user.exec.apiVersion: found "
		"\"client.authentication.k8s.io/v1alpha1\""},
#define COMMAND "        apiVersion: client.authentication.k8s.io/v1\n        command: x\n"
	{EXEC(COMMAND "        interactiveMode: Always\n"),
		"19: users.[1].user.exec.interactiveMode: found \"Always\"; must be \"Never\" or "
		"\"IfAvailable\": there is nobody to be asked"},
	{EXEC(COMMAND "        args: x\n"),
		"19: users.[1].user.exec.args: found \"x\"; must be a list"},
	{EXEC(COMMAND "        args: [[]]\n"),
		"19: users.[1].user.exec.args.[0]: found a list; must be a text"},
	{EXEC(COMMAND "        env: [x]\n"),
		"19: users.[1].user.exec.env.[0]: found \"x\"; must be a group of name and value"},
	{EXEC(COMMAND "        env: [{value: x}]\n"),
		"19: users.[1].user.exec.env.[0].name: found nothing; must be the name of a "
		"variable"},
	{EXEC(COMMAND "        env: [{name: 'a=b', value: x}]\n"),
		"19: users.[1].user.exec.env.[0].name: found \"a=b\"; must be the name of a "
		"variable"},
	{EXEC(COMMAND "        env: [{name: a, value: [x]}]\n"),
		"19: users.[1].user.exec.env.[0].value: found a list; must be a text"},
	{EXEC(COMMAND "        provideClusterInfo: x\n"),
		"19: users.[1].user.exec.provideClusterInfo: found \"x\"; must be true or false"},
};

static void a_mistake_is_a_line_with_its_place_and_what_would_be_right(void **)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct text_lines lines = {0};
		struct api_access access;
		char expected[512];

		snprintf(expected, sizeof(expected), "/etc/guideway/kubeconfig:%s",
			mistakes[i].line);
		if (parse(mistakes[i].text, &access, &lines) != -EINVAL)
			fail_msg("no mistake: %s", expected);
		bool found = false;
		for (size_t j = 0; j < lines.n; j++)
			found |= strncmp(lines.lines[j], expected, strlen(expected)) == 0;
		if (!found)
			fail_msg("%s\nis not %s", lines.lines[0], expected);
		text_lines_clear(&lines);
	}
}

static void all_mistakes_are_said_and_no_secret_is(void **)
{
	struct text_lines lines = {0};
	struct api_access access;

	assert_int_equal(
		parse(AROUND("      server: x\n",
			      "      token: \"sesame\\n\"\n      client-key-data: sesame\n"),
			&access, &lines),
		-EINVAL);
	assert_int_equal(lines.n, 3);
	for (size_t i = 0; i < lines.n; i++)
		assert_null(strstr(lines.lines[i], "sesame"));
	text_lines_clear(&lines);
}

static void an_alias_is_what_it_names_and_may_not_lead_anywhere(void **)
{
	struct api_access a = parse_good(
		"current-context: x\ncontexts: [{name: x, context: {cluster: x, user: x}}]\n"
		"clusters: [{name: x, cluster: {server: &s 'https://x'}}]\n"
		"users: [{name: x, user: {token: *s}}]\n");

	assert_string_equal(a.token, "https://x");
	api_access_clear(&a);

	struct text_lines lines = {0};
	assert_int_equal(parse("current-context: x\ncontexts: &c [*c]\n", &a, &lines), -EINVAL);
	text_lines_clear(&lines);
}

static void a_file_that_is_not_there_or_too_long_is_said_to_be(void **)
{
	struct text_lines lines = {0};
	struct api_access access;
	char *text = calloc(1, KUBECONFIG_BYTES_MAX + 1);

	assert_int_equal(kubeconfig_parse_file("/nowhere/kubeconfig", &access, &lines), -ENOENT);
	assert_string_equal(
		lines.lines[0], "/nowhere/kubeconfig: cannot be read: No such file or directory");
	memset(text, ' ', KUBECONFIG_BYTES_MAX + 1);
	assert_int_equal(
		kubeconfig_parse_text(text, KUBECONFIG_BYTES_MAX + 1, "k", &access, &lines),
		-EINVAL);
	assert_string_equal(lines.lines[1], "k:1: has 1048577 bytes; must have at most 1048576");
	free(text);
	text_lines_clear(&lines);
}

static void servers_of_the_configuration_replace_that_of_the_kubeconfig(void **)
{
	static const char *const good[] = {"https://a:1/", "https://[2001:db8::1]"};
	static const char *const bad[] = {"https://a:1", "a:1", "https://"};
	struct api_access a = parse_good(AROUND(SERVER, "      token: t\n"));
	struct text_lines lines = {0};

	assert_int_equal(api_access_set_servers(&a, bad, 3, &lines), -EINVAL);
	assert_int_equal(lines.n, 2);
	assert_string_equal(a.servers[0], "https://192.0.2.1:6443");
	assert_int_equal(api_access_set_servers(&a, good, 2, &lines), 0);
	assert_int_equal(a.n_servers, 2);
	assert_string_equal(a.servers[0], "https://a:1");
	assert_string_equal(a.servers[1], "https://[2001:db8::1]");
	text_lines_clear(&lines);
	api_access_clear(&a);
}

static void a_pod_finds_all_in_its_environment_and_folder(void **)
{
	char folder[] = "/tmp/guideway-pod-XXXXXX", path[64];
	struct text_lines lines = {0};
	struct api_access a;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/namespace", folder);
	FILE *file = fopen(path, "we");
	fputs("edge\n", file);
	fclose(file);

	assert_int_equal(in_cluster_access("10.96.0.1", "443", folder, &a, &lines), 0);
	assert_string_equal(a.servers[0], "https://10.96.0.1:443");
	assert_string_equal(a.namespace, "edge");
	snprintf(path, sizeof(path), "%s/token", folder);
	assert_string_equal(a.token_file, path);
	snprintf(path, sizeof(path), "%s/ca.crt", folder);
	assert_string_equal(a.ca_file, path);
	api_access_clear(&a);

	assert_int_equal(in_cluster_access("fd00::1", "443", "/nowhere", &a, &lines), 0);
	assert_string_equal(a.servers[0], "https://[fd00::1]:443");
	assert_null(a.namespace);
	api_access_clear(&a);

	assert_int_equal(in_cluster_access(NULL, "443", folder, &a, &lines), -EINVAL);
	assert_int_equal(in_cluster_access("10.96.0.1", "", folder, &a, &lines), -EINVAL);
	assert_int_equal(in_cluster_access("not a host", "443", folder, &a, &lines), -EINVAL);
	assert_int_equal(lines.n, 3);
	text_lines_clear(&lines);
	snprintf(path, sizeof(path), "%s/namespace", folder);
	unlink(path);
	rmdir(folder);
}

static void times_are_read_with_their_zones(void **)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} times[] = {
		{"1970-01-01T00:00:01Z", 1},
		{"2026-01-02T03:04:05Z", 1767323045},
		{"2026-01-02T03:04:05.123456Z", 1767323045},
		{"2026-01-02T05:04:05+02:00", 1767323045},
		{"2026-01-01T22:34:05.5-04:30", 1767323045},
		{"2026-01-02T03:04:05", -1},
		{"2026-01-02 03:04:05Z", -1},
		{"2026-13-02T03:04:05Z", -1},
		{"2026-01-02T03:04:05Zx", -1},
		{"2026-01-02T03:04:05+0200", -1},
		{"soon", -1},
		{"", -1},
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (time_of_rfc3339(times[i].text) != times[i].seconds)
			fail_msg("%s: %ld", times[i].text, (long)time_of_rfc3339(times[i].text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_of_a_cluster_is_read),
		cmocka_unit_test(every_field_of_a_user_is_read),
		cmocka_unit_test(every_field_of_a_program_is_read),
		cmocka_unit_test(json_is_read_as_well),
		cmocka_unit_test(a_mistake_is_a_line_with_its_place_and_what_would_be_right),
		cmocka_unit_test(all_mistakes_are_said_and_no_secret_is),
		cmocka_unit_test(an_alias_is_what_it_names_and_may_not_lead_anywhere),
		cmocka_unit_test(a_file_that_is_not_there_or_too_long_is_said_to_be),
		cmocka_unit_test(servers_of_the_configuration_replace_that_of_the_kubeconfig),
		cmocka_unit_test(a_pod_finds_all_in_its_environment_and_folder),
		cmocka_unit_test(times_are_read_with_their_zones),
	};

	return cmocka_run_group_tests_name("kubeconfig", tests, NULL, NULL);
}
