#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "notify.h"

// Listens as systemd does. 'name' begins with '@' for the abstract namespace.
static int listen_at(const char *name)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memcpy(at.sun_path, name, strlen(name));
	if (name[0] == '@')
		at.sun_path[0] = '\0';
	assert_int_equal(
		bind(fd, (struct sockaddr *)&at,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
		0);
	return fd;
}

static void what_is_told_arrives_as_it_is(void **)
{
	char path[64];
	char abstract[64];
	char text[64] = "";

	snprintf(path, sizeof(path), "/tmp/guideway-notify-%d", getpid());
	snprintf(abstract, sizeof(abstract), "@guideway-notify-%d", getpid());
	const char *const names[] = {path, abstract};

	for (size_t i = 0; i < 2; i++) {
		int fd = listen_at(names[i]);

		setenv("NOTIFY_SOCKET", names[i], 1);
		assert_int_equal(notify("READY=1"), 0);
		assert_int_equal(recv(fd, text, sizeof(text), 0), 7);
		assert_memory_equal(text, "READY=1", 7);
		close(fd);
	}
	unlink(path);
}

static void nobody_asked_is_no_error_and_nobody_there_is_one(void **)
{
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	assert_int_equal(notify("READY=1"), -ENOENT);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify("READY=1"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_told_arrives_as_it_is),
		cmocka_unit_test(nobody_asked_is_no_error_and_nobody_there_is_one),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
