#include "exec_plugin.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base64.h"
#include "clock.h"

// The program is a child that leads a session of its own, so that one signal ends all that it
// started. The loop watches its output, its complaints, and a pidfd: SIGCHLD is nobody's business.
// It is over when it has exited, even if something that it left behind holds its output open.
//
// posix_spawn() shares our memory until the program runs: a fork would have every worker fault on
// its next write to every page.

enum { COMPLAINT_MAX = 256 };

// What the program writes to one of its two ends.
struct output {
	struct exec_plugin *plugin;
	int fd;
	char *text; // [room]
	size_t len;
	size_t room;
	bool overflows; // There was more.
};

struct exec_plugin {
	struct loop *loop;
	const struct api_access *access;
	exec_done_fn *fn;
	void *argument;
	pid_t pid; // 0 once it is reaped.
	int pidfd;
	struct output said;
	struct output complained;
	struct loop_timer deadline;
	bool ran_out;
};

extern char **environ;

// What it is told

static int set_new(json_t *object, const char *key, json_t *value)
{
	return value == NULL ? -1 : json_object_set_new(object, key, value);
}

static json_t *describe_cluster(const struct api_access *access, const char *ca_pem)
{
	json_t *cluster = json_object();
	char *ca = ca_pem == NULL ? NULL : base64_encode(ca_pem);
	int r = set_new(cluster, "server", json_string(access->servers[0]));

	if (ca_pem != NULL)
		r |= ca == NULL ? -1
				: set_new(cluster, "certificate-authority-data", json_string(ca));
	if (access->tls_server_name != NULL)
		r |= set_new(cluster, "tls-server-name", json_string(access->tls_server_name));
	if (access->insecure)
		r |= set_new(cluster, "insecure-skip-tls-verify", json_true());
	if (access->proxy_url != NULL)
		r |= set_new(cluster, "proxy-url", json_string(access->proxy_url));
	if (access->disable_compression)
		r |= set_new(cluster, "disable-compression", json_true());
	free(ca);
	if (r == 0)
		return cluster;
	json_decref(cluster);
	return NULL;
}

// KUBERNETES_EXEC_INFO, or NULL when out of memory.
static char *describe(const struct api_access *access, const char *ca_pem)
{
	json_t *spec = json_object();
	int r = set_new(spec, "interactive", json_false());

	if (access->exec.provide_cluster_info)
		r |= set_new(spec, "cluster", describe_cluster(access, ca_pem));

	json_t *info = json_pack("{s:s, s:s, s:o}", "kind", "ExecCredential", "apiVersion",
		access->exec.api_version, "spec", spec);
	char *text = r == 0 && info != NULL ? json_dumps(info, JSON_COMPACT) : NULL;
	char *variable = NULL;

	if (text != NULL && asprintf(&variable, "KUBERNETES_EXEC_INFO=%s", text) < 0)
		variable = NULL;
	free(text);
	json_decref(info);
	return variable;
}

static void free_strings(char **strings)
{
	for (size_t i = 0; strings != NULL && strings[i] != NULL; i++)
		free(strings[i]);
	free(strings);
}

static bool is_set_by(const struct api_exec *exec, const char *variable)
{
	size_t len = strcspn(variable, "=");

	for (size_t i = 0; i < exec->n_env; i++)
		if (strlen(exec->env[i].name) == len &&
			memcmp(exec->env[i].name, variable, len) == 0)
			return true;
	return len == strlen("KUBERNETES_EXEC_INFO") &&
		memcmp(variable, "KUBERNETES_EXEC_INFO", len) == 0;
}

// Our own environment, with what the kubeconfig sets, and what the program is told.
static char **make_environment(const struct api_access *access, const char *ca_pem)
{
	const struct api_exec *exec = &access->exec;
	size_t n_ours = 0, n = 0;
	bool good = true;

	while (environ[n_ours] != NULL)
		n_ours++;
	char **strings = calloc(n_ours + exec->n_env + 2, sizeof(*strings));
	if (strings == NULL)
		return NULL;
	for (size_t i = 0; i < n_ours && good; i++)
		if (!is_set_by(exec, environ[i]))
			good = (strings[n++] = strdup(environ[i])) != NULL;
	for (size_t i = 0; i < exec->n_env && good; i++)
		good = asprintf(&strings[n++], "%s=%s", exec->env[i].name, exec->env[i].value) >= 0;
	good = good && (strings[n] = describe(access, ca_pem)) != NULL;
	if (good)
		return strings;
	free_strings(strings);
	return NULL;
}

// What it says

bool exec_answer_read(const json_t *document, const char *api_version,
	struct exec_answer *ret_answer, char ret_why[EXEC_WHY_MAX])
{
	const json_t *status = json_object_get(document, "status");
	const char *kind = json_string_value(json_object_get(document, "kind"));
	const char *version = json_string_value(json_object_get(document, "apiVersion"));
	const char *expires = json_string_value(json_object_get(status, "expirationTimestamp"));
	struct exec_answer answer = {
		.token = json_string_value(json_object_get(status, "token")),
		.certificate_pem =
			json_string_value(json_object_get(status, "clientCertificateData")),
		.key_pem = json_string_value(json_object_get(status, "clientKeyData")),
		.expires_s = expires == NULL ? 0 : time_of_rfc3339(expires),
	};
	const char *why = NULL;

	if (kind == NULL || strcmp(kind, "ExecCredential") != 0)
		why = "its \"kind\" is not \"ExecCredential\"";
	else if (version == NULL || strcmp(version, api_version) != 0)
		why = "its \"apiVersion\" is not that of the kubeconfig";
	else if (!json_is_object(status))
		why = "it has no \"status\"";
	else if ((answer.certificate_pem == NULL) != (answer.key_pem == NULL))
		why = "of clientCertificateData and clientKeyData it has only one";
	else if (answer.token == NULL && answer.certificate_pem == NULL)
		why = "its status has neither a token nor a clientCertificateData";
	else if (answer.expires_s < 0)
		why = "its expirationTimestamp is no time such as \"2026-01-02T03:04:05Z\"";
	for (const char *c = answer.token; why == NULL && c != NULL && *c != '\0'; c++)
		if (iscntrl((unsigned char)*c))
			why = "its token has a control character";
	if (why != NULL) {
		snprintf(ret_why, EXEC_WHY_MAX, "%s", why);
		return false;
	}
	*ret_answer = answer;
	return true;
}

int64_t time_of_rfc3339(const char *text)
{
	struct tm tm = {0};
	int hours = 0, minutes = 0, len = 0;
	char sign;
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (rest == NULL)
		return -1;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");

	int64_t seconds = (int64_t)timegm(&tm);
	if (seconds < 0)
		return -1;
	if (strcmp(rest, "Z") == 0 || strcmp(rest, "z") == 0)
		return seconds;
	if (sscanf(rest, "%c%2d:%2d%n", &sign, &hours, &minutes, &len) != 3 || rest[len] != '\0' ||
		(sign != '+' && sign != '-'))
		return -1;
	int64_t ahead = (hours * 60 + minutes) * 60;
	return sign == '+' ? seconds - ahead : seconds + ahead;
}

// How it ends

static void close_output(struct exec_plugin *plugin, struct output *output)
{
	if (output->fd < 0)
		return;

	loop_forget(plugin->loop, output->fd);
	close(output->fd);
	output->fd = -1;
}

// What is there, and no more. Where it is full the rest is read and thrown away, so that a program
// that says too much is not held up, and is found out.
static void drain(struct output *output)
{
	char rest[4096];
	ssize_t n = 1;

	// Bounded, for what is left is told by the next event.
	for (int i = 0; i < 64 && output->fd >= 0 && n > 0; i++) {
		size_t room = output->room - output->len;

		if (room > 0)
			n = read(output->fd, output->text + output->len, room);
		else
			n = read(output->fd, rest, sizeof(rest));
		if (n > 0 && room > 0)
			output->len += (size_t)n;
		else if (n > 0)
			output->overflows = true;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_output(output->plugin, output);
}

static void output_ready(void *argument, uint32_t, uint64_t)
{
	drain(argument);
}

// The first line of what it complained of, fit for a log.
static void quote_complaint(const struct exec_plugin *plugin, char ret_text[COMPLAINT_MAX])
{
	const struct output *output = &plugin->complained;
	size_t n = 0;

	for (size_t i = 0; i < output->len && n < COMPLAINT_MAX - 1; i++) {
		if (output->text[i] == '\n')
			break;
		ret_text[n++] = iscntrl((unsigned char)output->text[i]) ? ' ' : output->text[i];
	}
	ret_text[n] = '\0';
}

static void explain_exit(
	const struct exec_plugin *plugin, const siginfo_t *info, char ret_why[EXEC_WHY_MAX])
{
	char complaint[COMPLAINT_MAX];

	quote_complaint(plugin, complaint);
	const char *colon = complaint[0] != '\0' ? ": " : "";

	if (plugin->ran_out)
		snprintf(ret_why, EXEC_WHY_MAX, "it did not end in time%s%s", colon, complaint);
	else if (info->si_code == CLD_EXITED)
		snprintf(ret_why, EXEC_WHY_MAX, "exit status %d%s%s", info->si_status, colon,
			complaint);
	else
		snprintf(ret_why, EXEC_WHY_MAX, "ended by signal %d (%s)%s%s", info->si_status,
			strsignal(info->si_status), colon, complaint);
}

static void finish(struct exec_plugin *plugin, const struct exec_answer *answer, const char *why)
{
	char text[EXEC_WHY_MAX];

	if (answer == NULL)
		snprintf(text, sizeof(text), "the credentials' program %.200s failed: %.250s",
			plugin->access->exec.command, why);
	// 'plugin' may be gone after this.
	plugin->fn(plugin->argument, answer, answer == NULL ? text : NULL);
}

static void judge_output(struct exec_plugin *plugin)
{
	char why[EXEC_WHY_MAX];
	struct exec_answer answer;
	json_error_t error;

	if (plugin->said.overflows) {
		snprintf(why, sizeof(why), "it said more than %d bytes", EXEC_OUTPUT_MAX);
		finish(plugin, NULL, why);
		return;
	}
	json_t *document = json_loadb(plugin->said.text, plugin->said.len, 0, &error);
	if (document == NULL) {
		snprintf(why, sizeof(why), "what it printed is not JSON: %.120s", error.text);
		finish(plugin, NULL, why);
		return;
	}
	if (exec_answer_read(document, plugin->access->exec.api_version, &answer, why))
		finish(plugin, &answer, NULL);
	else
		finish(plugin, NULL, why);
	json_decref(document);
}

static void exited(void *argument, uint32_t, uint64_t)
{
	struct exec_plugin *plugin = argument;
	siginfo_t info = {0};
	char why[EXEC_WHY_MAX];

	if (waitid(P_PIDFD, (id_t)plugin->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		info.si_pid == 0)
		return;

	loop_forget(plugin->loop, plugin->pidfd);
	loop_timer_cancel(plugin->loop, &plugin->deadline);
	drain(&plugin->said);
	drain(&plugin->complained);
	// What it left behind goes, too. Before it is reaped nobody else can have its number.
	kill(-plugin->pid, SIGKILL);
	waitpid(plugin->pid, NULL, 0);
	plugin->pid = 0;
	if (!plugin->ran_out && info.si_code == CLD_EXITED && info.si_status == 0) {
		judge_output(plugin);
		return;
	}
	explain_exit(plugin, &info, why);
	finish(plugin, NULL, why);
}

static void run_out(void *argument, uint64_t)
{
	struct exec_plugin *plugin = argument;

	plugin->ran_out = true;
	kill(-plugin->pid, SIGKILL);
}

// How it begins

static int open_output(struct output *output, size_t room, int *ret_their_end)
{
	int ends[2];

	output->text = malloc(room);
	if (output->text == NULL)
		return -ENOMEM;
	output->room = room;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	output->fd = ends[0];
	*ret_their_end = ends[1];
	return 0;
}

static int spawn_with(struct exec_plugin *plugin, char **argv, char **environment,
	const int ends[2], posix_spawn_file_actions_t *files, posix_spawnattr_t *attributes)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setflags(
		attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setsigdefault(attributes, &all);
	int r = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(files, ends[0], STDOUT_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(files, ends[1], STDERR_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
	if (r == 0)
		r = posix_spawnp(&plugin->pid, argv[0], files, attributes, argv, environment);
	if (r != 0)
		plugin->pid = 0;
	return -r;
}

static int spawn(struct exec_plugin *plugin, const char *ca_pem, const int ends[2])
{
	const struct api_exec *exec = &plugin->access->exec;
	char **environment = make_environment(plugin->access, ca_pem);
	char **argv = calloc(exec->n_args + 2, sizeof(*argv));
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int r = -ENOMEM;

	if (environment != NULL && argv != NULL) {
		argv[0] = exec->command;
		for (size_t i = 0; i < exec->n_args; i++)
			argv[1 + i] = exec->args[i];
		posix_spawn_file_actions_init(&files);
		posix_spawnattr_init(&attributes);
		r = spawn_with(plugin, argv, environment, ends, &files, &attributes);
		posix_spawn_file_actions_destroy(&files);
		posix_spawnattr_destroy(&attributes);
	}
	free(argv);
	free_strings(environment);
	return r;
}

static uint64_t timeout_ns(const struct exec_plugin *plugin)
{
	uint32_t timeout_ms = plugin->access->exec.timeout_ms;

	return timeout_ms == 0 ? EXEC_TIMEOUT_S * NSEC_PER_SEC : timeout_ms * NSEC_PER_MSEC;
}

static int watch_over(struct exec_plugin *plugin)
{
	plugin->pidfd = (int)syscall(SYS_pidfd_open, plugin->pid, 0);
	if (plugin->pidfd < 0)
		return -errno;

	int r = loop_watch(
		plugin->loop, plugin->pidfd, EPOLLIN, "credentials' program", exited, plugin);
	if (r == 0)
		r = loop_watch(plugin->loop, plugin->said.fd, EPOLLIN, "credentials' program",
			output_ready, &plugin->said);
	if (r == 0)
		r = loop_watch(plugin->loop, plugin->complained.fd, EPOLLIN, "credentials' program",
			output_ready, &plugin->complained);
	loop_timer_set(plugin->loop, &plugin->deadline, loop_clock_ns() + timeout_ns(plugin));
	return r;
}

static int start(struct exec_plugin *plugin, const char *ca_pem)
{
	int ends[2] = {-1, -1};

	int r = open_output(&plugin->said, EXEC_OUTPUT_MAX, &ends[0]);
	if (r == 0)
		r = open_output(&plugin->complained, COMPLAINT_MAX, &ends[1]);
	if (r == 0)
		r = spawn(plugin, ca_pem, ends);
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
	return r == 0 ? watch_over(plugin) : r;
}

int exec_plugin_start(struct loop *loop, const struct api_access *access, const char *ca_pem,
	exec_done_fn *fn, void *argument, struct exec_plugin **ret_plugin,
	char ret_why[EXEC_WHY_MAX])
{
	const struct api_exec *exec = &access->exec;
	struct exec_plugin *plugin = calloc(1, sizeof(*plugin));
	int r = -ENOMEM;

	if (plugin != NULL) {
		*plugin = (struct exec_plugin){.loop = loop,
			.access = access,
			.fn = fn,
			.argument = argument,
			.pidfd = -1,
			.said = {.plugin = plugin, .fd = -1},
			.complained = {.plugin = plugin, .fd = -1}};
		plugin->deadline = (struct loop_timer){
			.name = "credentials' program runs out", .fn = run_out, .argument = plugin};
		r = start(plugin, ca_pem);
	}
	if (r == 0) {
		*ret_plugin = plugin;
		return 0;
	}
	bool hints = r == -ENOENT && exec->install_hint != NULL;
	snprintf(ret_why, EXEC_WHY_MAX,
		"the credentials' program %.150s cannot be started: %s%s%.200s", exec->command,
		strerror(-r), hints ? "; " : "", hints ? exec->install_hint : "");
	exec_plugin_stop(plugin);
	return r;
}

void exec_plugin_stop(struct exec_plugin *plugin)
{
	if (plugin == NULL)
		return;

	close_output(plugin, &plugin->said);
	close_output(plugin, &plugin->complained);
	if (plugin->pidfd >= 0) {
		loop_forget(plugin->loop, plugin->pidfd);
		close(plugin->pidfd);
	}
	loop_timer_cancel(plugin->loop, &plugin->deadline);
	if (plugin->pid > 0) {
		kill(-plugin->pid, SIGKILL);
		waitpid(plugin->pid, NULL, 0);
	}
	free(plugin->said.text);
	free(plugin->complained.text);
	free(plugin);
}
