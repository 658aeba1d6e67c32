#pragma once

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "config_language.h"

// Reading a file's settings into a configuration, and saying what is wrong with them.

struct mistake {
	unsigned line;
	char *text;
};

struct reading {
	const char *path;
	struct config *config;
	struct mistake *mistakes; // [n_mistakes]
	size_t n_mistakes;
	bool out_of_memory;

	// What nodes and services were read from, as in the configuration.
	const config_setting_t *nodes;
	const config_setting_t *services;
	const config_setting_t *pools;
};

// One line: where, what was found, and what would be right. 'key' is below 'setting', there or not,
// or NULL for 'setting' itself.
void mistake(struct reading *reading, const config_setting_t *setting, const char *key,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

// "found 7; must be ...", of what the key must be.
void wrong(struct reading *reading, const config_setting_t *setting, const struct key *key);

// The same of a place that is no setting.
void mistake_at(struct reading *reading, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

// NULL if it is no string.
const char *string_of(const config_setting_t *setting);

// True if it is an array or a list.
bool is_row(const config_setting_t *setting);

// True if it is a list of 'least' to 'most' groups.
bool is_list_of_groups(const config_setting_t *setting, int least, int most);

// Reads a group's keys into 'base', with their defaults where it says nothing, and names those that
// the language does not have. A group that is NULL says nothing at all.
void read_keys(struct reading *reading, const config_setting_t *group, const struct keys *keys,
	void *base);

// "a whole number from 1 to 64".
enum { MUST_TEXT_MAX = 256 };
const char *must_be(const struct key *key, char ret_text[MUST_TEXT_MAX]);

// The value as the file has it, or nearly: "10.0.0.300" with its quotes, or "a group".
enum { FOUND_TEXT_MAX = 128 };
const char *found(const config_setting_t *setting, char ret_text[FOUND_TEXT_MAX]);
