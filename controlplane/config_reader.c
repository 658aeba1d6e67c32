#include "config_reader.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct config_reader {
	struct loop *loop;
	const char *path;
	config_read_fn *fn;
	void *argument;
	int event_fd;

	// Written by the control thread.
	bool reading;
	bool asked_again;
	pthread_t thread;

	// Written by the thread that reads, and looked at only when it is joined.
	struct config *config;
	struct text_lines mistakes;
};

static void *read_file(void *argument)
{
	struct config_reader *reader = argument;

	if (config_parse_file(reader->path, &reader->config, &reader->mistakes) < 0)
		reader->config = NULL;
	eventfd_write(reader->event_fd, 1);
	return NULL;
}

static int start(struct config_reader *reader)
{
	int r = -pthread_create(&reader->thread, NULL, read_file, reader);

	reader->reading = r == 0;
	reader->asked_again = false;
	return r;
}

int config_reader_ask(struct config_reader *reader)
{
	if (!reader->reading)
		return start(reader);

	reader->asked_again = true;
	return 0;
}

// Takes what was read out of 'reader', which may read again.
static void finish(
	struct config_reader *reader, struct config **ret_config, struct text_lines *ret_mistakes)
{
	pthread_join(reader->thread, NULL);
	reader->reading = false;
	*ret_config = reader->config;
	*ret_mistakes = reader->mistakes;
	reader->config = NULL;
	reader->mistakes = (struct text_lines){0};
}

static void take(void *argument, uint32_t, uint64_t)
{
	struct config_reader *reader = argument;
	struct config *config;
	struct text_lines mistakes;
	eventfd_t n;

	eventfd_read(reader->event_fd, &n);
	finish(reader, &config, &mistakes);
	// What was read may be older than the last asking. If there can be no other thread, it is
	// all that there is.
	if (reader->asked_again && start(reader) == 0) {
		config_free(config);
		text_lines_clear(&mistakes);
		return;
	}
	reader->fn(reader->argument, config, &mistakes);
}

int config_reader_create(struct loop *loop, const char *path, config_read_fn *fn, void *argument,
	struct config_reader **ret_reader)
{
	struct config_reader *reader = calloc(1, sizeof(*reader));
	if (reader == NULL)
		return -ENOMEM;

	reader->loop = loop;
	reader->path = path;
	reader->fn = fn;
	reader->argument = argument;
	reader->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = reader->event_fd < 0
		? -errno
		: loop_watch(loop, reader->event_fd, EPOLLIN, "configuration read", take, reader);
	if (r < 0) {
		config_reader_destroy(reader);
		return r;
	}
	*ret_reader = reader;
	return 0;
}

void config_reader_destroy(struct config_reader *reader)
{
	struct config *config;
	struct text_lines mistakes;

	if (reader == NULL)
		return;

	if (reader->reading) {
		finish(reader, &config, &mistakes);
		config_free(config);
		text_lines_clear(&mistakes);
	}
	if (reader->event_fd >= 0) {
		loop_forget(reader->loop, reader->event_fd);
		close(reader->event_fd);
	}
	free(reader);
}
