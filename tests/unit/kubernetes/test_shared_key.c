#include "documents.h"

#include "clock.h"
#include "kubernetes/json_read.h"
#include "kubernetes/shared_key.h"

#define NOW_NS (1000 * NSEC_PER_SEC)
#define LATER_NS (NOW_NS + 3 * NSEC_PER_SEC)

static const uint64_t ours[2] = {0x0011223344556677, 0x8899aabbccddeeff};
static const uint64_t theirs[2] = {0xffeeddccbbaa9988, 0x7766554433221100};

// Of 'theirs', as an API server has it: in base64.
#define SECRET(data)                                                                      \
	"{'metadata': {'name': 'guideway-hash-key', 'namespace': 'guideway'}, 'data': {'" \
	"hash-key': '" data "'}}"
#define OURS "MDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJiY2NkZGVlZmY="
#define THEIRS "ZmZlZWRkY2NiYmFhOTk4ODc3NjY1NTQ0MzMyMjExMDA="

static struct shared_key *make(bool is_new)
{
	struct shared_key *shared = shared_key_create("guideway", ours, is_new);

	assert_non_null(shared);
	return shared;
}

// "GET /api/..." of what is asked, or "".
static const char *asked(struct shared_key *shared, bool leads, uint64_t now_ns)
{
	static char text[512];
	struct api_ask ask;

	text[0] = '\0';
	if (!shared_key_next(shared, leads, now_ns, &ask))
		return text;
	snprintf(text, sizeof(text), "%s %s %s", ask.method, ask.path,
		json_text_at(ask.body, "stringData." SHARED_KEY_MEMBER));
	json_decref(ask.body);
	return text;
}

static void answer(struct shared_key *shared, unsigned status, const char *text)
{
	json_t *json = text == NULL ? NULL : document(text);

	shared_key_answered(shared, status, json, NOW_NS);
	json_decref(json);
}

static void tell(struct shared_key *shared, bool is_gone, const char *text)
{
	json_t *json = document(text);

	shared_key_tell(shared, is_gone, json);
	json_decref(json);
}

static void list(struct shared_key *shared, const char *text)
{
	shared_key_begin(shared);
	if (text != NULL)
		tell(shared, false, text);
	shared_key_end(shared);
}

#define GET "GET /api/v1/namespaces/guideway/secrets/guideway-hash-key "
#define POST "POST /api/v1/namespaces/guideway/secrets 00112233445566778899aabbccddeeff"

static void who_has_no_key_takes_that_of_the_secret(void **)
{
	struct shared_key *shared = make(true);
	uint64_t key[2];

	assert_false(shared_key_read(shared, key));
	assert_string_equal(asked(shared, false, NOW_NS), GET);
	assert_string_equal(asked(shared, false, NOW_NS), "");
	answer(shared, 200, SECRET(THEIRS));
	assert_true(shared_key_read(shared, key));
	assert_memory_equal(key, theirs, sizeof(key));
	assert_int_equal(shared_key_state(shared), SHARED_KEY_SAME);
	assert_string_equal(asked(shared, false, LATER_NS), "");
	shared_key_destroy(shared);
}

static void who_has_no_key_and_finds_no_secret_makes_it(void **)
{
	struct shared_key *shared = make(true);
	uint64_t key[2];

	assert_string_equal(asked(shared, false, NOW_NS), GET);
	answer(shared, 404, NULL);
	assert_string_equal(asked(shared, false, NOW_NS), POST);
	assert_false(shared_key_read(shared, key));
	answer(shared, 201, SECRET(OURS));
	assert_true(shared_key_read(shared, key));
	assert_memory_equal(key, ours, sizeof(key));
	shared_key_destroy(shared);
}

static void of_two_that_make_it_the_slower_takes_what_is_there(void **)
{
	struct shared_key *shared = make(true);
	uint64_t key[2];

	asked(shared, false, NOW_NS);
	answer(shared, 404, NULL);
	assert_string_equal(asked(shared, false, NOW_NS), POST);
	answer(shared, 409, NULL);
	assert_false(shared_key_read(shared, key));
	assert_string_equal(asked(shared, false, NOW_NS), GET);
	answer(shared, 200, SECRET(THEIRS));
	assert_true(shared_key_read(shared, key));
	assert_memory_equal(key, theirs, sizeof(key));
	shared_key_destroy(shared);
}

static void what_cannot_be_read_is_asked_for_again(void **)
{
	struct shared_key *shared = make(true);
	uint64_t key[2];

	asked(shared, false, NOW_NS);
	answer(shared, 0, NULL);
	assert_string_equal(asked(shared, false, NOW_NS), "");
	assert_string_equal(asked(shared, false, LATER_NS), GET);
	answer(shared, 200, SECRET("bm8ga2V5"));
	assert_int_equal(shared_key_state(shared), SHARED_KEY_BAD);
	assert_false(shared_key_read(shared, key));
	assert_string_equal(asked(shared, false, NOW_NS), "");
	assert_string_equal(asked(shared, false, LATER_NS), GET);
	shared_key_destroy(shared);
}

static void a_secret_that_is_deleted_is_made_anew_by_the_leader_alone(void **)
{
	struct shared_key *shared = make(false);

	list(shared, SECRET(OURS));
	assert_int_equal(shared_key_state(shared), SHARED_KEY_SAME);
	assert_string_equal(asked(shared, true, NOW_NS), "");
	tell(shared, true, SECRET(OURS));
	assert_int_equal(shared_key_state(shared), SHARED_KEY_MISSING);
	assert_string_equal(asked(shared, false, NOW_NS), "");
	assert_string_equal(asked(shared, true, NOW_NS), POST);
	answer(shared, 201, SECRET(OURS));
	assert_int_equal(shared_key_state(shared), SHARED_KEY_SAME);
	shared_key_destroy(shared);
}

static void one_that_was_deleted_unseen_is_missed_in_the_list(void **)
{
	struct shared_key *shared = make(false);

	assert_string_equal(asked(shared, true, NOW_NS), "");
	list(shared, SECRET(OURS));
	list(shared, NULL);
	assert_string_equal(asked(shared, true, NOW_NS), POST);
	answer(shared, 500, NULL);
	assert_string_equal(asked(shared, true, NOW_NS), "");
	assert_string_equal(asked(shared, true, LATER_NS), POST);
	shared_key_destroy(shared);
}

static void who_has_a_key_keeps_to_it(void **)
{
	struct shared_key *shared = make(false);
	uint64_t key[2];

	list(shared, SECRET(THEIRS));
	assert_int_equal(shared_key_state(shared), SHARED_KEY_ANOTHER);
	assert_true(shared_key_read(shared, key));
	assert_memory_equal(key, ours, sizeof(key));
	shared_key_read_theirs(shared, key);
	assert_memory_equal(key, theirs, sizeof(key));
	assert_string_equal(asked(shared, true, NOW_NS), "");
	tell(shared, false, SECRET(OURS));
	assert_int_equal(shared_key_state(shared), SHARED_KEY_SAME);
	shared_key_destroy(shared);
}

static void a_secret_that_has_no_key_is_left_alone(void **)
{
	// Nothing; 31 digits; no base64; 33 digits; a letter that is no digit.
	static const char *const bad[] = {SECRET(""),
		SECRET("MDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJiY2NkZGVlZg=="), SECRET("!"),
		SECRET("MDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJiY2NkZGVlZmYw"),
		SECRET("MDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJiY2NkZGVlZmc=")};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct shared_key *shared = make(false);

		list(shared, bad[i]);
		assert_int_equal(shared_key_state(shared), SHARED_KEY_BAD);
		assert_string_equal(asked(shared, true, NOW_NS), "");
		shared_key_destroy(shared);
	}
}

static void other_secrets_are_passed_over(void **)
{
	struct shared_key *shared = make(false);

	list(shared, SECRET(OURS));
	tell(shared, true, "{'metadata': {'name': 'other'}}");
	assert_int_equal(shared_key_state(shared), SHARED_KEY_SAME);
	shared_key_destroy(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_no_key_takes_that_of_the_secret),
		cmocka_unit_test(who_has_no_key_and_finds_no_secret_makes_it),
		cmocka_unit_test(of_two_that_make_it_the_slower_takes_what_is_there),
		cmocka_unit_test(what_cannot_be_read_is_asked_for_again),
		cmocka_unit_test(a_secret_that_is_deleted_is_made_anew_by_the_leader_alone),
		cmocka_unit_test(one_that_was_deleted_unseen_is_missed_in_the_list),
		cmocka_unit_test(who_has_a_key_keeps_to_it),
		cmocka_unit_test(a_secret_that_has_no_key_is_left_alone),
		cmocka_unit_test(other_secrets_are_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
