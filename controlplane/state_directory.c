#include "state_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (64 * 1024 * 1024)
#define HASH_KEY_FILE "hash-key"
#define INSTANCE_ID_FILE "instance-id"

enum { KEY_LEN = 2 * sizeof(uint64_t) };

struct state_directory {
	int folder_fd;
	int lock_fd; // Locked by flock(): the kernel lets go of it when we die.
	char path[PATH_MAX];
};

static int make_folders(const char *path)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = part + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	if (mkdir(part, 0700) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

static int open_folder(struct state_directory *d)
{
	int r = make_folders(d->path);
	if (r < 0)
		return r;

	d->folder_fd = open(d->path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	return d->folder_fd < 0 ? -errno : 0;
}

static int lock(struct state_directory *d)
{
	d->lock_fd = openat(d->folder_fd, "lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (d->lock_fd < 0)
		return -errno;
	if (flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return 0;
}

int state_directory_open(
	const char *path, struct state_directory **ret_directory, char ret_why[WHY_MAX])
{
	int r = -ENOMEM;

	struct state_directory *d = calloc(1, sizeof(*d));
	if (d == NULL)
		goto fail;

	d->folder_fd = -1;
	d->lock_fd = -1;
	snprintf(d->path, sizeof(d->path), "%s", path);

	r = open_folder(d);
	if (r < 0)
		goto fail;
	r = lock(d);
	if (r < 0)
		goto fail;

	*ret_directory = d;
	return 0;

fail:
	if (r == -EBUSY)
		snprintf(ret_why, WHY_MAX,
			"the state directory %s is in use by another guideway: give each instance "
			"its own",
			path);
	else
		snprintf(ret_why, WHY_MAX, "the state directory %s cannot be used: %s", path,
			strerror(-r));
	state_directory_close(d);
	return r;
}

void state_directory_close(struct state_directory *directory)
{
	if (directory == NULL)
		return;

	if (directory->lock_fd >= 0)
		close(directory->lock_fd);
	if (directory->folder_fd >= 0)
		close(directory->folder_fd);
	free(directory);
}

const char *state_directory_path(const struct state_directory *directory)
{
	return directory->path;
}

// Reads up to 'size' bytes. Returns how many, or -errno.
static ssize_t read_all(int fd, char *bytes, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, bytes + len, size - len);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

int state_directory_read(
	struct state_directory *directory, const char *name, char **ret_text, size_t *ret_len)
{
	int fd = openat(directory->folder_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	char *text = malloc(FILE_BYTES_MAX + 1);
	ssize_t len = text == NULL ? -ENOMEM : read_all(fd, text, FILE_BYTES_MAX + 1);

	close(fd);
	if (len > FILE_BYTES_MAX)
		len = -EFBIG;
	if (len < 0) {
		free(text);
		return (int)len;
	}
	text[len] = '\0';
	*ret_text = text;
	*ret_len = (size_t)len;
	return 0;
}

static int write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);
		if (n < 0)
			return -errno;
		bytes += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int state_directory_write(
	struct state_directory *directory, const char *name, const void *bytes, size_t len)
{
	char beside[NAME_MAX + 1];

	snprintf(beside, sizeof(beside), "%s.new", name);
	int fd = openat(
		directory->folder_fd, beside, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;

	int r = write_all(fd, bytes, len);
	close(fd);
	if (r < 0)
		return r;
	if (renameat(directory->folder_fd, beside, directory->folder_fd, name) < 0)
		return -errno;
	// The rename itself survives a power cut only once the folder is on disk.
	return fsync(directory->folder_fd) < 0 ? -errno : 0;
}

int state_directory_remove(struct state_directory *directory, const char *name)
{
	if (unlinkat(directory->folder_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

// 'len' is at most KEY_LEN, which is never given in part (getrandom(2)).
static int make_random(
	struct state_directory *directory, const char *name, size_t len, void *ret_bytes)
{
	char bytes[KEY_LEN];

	if (getrandom(bytes, len, 0) != (ssize_t)len)
		return -errno;

	int r = state_directory_write(directory, name, bytes, len);
	if (r < 0)
		return r;
	memcpy(ret_bytes, bytes, len);
	return 0;
}

static int read_bytes(
	struct state_directory *directory, const char *name, size_t len, void *ret_bytes)
{
	char *bytes;
	size_t found;

	int r = state_directory_read(directory, name, &bytes, &found);
	if (r < 0)
		return r;

	if (found == len)
		memcpy(ret_bytes, bytes, len);
	else
		r = -EINVAL;
	free(bytes);
	return r;
}

// Random bytes that are made once, and the same ever after.
static int read_random(
	struct state_directory *directory, const char *name, size_t len, void *ret_bytes)
{
	int r = read_bytes(directory, name, len, ret_bytes);

	return r == -ENOENT ? make_random(directory, name, len, ret_bytes) : r;
}

int state_directory_find_hash_key(struct state_directory *directory, uint64_t ret_key[2])
{
	return read_bytes(directory, HASH_KEY_FILE, KEY_LEN, ret_key);
}

int state_directory_set_hash_key(struct state_directory *directory, const uint64_t key[2])
{
	return state_directory_write(directory, HASH_KEY_FILE, key, KEY_LEN);
}

int state_directory_hash_key(struct state_directory *directory, uint64_t ret_key[2])
{
	return read_random(directory, HASH_KEY_FILE, KEY_LEN, ret_key);
}

int state_directory_instance_id(struct state_directory *directory, uint32_t *ret_id)
{
	return read_random(directory, INSTANCE_ID_FILE, sizeof(*ret_id), ret_id);
}
