// Any text is either a configuration or has mistakes, and each is a line that names the file.

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
const char *__lsan_default_suppressions(void);

// libconfig 1.5 loses a few bytes when it meets a text that is none of its own.
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct text_lines mistakes = {0};
	struct config *config = NULL;
	int r = config_parse_text((const char *)bytes, len, "fuzz", &config, &mistakes);

	assert((r == 0) == (config != NULL) && (r == 0) == (mistakes.n == 0));
	for (size_t i = 0; i < mistakes.n; i++)
		assert(strncmp(mistakes.lines[i], "fuzz:", 5) == 0);
	text_lines_clear(&mistakes);
	config_free(config);
	return 0;
}
