#include "fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

extern char **environ;

// The server

static void run_server(
	struct fake *fake, char *const argv[], const int input[2], const int output[2])
{
	posix_spawn_file_actions_t files;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, input[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, output[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	assert_int_equal(posix_spawn(&fake->pid, argv[0], &files, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&files);
}

void fake_start(struct fake *fake, const char *scenario, const char *option, const char *other)
{
	int input[2], output[2];
	char line[16] = "";

	strcpy(fake->folder, "/tmp/guideway-fake-XXXXXX");
	assert_non_null(mkdtemp(fake->folder));
	char *argv[] = {"/usr/bin/python3", FAKE_SERVER, fake->folder, (char *)scenario,
		(char *)option, (char *)other, NULL};
	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	run_server(fake, argv, input, output);
	close(input[0]);
	close(output[1]);
	fake->input = input[1];
	for (size_t len = 0; strchr(line, '\n') == NULL && len < sizeof(line) - 1;) {
		ssize_t n = read(output[0], line + len, sizeof(line) - 1 - len);

		assert_true(n > 0);
		len += (size_t)n;
	}
	close(output[0]);
	fake->port = (uint16_t)atoi(line);
	snprintf(fake->url, sizeof(fake->url), "%s://127.0.0.1:%u",
		option != NULL ? "https" : "http", fake->port);
}

static void remove_folder(const char *folder)
{
	char *argv[] = {"/bin/rm", "-r", (char *)folder, NULL};
	pid_t pid;

	if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) == 0)
		waitpid(pid, NULL, 0);
}

void fake_stop(struct fake *fake)
{
	if (fake->pid == 0)
		return;

	close(fake->input);
	kill(fake->pid, SIGKILL);
	waitpid(fake->pid, NULL, 0);
	remove_folder(fake->folder);
	fake->pid = 0;
}

char *fake_read(const struct fake *fake, const char *name)
{
	char path[128], *text = calloc(1, 65536);

	snprintf(path, sizeof(path), "%s/%s", fake->folder, name);
	FILE *file = fopen(path, "re");
	if (file == NULL || text == NULL) {
		free(text);
		return NULL;
	}
	text[fread(text, 1, 65535, file)] = '\0';
	fclose(file);
	return text;
}

void fake_write(const struct fake *fake, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", fake->folder, name);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

size_t fake_count(const struct fake *fake, const char *text)
{
	char *requests = fake_read(fake, "requests"), *rest = requests, *line;
	size_t n = 0;

	while (requests != NULL && (line = strsep(&rest, "\n")) != NULL)
		n += strstr(line, text) != NULL;
	free(requests);
	return n;
}

// The follower

static struct followed *find(struct follower *f, const char *name)
{
	for (size_t i = 0; i < f->n_objects; i++)
		if (strcmp(f->objects[i].name, name) == 0)
			return &f->objects[i];
	return NULL;
}

static void drop(struct follower *f, struct followed *object)
{
	*object = f->objects[--f->n_objects];
}

static void begun(void *argument)
{
	struct follower *f = argument;

	f->n_begun++;
	for (size_t i = 0; i < f->n_objects; i++)
		f->objects[i].is_confirmed = false;
}

static const char *text_of(const json_t *object, const char *first, const char *second)
{
	const json_t *value = json_object_get(json_object_get(object, "metadata"), first);
	const char *text =
		json_string_value(second == NULL ? value : json_object_get(value, second));

	return text == NULL ? "" : text;
}

static void count_told(struct follower *f)
{
	struct loop_status status;

	loop_read_status(f->loop, &status);
	f->n_told_in_it = status.steps == f->step ? f->n_told_in_it + 1 : 1;
	f->step = status.steps;
	f->n_told++;
	if (f->n_told_in_it > f->n_told_at_most)
		f->n_told_at_most = f->n_told_in_it;
}

static void told(void *argument, enum watch_change change, const json_t *json)
{
	struct follower *f = argument;
	const char *name = text_of(json, "name", NULL);
	struct followed *object = find(f, name);

	count_told(f);
	if (change == WATCH_GONE && object != NULL)
		drop(f, object);
	if (change == WATCH_GONE || (object == NULL && f->n_objects == FOLLOWED_MAX))
		return;
	if (object == NULL)
		object = &f->objects[f->n_objects++];
	object->is_confirmed = true;
	snprintf(object->name, sizeof(object->name), "%s", name);
	snprintf(object->note, sizeof(object->note), "%s", text_of(json, "annotations", "note"));
}

static void synced(void *argument, bool is_whole)
{
	struct follower *f = argument;

	f->n_synced++;
	f->n_lacking += !is_whole;
	for (size_t i = f->n_objects; is_whole && i-- > 0;)
		if (!f->objects[i].is_confirmed)
			drop(f, &f->objects[i]);
}

static void poll(void *argument, uint64_t now_ns)
{
	struct follower *f = argument;

	f->in_time = f->until(f);
	if (f->in_time || now_ns >= f->deadline_ns)
		loop_stop(f->loop);
	else
		loop_timer_set(f->loop, &f->poll, now_ns + 2 * NSEC_PER_MSEC);
}

struct follower *follower_create_on(struct loop *loop)
{
	struct follower *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = loop;
	f->poll = (struct loop_timer){.name = "poll", .fn = poll, .argument = f};
	return f;
}

int follower_create(void **state)
{
	struct loop *loop;

	if (loop_create(&loop) < 0)
		return -1;
	*state = follower_create_on(loop);
	return 0;
}

void follower_free(struct follower *f)
{
	watch_stop(f->watch);
	api_client_destroy(f->client);
	api_access_clear(&f->access);
	fake_stop(&f->fake);
	fake_stop(&f->second);
	free(f);
}

int follower_destroy(void **state)
{
	struct follower *f = *state;
	struct loop *loop = f->loop;

	follower_free(f);
	loop_destroy(loop);
	return 0;
}

static void set_servers(struct follower *f)
{
	const char *urls[] = {f->fake.url, f->second.url};
	struct text_lines mistakes = {0};

	if (f->access.n_servers == 0)
		assert_int_equal(api_access_set_servers(&f->access, urls,
					 f->second.url[0] == '\0' ? 1 : 2, &mistakes),
			0);
}

void follower_connect(struct follower *f)
{
	set_servers(f);
	assert_int_equal(api_client_create(f->loop, &f->access, &f->client), 0);
}

void follower_watch(struct follower *f, uint32_t patience_ms)
{
	struct watch_config config = {
		.loop = f->loop,
		.name = "services",
		.path = "/api/v1/services",
		.patience_ms = patience_ms,
		.begun = begun,
		.told = told,
		.synced = synced,
		.argument = f,
	};

	follower_connect(f);
	config.client = f->client;
	assert_int_equal(watch_start(&config, &f->watch), 0);
}

void follower_start(struct follower *f, const char *scenario)
{
	fake_start(&f->fake, scenario, NULL, NULL);
	follower_watch(f, 0);
}

bool follower_run(struct follower *f, bool (*until)(const struct follower *f), uint64_t ms)
{
	f->until = until;
	f->deadline_ns = loop_clock_ns() + ms * NSEC_PER_MSEC;
	loop_timer_set(f->loop, &f->poll, loop_clock_ns());
	assert_int_equal(loop_run(f->loop), 0);
	return f->in_time;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct followed *)a)->name, ((const struct followed *)b)->name);
}

const char *follower_names(const struct follower *f)
{
	static char names[FOLLOWED_MAX * FOLLOWED_TEXT_MAX];
	struct followed sorted[FOLLOWED_MAX];

	memcpy(sorted, f->objects, sizeof(sorted));
	qsort(sorted, f->n_objects, sizeof(sorted[0]), by_name);
	names[0] = '\0';
	for (size_t i = 0; i < f->n_objects; i++) {
		strcat(names, i == 0 ? "" : " ");
		strcat(names, sorted[i].name);
	}
	return names;
}

bool is_synced_once(const struct follower *f)
{
	return f->n_synced >= 1;
}

bool is_synced_twice(const struct follower *f)
{
	return f->n_synced >= 2;
}

struct watch_status follower_status(const struct follower *f)
{
	struct watch_status status;

	watch_read_status(f->watch, &status);
	return status;
}
