#include "cluster_file.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "cluster.json"

struct cluster_file {
	struct state_directory *directory;

	// Written by the control thread.
	bool is_writing; // 'thread' is to be joined.
	pthread_t thread;
	json_t *document;

	// Written by the thread that writes, and before it begins.
	_Atomic bool is_done;
	_Atomic int error;
};

int cluster_file_open(struct state_directory *directory, struct cluster_file **ret_file)
{
	struct cluster_file *file = calloc(1, sizeof(*file));

	if (file == NULL)
		return -ENOMEM;
	file->directory = directory;
	*ret_file = file;
	return 0;
}

static void *write_document(void *argument)
{
	struct cluster_file *file = argument;
	char *text = json_dumps(file->document, JSON_COMPACT);
	int r = text == NULL
		? -ENOMEM
		: state_directory_write(file->directory, FILE_NAME, text, strlen(text));

	free(text);
	json_decref(file->document); // That takes long, too.
	atomic_store(&file->error, r);
	atomic_store(&file->is_done, true); // Pairs with the load in cluster_file_write().
	return NULL;
}

static void finish(struct cluster_file *file)
{
	pthread_join(file->thread, NULL);
	file->is_writing = false;
}

int cluster_file_write(struct cluster_file *file, json_t *document)
{
	int r = 0;

	if (document == NULL)
		return -ENOMEM;
	if (file->is_writing && !atomic_load(&file->is_done))
		r = -EBUSY;
	else if (file->is_writing)
		finish(file);
	if (r == 0) {
		file->document = document;
		atomic_store(&file->is_done, false);
		r = -pthread_create(&file->thread, NULL, write_document, file);
		file->is_writing = r == 0;
	}
	if (r < 0)
		json_decref(document);
	return r;
}

int cluster_file_read(struct cluster_file *file, json_t **ret_document)
{
	char *text;
	size_t len;

	int r = state_directory_read(file->directory, FILE_NAME, &text, &len);
	if (r < 0)
		return r;
	json_t *document = json_loadb(text, len, 0, NULL);
	free(text);
	if (document == NULL)
		return -EINVAL;
	*ret_document = document;
	return 0;
}

int cluster_file_error(const struct cluster_file *file)
{
	return atomic_load(&file->error);
}

int cluster_file_wait(struct cluster_file *file)
{
	if (file->is_writing)
		finish(file);
	return cluster_file_error(file);
}

void cluster_file_close(struct cluster_file *file)
{
	if (file == NULL)
		return;

	cluster_file_wait(file);
	free(file);
}
