#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What the operator is told: one line a sentence, to stderr, or with a level to the journal where
// stderr is that. For the control thread alone: nothing here is locked, and writing may block.

enum log_level { LEVEL_ERROR, LEVEL_WARNING, LEVEL_INFO, LEVEL_DEBUG, N_LOG_LEVELS };

// "warning"; never NULL.
const char *log_level_word(enum log_level level);

// Says nothing above 'level' from now on, and finds out whether stderr is the journal. Before the
// first call all but debug is said.
void log_start(enum log_level level);

// Always said.
#define log_error(...) log_line(LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LEVEL_DEBUG, __VA_ARGS__)

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Said LOG_BURST times in LOG_INTERVAL_S seconds by one line of code, then once "N more like this"
// for the rest of them. For what the world outside can make happen at will.
enum { LOG_INTERVAL_S = 10, LOG_BURST = 5, LOG_TEXT_MAX = 1024 };

#define log_limited(level, ...)                                            \
	do {                                                               \
		static struct log_limit limit_here = {.burst = LOG_BURST}; \
		log_line_within(&limit_here, level, __VA_ARGS__);          \
	} while (0)

// Likewise, but once in an interval about each 'key' ("snat-ports n1"), whoever says it.
#define log_about(key, level, ...) log_line_within(log_limit_of(key), level, __VA_ARGS__)

// Says what of "N more like this" is due. To be called about once a second.
void log_tick(void);

// One thing's limit: use the macros above. The clock comes in by log_limit_take(), so that it can
// be tested without waiting.
struct log_limit {
	uint32_t burst;         // How often it may be said in an interval.
	uint32_t n_said;        // In this one.
	uint32_t n_held_back;   // Likewise.
	enum log_level level;   // Of the last one held back.
	uint64_t started_s;     // The interval.
	struct log_limit *next; // Of those that ever held something back.
	bool listed;
	char last[160]; // The text held back last, or its beginning.
};

// True if it may be said now; else it is counted as held back. 'ret_n_more' is how many were held
// back in an interval that ended with this call, which it is up to the caller to say.
bool log_limit_take(struct log_limit *limit, uint64_t now_s, uint32_t *ret_n_more);

// Keys that fall together share a limit: at worst one hides another for an interval.
struct log_limit *log_limit_of(const char *key);

void log_line_within(struct log_limit *limit, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
