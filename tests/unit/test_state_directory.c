#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state_directory.h"

struct place {
	char root[64];
	char path[128]; // Two folders below 'root', neither there yet.
	struct state_directory *directory;
	char why[WHY_MAX];
};

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->root, "/tmp/guideway-state-XXXXXX");
	if (mkdtemp(p->root) == NULL)
		return -1;
	snprintf(p->path, sizeof(p->path), "%s/a/b", p->root);
	*state = p;
	return state_directory_open(p->path, &p->directory, p->why);
}

static int unmake_place(void **state)
{
	struct place *p = *state;
	char command[128];

	state_directory_close(p->directory);
	snprintf(command, sizeof(command), "rm -r %s", p->root);
	free(p);
	return system(command);
}

static void a_second_process_is_refused_until_the_first_is_gone(void **state)
{
	struct place *p = *state;
	struct state_directory *second = NULL;

	assert_int_equal(state_directory_open(p->path, &second, p->why), -EBUSY);
	assert_non_null(strstr(p->why, p->path));
	assert_null(second);

	state_directory_close(p->directory);
	p->directory = NULL;
	assert_int_equal(state_directory_open(p->path, &second, p->why), 0);
	state_directory_close(second);
}

static void a_file_is_read_as_it_was_written_last_and_is_ours_alone(void **state)
{
	struct place *p = *state;
	char path[256];
	struct stat stat_of;
	char *text;
	size_t len;

	assert_int_equal(state_directory_read(p->directory, "drained", &text, &len), -ENOENT);
	assert_int_equal(state_directory_write(p->directory, "drained", "first one", 9), 0);
	assert_int_equal(state_directory_write(p->directory, "drained", "n\0m", 3), 0);
	assert_int_equal(state_directory_read(p->directory, "drained", &text, &len), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(text, "n\0m", 4);
	free(text);

	snprintf(path, sizeof(path), "%s/drained", p->path);
	assert_int_equal(stat(path, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 0777, 0600);
	assert_int_equal(state_directory_remove(p->directory, "drained"), 0);
	assert_int_equal(state_directory_remove(p->directory, "drained"), 0);
	assert_int_equal(state_directory_read(p->directory, "drained", &text, &len), -ENOENT);
}

static void a_file_too_large_is_refused(void **state)
{
	struct place *p = *state;
	char path[160];
	char *text;
	size_t len;

	snprintf(path, sizeof(path), "%s/large", p->path);
	assert_int_equal(state_directory_write(p->directory, "large", "", 0), 0);
	assert_int_equal(truncate(path, (64 << 20) + 1), 0);
	assert_int_equal(state_directory_read(p->directory, "large", &text, &len), -EFBIG);
}

static void the_hash_key_is_random_and_stays(void **state)
{
	struct place *p = *state;
	uint64_t first[2] = {0};
	uint64_t again[2] = {0};
	uint64_t other[2] = {0};

	assert_int_equal(state_directory_hash_key(p->directory, first), 0);
	assert_int_equal(state_directory_hash_key(p->directory, again), 0);
	assert_memory_equal(first, again, sizeof(first));

	assert_int_equal(state_directory_remove(p->directory, "hash-key"), 0);
	assert_int_equal(state_directory_hash_key(p->directory, other), 0);
	assert_memory_not_equal(first, other, sizeof(first));

	assert_int_equal(state_directory_write(p->directory, "hash-key", "short", 5), 0);
	assert_int_equal(state_directory_hash_key(p->directory, other), -EINVAL);
}

static void the_id_of_an_instance_is_random_and_stays(void **state)
{
	struct place *p = *state;
	uint32_t first, again, other;

	assert_int_equal(state_directory_instance_id(p->directory, &first), 0);
	assert_int_equal(state_directory_instance_id(p->directory, &again), 0);
	assert_int_equal(first, again);
	assert_int_equal(state_directory_remove(p->directory, "instance-id"), 0);
	assert_int_equal(state_directory_instance_id(p->directory, &other), 0);
	assert_int_not_equal(first, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_second_process_is_refused_until_the_first_is_gone,
			make_place, unmake_place),
		cmocka_unit_test_setup_teardown(
			a_file_is_read_as_it_was_written_last_and_is_ours_alone, make_place,
			unmake_place),
		cmocka_unit_test_setup_teardown(
			a_file_too_large_is_refused, make_place, unmake_place),
		cmocka_unit_test_setup_teardown(
			the_hash_key_is_random_and_stays, make_place, unmake_place),
		cmocka_unit_test_setup_teardown(
			the_id_of_an_instance_is_random_and_stays, make_place, unmake_place),
	};
	return cmocka_run_group_tests_name("state_directory", tests, NULL, NULL);
}
