#include "documents.h"

#include "clock.h"
#include "kubernetes/availability.h"

// Plans whose pools have nodes that are up, or none, and what is told of their services.

#define SECONDS NSEC_PER_SEC

enum { WELL, EMPTY, UNKNOWN, N_POOLS };

struct place {
	struct availability *availability;
	struct pool pools[N_POOLS];
	struct service_config services[4];
	struct service_config *list[4];
	struct config config;
	size_t pool_of[4];
	struct plan plan;
	char told[256];
};

// The file's one, two of default/web, and one of default/mail.
static int make_place(void **state)
{
	static const char *const names[] = {"default/file:80/tcp", "default/web:80/tcp",
		"default/web:80/tcp6", "default/mail:25/tcp"};
	struct place *p = calloc(1, sizeof(*p));

	for (size_t i = 0; i < 4; i++) {
		strcpy(p->services[i].name, names[i]);
		p->list[i] = &p->services[i];
	}
	p->pools[WELL] = (struct pool){.settled = true, .n_in = {[TARGET_UP] = 1}};
	p->pools[EMPTY] = (struct pool){.settled = true, .n_in = {[TARGET_DOWN] = 3}};
	p->pools[UNKNOWN] = (struct pool){.settled = false};
	p->config = (struct config){.services = p->list, .n_services = 4};
	p->plan = (struct plan){
		.config = &p->config, .pools = p->pools, .n_pools = N_POOLS, .pool_of = p->pool_of};
	p->availability = availability_create();
	*state = p;
	return 0;
}

static int unmake_place(void **state)
{
	struct place *p = *state;

	availability_destroy(p->availability);
	free(p);
	return 0;
}

static void take(void *argument, const char *key, bool is_available)
{
	struct place *p = argument;

	sprintf(p->told + strlen(p->told), "%s%c ", key, is_available ? '+' : '-');
}

static void assert_told(struct place *p, uint64_t at_s, const char *want)
{
	p->told[0] = '\0';
	assert_int_equal(
		availability_look(p->availability, &p->plan, 1, (1000 + at_s) * SECONDS, take, p),
		0);
	assert_string_equal(p->told, want);
}

static void put_all(struct place *p, size_t pool)
{
	for (size_t i = 0; i < 4; i++)
		p->pool_of[i] = pool;
}

static void who_has_no_node_for_a_while_is_told_of_and_so_is_its_end(void **state)
{
	struct place *p = *state;

	put_all(p, EMPTY);
	assert_told(p, 0, "");
	assert_told(p, 2, "");
	assert_told(p, 3, "default/mail- default/web- ");
	assert_told(p, 4, "");
	p->pool_of[3] = WELL;
	assert_told(p, 5, "default/mail+ ");
	put_all(p, WELL);
	assert_told(p, 6, "default/web+ ");
	assert_told(p, 7, "");
}

static void a_moment_without_nodes_is_no_news(void **state)
{
	struct place *p = *state;

	put_all(p, EMPTY);
	assert_told(p, 0, "");
	put_all(p, WELL);
	assert_told(p, 2, "");
	put_all(p, EMPTY);
	assert_told(p, 4, "");
}

static void a_service_with_nodes_at_one_of_its_addresses_is_available(void **state)
{
	struct place *p = *state;

	put_all(p, EMPTY);
	p->pool_of[2] = WELL;
	assert_told(p, 0, "");
	assert_told(p, 9, "default/mail- ");
}

static void before_the_first_checks_nobody_knows(void **state)
{
	struct place *p = *state;

	put_all(p, UNKNOWN);
	assert_told(p, 0, "");
	assert_told(p, 9, "");
}

#define AT_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, unmake_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AT_PLACE(who_has_no_node_for_a_while_is_told_of_and_so_is_its_end),
		AT_PLACE(a_moment_without_nodes_is_no_news),
		AT_PLACE(a_service_with_nodes_at_one_of_its_addresses_is_available),
		AT_PLACE(before_the_first_checks_nobody_knows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
