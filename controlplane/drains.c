#include "drains.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"

// A name a line, in the file FILE_NAME.

#define FILE_NAME "drained-nodes"

struct drain {
	char name[NAME_TEXT_MAX];
	uint64_t since_ns;
};

struct drains {
	struct state_directory *directory;
	struct drain *list; // [n], in the order they were drained.
	size_t n;
};

static size_t place_of(const struct drains *drains, const char *name)
{
	size_t i = 0;

	while (i < drains->n && strcmp(drains->list[i].name, name) != 0)
		i++;
	return i;
}

bool drains_has(const struct drains *drains, const char *name, uint64_t *ret_since_ns)
{
	size_t i = place_of(drains, name);
	if (i == drains->n)
		return false;

	*ret_since_ns = drains->list[i].since_ns;
	return true;
}

size_t drains_count(const struct drains *drains)
{
	return drains->n;
}

static int append(struct drains *drains, const char *name, size_t len, uint64_t now_ns)
{
	if (len == 0 || len > NAME_MAX_LEN)
		return -EINVAL;

	struct drain *list = reallocarray(drains->list, drains->n + 1, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;

	drains->list = list;
	memcpy(list[drains->n].name, name, len);
	list[drains->n].name[len] = '\0';
	list[drains->n].since_ns = now_ns;
	drains->n++;
	return 0;
}

static int save(const struct drains *drains)
{
	char *text = malloc(drains->n * NAME_TEXT_MAX + 1);
	if (text == NULL)
		return -ENOMEM;

	char *end = text;
	for (size_t i = 0; i < drains->n; i++) {
		end = stpcpy(end, drains->list[i].name);
		*end++ = '\n';
	}
	int r = state_directory_write(drains->directory, FILE_NAME, text, (size_t)(end - text));
	free(text);
	return r;
}

int drains_put(struct drains *drains, const char *name, uint64_t now_ns)
{
	if (place_of(drains, name) < drains->n)
		return 0;

	int r = append(drains, name, strlen(name), now_ns);
	if (r < 0)
		return r;
	r = save(drains);
	if (r < 0)
		drains->n--;
	return r;
}

int drains_remove(struct drains *drains, const char *name)
{
	size_t i = place_of(drains, name);
	if (i == drains->n)
		return 0;

	struct drain removed = drains->list[i];
	struct drain *at = &drains->list[i];

	drains->n--;
	memmove(at, at + 1, (drains->n - i) * sizeof(*at));
	int r = save(drains);
	if (r < 0) {
		memmove(at + 1, at, (drains->n - i) * sizeof(*at));
		*at = removed;
		drains->n++;
	}
	return r;
}

static int load(struct drains *drains, const char *text, uint64_t now_ns)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		int r = append(drains, text, len, now_ns);
		if (r < 0)
			return r;
		text += len + (text[len] == '\n');
	}
	return 0;
}

int drains_open(struct state_directory *directory, uint64_t now_ns, struct drains **ret_drains)
{
	char *text;
	size_t len;

	struct drains *drains = calloc(1, sizeof(*drains));
	if (drains == NULL)
		return -ENOMEM;

	drains->directory = directory;
	int r = state_directory_read(directory, FILE_NAME, &text, &len);
	if (r == 0) {
		r = load(drains, text, now_ns);
		free(text);
	}
	if (r < 0 && r != -ENOENT) {
		drains_close(drains);
		return r;
	}
	*ret_drains = drains;
	return 0;
}

void drains_close(struct drains *drains)
{
	if (drains == NULL)
		return;

	free(drains->list);
	free(drains);
}
