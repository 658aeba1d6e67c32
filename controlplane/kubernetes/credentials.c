#include "credentials.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "exec_plugin.h"

// What is in files is read when it is asked for and was not read lately; nothing runs in between.
// The kubelet swaps a symbolic link, so that a file is seen whole, old or new. A file that cannot
// be read is used as it was read last: what a server thinks of that, it will say.

#define TOKEN_AGE_NS (60 * NSEC_PER_SEC)
#define CERTIFICATE_AGE_NS (300 * NSEC_PER_SEC)
#define RUN_AGAIN_NS (5 * NSEC_PER_SEC) // A program that failed, or whose answer was refused.

enum {
	FILE_BYTES_MAX = 1 << 20,
	EXPIRES_EARLY_S = 10, // A request takes its time, and clocks differ.
};

struct file {
	const char *path; // NULL for none.
	const char *what; // "the token".
	char *text;       // As it was read last.
	uint64_t read_ns; // When it was tried; 0 for never.
	int error;
};

struct credentials {
	struct loop *loop;
	const struct api_access *access;
	void (*changed)(void *argument);
	void *argument;
	uint64_t generation;

	struct file token;
	struct file ca;
	struct file certificate;
	struct file key;

	// Of the program.
	struct exec_plugin *plugin; // While it runs.
	bool has_answer;
	char *exec_token;
	char *exec_certificate;
	char *exec_key;
	int64_t expires_s;
	uint64_t began_ns; // 0 for never.
	char why[CREDENTIALS_WHY_MAX];
};

// Files

// Regular files only: a pipe might hold the loop for ever.
static int read_text(const char *path, char **ret_text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;

	struct stat st;
	char *text = NULL;
	ssize_t len = -1;
	int r = fstat(fd, &st) < 0 ? -errno : !S_ISREG(st.st_mode) ? -EINVAL : 0;

	if (r == 0 && st.st_size > FILE_BYTES_MAX)
		r = -EFBIG;
	if (r == 0 && (text = malloc((size_t)st.st_size + 1)) == NULL)
		r = -ENOMEM;
	if (r == 0 && (len = read(fd, text, (size_t)st.st_size)) < 0)
		r = -errno;
	close(fd);
	if (r < 0) {
		free(text);
		return r;
	}
	text[len] = '\0';
	*ret_text = text;
	return 0;
}

// Returns true if the file says something else than before.
static bool read_file(struct file *file, uint64_t now_ns)
{
	char *text = NULL;

	file->read_ns = now_ns;
	file->error = read_text(file->path, &text);
	if (file->error < 0)
		return false;
	if (file->text != NULL && strcmp(file->text, text) == 0) {
		free(text);
		return false;
	}
	free(file->text);
	file->text = text;
	return true;
}

// A token ends where its line does.
static bool read_token(struct file *file, uint64_t now_ns)
{
	char *before = file->text == NULL ? NULL : strdup(file->text);

	read_file(file, now_ns);
	if (file->text != NULL) {
		size_t len = strlen(file->text);

		while (len > 0 && isspace((unsigned char)file->text[len - 1]))
			file->text[--len] = '\0';
		for (char *c = file->text; *c != '\0'; c++)
			if (iscntrl((unsigned char)*c))
				file->error = -EILSEQ;
		if (len == 0)
			file->error = -ENODATA;
	}
	bool differs = file->text != NULL && (before == NULL || strcmp(before, file->text) != 0);

	if (file->error == -EILSEQ || file->error == -ENODATA) {
		free(file->text);
		file->text = before;
		return false;
	}
	free(before);
	return differs;
}

static bool is_due(const struct file *file, uint64_t age_ns, uint64_t now_ns)
{
	return file->path != NULL && (file->read_ns == 0 || now_ns - file->read_ns >= age_ns);
}

// The certificate and its key are read together: one without the other is of no use.
static void read_files(struct credentials *c, uint64_t now_ns)
{
	if (is_due(&c->token, TOKEN_AGE_NS, now_ns) && read_token(&c->token, now_ns))
		c->generation++;
	if (is_due(&c->ca, CERTIFICATE_AGE_NS, now_ns) && read_file(&c->ca, now_ns))
		c->generation++;
	if (is_due(&c->certificate, CERTIFICATE_AGE_NS, now_ns) &&
		read_file(&c->certificate, now_ns))
		c->generation++;
	if (is_due(&c->key, CERTIFICATE_AGE_NS, now_ns) && read_file(&c->key, now_ns))
		c->generation++;
}

// What is needed and was never read is looked for at every asking.
static bool lacks(struct file *file, char ret_why[CREDENTIALS_WHY_MAX])
{
	const char *why;

	if (file->path == NULL || file->text != NULL)
		return false;
	switch (-file->error) {
	case EINVAL:
		why = "it is not a regular file";
		break;
	case EILSEQ:
		why = "it has a control character";
		break;
	case ENODATA:
		why = "it is empty";
		break;
	default:
		why = strerror(-file->error);
	}
	snprintf(ret_why, CREDENTIALS_WHY_MAX, "%s cannot be read from %.300s: %s", file->what,
		file->path, why);
	file->read_ns = 0;
	return true;
}

// The program

static void forget_answer(struct credentials *c)
{
	free(c->exec_token);
	free(c->exec_certificate);
	free(c->exec_key);
	c->exec_token = c->exec_certificate = c->exec_key = NULL;
	c->has_answer = false;
}

static char *copy(const char *text)
{
	return text == NULL ? NULL : strdup(text);
}

static void take_answer(void *argument, const struct exec_answer *answer, const char *why)
{
	struct credentials *c = argument;

	forget_answer(c);
	if (answer != NULL) {
		c->exec_token = copy(answer->token);
		c->exec_certificate = copy(answer->certificate_pem);
		c->exec_key = copy(answer->key_pem);
		c->expires_s = answer->expires_s;
		c->has_answer = true;
		c->generation++;
	} else {
		snprintf(c->why, sizeof(c->why), "%s", why);
	}
	exec_plugin_stop(c->plugin);
	c->plugin = NULL;
	c->changed(c->argument);
}

static bool uses_program(const struct credentials *c)
{
	const struct api_access *access = c->access;

	// As with kubectl, what is given outright wins.
	return access->exec.command != NULL && access->token == NULL &&
		access->token_file == NULL && access->username == NULL;
}

static bool has_expired(const struct credentials *c)
{
	return c->expires_s != 0 && time(NULL) >= c->expires_s - EXPIRES_EARLY_S;
}

static const char *ca_of(const struct credentials *c)
{
	return c->access->ca_pem != NULL ? c->access->ca_pem : c->ca.text;
}

static enum credentials_state run_program(struct credentials *c, uint64_t now_ns)
{
	if (c->plugin != NULL)
		return CREDENTIALS_PENDING;
	// An answer that expires at once, or a failure, is not asked for at every request.
	if (c->began_ns != 0 && now_ns - c->began_ns < RUN_AGAIN_NS)
		return c->has_answer ? CREDENTIALS_READY : CREDENTIALS_FAILED;

	c->began_ns = now_ns;
	forget_answer(c);
	int r = exec_plugin_start(c->loop, c->access, ca_of(c), take_answer, c, &c->plugin, c->why);
	return r < 0 ? CREDENTIALS_FAILED : CREDENTIALS_PENDING;
}

// All together

int credentials_create(struct loop *loop, const struct api_access *access,
	void (*changed)(void *argument), void *argument, struct credentials **ret_credentials)
{
	struct credentials *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;

	*c = (struct credentials){
		.loop = loop,
		.access = access,
		.changed = changed,
		.argument = argument,
		.generation = 1,
		.token = {.path = access->token_file, .what = "the token"},
		.ca = {.path = access->ca_pem == NULL ? access->ca_file : NULL,
			.what = "the certificate authority"},
		.certificate = {.path = access->certificate_pem == NULL ? access->certificate_file
									: NULL,
			.what = "the client certificate"},
		.key = {.path = access->key_pem == NULL ? access->key_file : NULL,
			.what = "the client key"},
	};
	*ret_credentials = c;
	return 0;
}

void credentials_destroy(struct credentials *credentials)
{
	struct credentials *c = credentials;

	if (c == NULL)
		return;
	exec_plugin_stop(c->plugin);
	forget_answer(c);
	free(c->token.text);
	free(c->ca.text);
	free(c->certificate.text);
	free(c->key.text);
	free(c);
}

static const char *first_of(const char *a, const char *b, const char *c)
{
	return a != NULL ? a : b != NULL ? b : c;
}

enum credentials_state credentials_look(struct credentials *credentials, uint64_t now_ns,
	struct credential *ret_credential, char ret_why[CREDENTIALS_WHY_MAX])
{
	struct credentials *c = credentials;
	enum credentials_state state = CREDENTIALS_READY;

	read_files(c, now_ns);
	if (lacks(&c->token, ret_why) || lacks(&c->ca, ret_why) ||
		lacks(&c->certificate, ret_why) || lacks(&c->key, ret_why))
		return CREDENTIALS_FAILED;
	if (uses_program(c) && (!c->has_answer || has_expired(c)))
		state = run_program(c, now_ns);
	if (state == CREDENTIALS_FAILED)
		snprintf(ret_why, CREDENTIALS_WHY_MAX, "%s", c->why);
	if (state != CREDENTIALS_READY)
		return state;
	*ret_credential = (struct credential){
		.token = first_of(c->token.text, c->access->token, c->exec_token),
		.ca_pem = ca_of(c),
		.certificate_pem = first_of(
			c->exec_certificate, c->access->certificate_pem, c->certificate.text),
		.key_pem = first_of(c->exec_key, c->access->key_pem, c->key.text),
		.generation = c->generation,
	};
	return CREDENTIALS_READY;
}

bool credentials_refused(struct credentials *credentials, uint64_t generation, uint64_t now_ns)
{
	struct credentials *c = credentials;

	if (generation != c->generation)
		return true;
	if (c->token.path != NULL && read_token(&c->token, now_ns))
		c->generation++;
	if (c->certificate.path != NULL && read_file(&c->certificate, now_ns))
		c->generation++;
	if (c->key.path != NULL && read_file(&c->key, now_ns))
		c->generation++;
	if (generation != c->generation)
		return true;
	if (!uses_program(c) || now_ns - c->began_ns < RUN_AGAIN_NS)
		return c->plugin != NULL;
	forget_answer(c);
	return true;
}
