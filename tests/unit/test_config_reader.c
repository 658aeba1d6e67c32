#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "config_reader.h"

struct place {
	char path[64];
	struct loop *loop;
	struct config_reader *reader;
	struct loop_timer patience;
	size_t n_configs;
	size_t n_mistakes; // Of the last reading.
	uint32_t drain_s;  // Likewise.
};

static void take(void *argument, struct config *config, struct text_lines *mistakes)
{
	struct place *p = argument;

	p->n_configs++;
	p->n_mistakes = mistakes->n;
	p->drain_s = config != NULL ? config->drain_s : 0;
	config_free(config);
	text_lines_clear(mistakes);
	loop_stop(p->loop);
}

static void stop(void *argument, uint64_t)
{
	loop_stop(argument);
}

static void run_for(struct place *p, uint64_t ms)
{
	loop_timer_set(p->loop, &p->patience, loop_clock_ns() + ms * NSEC_PER_MSEC);
	assert_int_equal(loop_run(p->loop), 0);
}

static void write_file(const struct place *p, unsigned drain_s)
{
	FILE *file = fopen(p->path, "w");

	fprintf(file,
		"ports = ( { device = \"net_null0\"; } ); workers = { cpus = [ 1 ]; };\n"
		"snat = [ \"192.0.2.10\" ]; nodes = ( { name = \"a\"; address = \"10.0.0.1\"; } "
		");\n"
		"services = ( { name = \"web\"; vip = \"192.0.2.80\"; port = 80;\n"
		"node_port = 30080; } ); timeouts = { drain = %u; };\n",
		drain_s);
	fclose(file);
}

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	*state = p;
	strcpy(p->path, "/tmp/guideway-config-XXXXXX");
	close(mkstemp(p->path));
	if (loop_create(&p->loop) < 0)
		return -1;
	p->patience = (struct loop_timer){.name = "patience", .fn = stop, .argument = p->loop};
	return config_reader_create(p->loop, p->path, take, p, &p->reader);
}

static int unmake_place(void **state)
{
	struct place *p = *state;

	config_reader_destroy(p->reader);
	loop_destroy(p->loop);
	unlink(p->path);
	free(p);
	return 0;
}

static void a_file_is_read_beside_the_loop(void **state)
{
	struct place *p = *state;

	write_file(p, 7);
	assert_int_equal(config_reader_ask(p->reader), 0);
	assert_int_equal(p->n_configs, 0);
	run_for(p, 5000);
	assert_int_equal(p->n_configs, 1);
	assert_int_equal(p->drain_s, 7);
}

static void a_file_with_mistakes_comes_as_its_mistakes(void **state)
{
	struct place *p = *state;
	FILE *file = fopen(p->path, "w");

	fprintf(file, "nothing = 1;\n");
	fclose(file);
	assert_int_equal(config_reader_ask(p->reader), 0);
	run_for(p, 5000);
	assert_int_equal(p->n_configs, 1);
	assert_true(p->n_mistakes > 0);
	assert_int_equal(p->drain_s, 0);
}

static void asked_while_it_reads_it_reads_again_and_comes_once(void **state)
{
	struct place *p = *state;

	write_file(p, 7);
	assert_int_equal(config_reader_ask(p->reader), 0);
	usleep(100000); // Long read: but the loop did not hear of it yet.
	write_file(p, 8);
	assert_int_equal(config_reader_ask(p->reader), 0);
	assert_int_equal(config_reader_ask(p->reader), 0);
	run_for(p, 5000);
	assert_int_equal(p->drain_s, 8);
	run_for(p, 200);
	assert_int_equal(p->n_configs, 1);
}

static void destroyed_while_it_reads_it_leaves_nothing(void **state)
{
	struct place *p = *state;

	write_file(p, 7);
	assert_int_equal(config_reader_ask(p->reader), 0);
	config_reader_destroy(p->reader);
	p->reader = NULL;
	run_for(p, 50);
	assert_int_equal(p->n_configs, 0);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, unmake_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(a_file_is_read_beside_the_loop),
		IN_PLACE(a_file_with_mistakes_comes_as_its_mistakes),
		IN_PLACE(asked_while_it_reads_it_reads_again_and_comes_once),
		IN_PLACE(destroyed_while_it_reads_it_leaves_nothing),
	};

	return cmocka_run_group_tests_name("config_reader", tests, NULL, NULL);
}
