#include "log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct level {
	const char *word;
	const char *journal; // sd-daemon(3).
} levels[N_LOG_LEVELS] = {
	[LEVEL_ERROR] = {"error", "<3>"},
	[LEVEL_WARNING] = {"warning", "<4>"},
	[LEVEL_INFO] = {"info", "<6>"},
	[LEVEL_DEBUG] = {"debug", "<7>"},
};

static enum log_level most = LEVEL_INFO;
static bool journal;
static struct log_limit *limits; // Those that ever held something back.

const char *log_level_word(enum log_level level)
{
	assert(level < N_LOG_LEVELS);
	return levels[level].word;
}

// systemd.exec(5): JOURNAL_STREAM is the device and inode of the stream that it gave us. It is
// inherited by whoever we start, so that only a stderr that is this very stream counts.
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
		fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_start(enum log_level level)
{
	most = level;
	journal = stderr_is_journal();
}

static uint64_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}

// One write a line, so that lines of other threads and processes do not run into it.
static void say(enum log_level level, const char *text)
{
	char line[LOG_TEXT_MAX + 32];
	int len = snprintf(line, sizeof(line), "%s%s%s\n",
		journal ? levels[level].journal : levels[level].word, journal ? "" : ": ", text);

	if (level <= most && write(STDERR_FILENO, line, (size_t)len) < 0)
		return; // There is nobody left to tell.
}

void log_line(enum log_level level, const char *format, ...)
{
	char text[LOG_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	say(level, text);
}

bool log_limit_take(struct log_limit *limit, uint64_t now_s, uint32_t *ret_n_more)
{
	*ret_n_more = 0;
	if (limit->n_said == 0 || now_s - limit->started_s >= LOG_INTERVAL_S) {
		*ret_n_more = limit->n_held_back;
		limit->started_s = now_s;
		limit->n_said = limit->n_held_back = 0;
	}
	if (limit->n_said < limit->burst) {
		limit->n_said++;
		return true;
	}
	limit->n_held_back++;
	return false;
}

static void say_more(const struct log_limit *limit, uint32_t n_more)
{
	if (n_more > 0)
		log_line(limit->level, "%u more like this: %s", n_more, limit->last);
}

static void remember(struct log_limit *limit, enum log_level level, const char *text)
{
	limit->level = level;
	snprintf(limit->last, sizeof(limit->last), "%.*s", (int)sizeof(limit->last) - 1, text);
	if (!limit->listed) {
		limit->listed = true;
		limit->next = limits;
		limits = limit;
	}
}

void log_line_within(struct log_limit *limit, enum log_level level, const char *format, ...)
{
	char text[LOG_TEXT_MAX];
	va_list arguments;
	uint32_t n_more;

	if (level > most)
		return;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);

	bool may = log_limit_take(limit, seconds(), &n_more);
	say_more(limit, n_more);
	if (may)
		say(level, text);
	else
		remember(limit, level, text);
}

void log_tick(void)
{
	uint64_t now_s = seconds();

	for (struct log_limit *limit = limits; limit != NULL; limit = limit->next) {
		if (limit->n_held_back > 0 && now_s - limit->started_s >= LOG_INTERVAL_S) {
			say_more(limit, limit->n_held_back);
			limit->n_said = limit->n_held_back = 0;
		}
	}
}

struct log_limit *log_limit_of(const char *key)
{
	enum { N_KEYS = 256 };
	static struct log_limit of[N_KEYS];
	uint32_t hash = 0x811c9dc5;

	// FNV-1a (Fowler, Noll and Vo; draft-eastlake-fnv).
	for (; *key != '\0'; key++)
		hash = (hash ^ (uint8_t)*key) * 0x01000193;

	struct log_limit *limit = &of[hash % N_KEYS];
	limit->burst = 1;
	return limit;
}
