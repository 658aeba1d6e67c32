// Any text is either a kubeconfig with a server or has mistakes, and each is a line that names the
// file. What ends in a header has no control characters.

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kubernetes/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_line(const char *text)
{
	for (; text != NULL && *text != '\0'; text++)
		assert((unsigned char)*text >= ' ' && *text != 127);
}

static void check(const struct api_access *access)
{
	assert(access->n_servers == 1 && is_server_url(access->servers[0]));
	check_line(access->servers[0]);
	check_line(access->token);
	check_line(access->as);
	check_line(access->as_uid);
	for (size_t i = 0; i < access->n_as_groups; i++)
		check_line(access->as_groups[i]);
	for (size_t i = 0; i < access->n_as_extra; i++) {
		check_line(access->as_extra[i].name);
		check_line(access->as_extra[i].value);
	}
	assert((access->certificate_pem != NULL || access->certificate_file != NULL) ==
		(access->key_pem != NULL || access->key_file != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct text_lines mistakes = {0};
	struct api_access access = {0};
	int r = kubeconfig_parse_text((const char *)bytes, len, "fuzz/k", &access, &mistakes);

	assert((r == 0) == (mistakes.n == 0));
	for (size_t i = 0; i < mistakes.n; i++)
		assert(strncmp(mistakes.lines[i], "fuzz/k:", 7) == 0);
	if (r == 0)
		check(&access);
	text_lines_clear(&mistakes);
	api_access_clear(&access);
	return 0;
}
