#pragma once

// A rule that drops all that arrives on an interface before the kernel's own stack sees it. It
// lasts no longer than this process: after a kill the kernel removes it by itself.

struct drop_rule;

// Returns 0 or -errno.
int drop_rule_put(const char *interface, struct drop_rule **ret_rule);

// Accepts NULL.
void drop_rule_remove(struct drop_rule *rule);
