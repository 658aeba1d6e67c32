#pragma once

#include "config_values.h"

// Brings together what the file says in different places, and names what does not fit together.
// Settings that were no good by themselves are passed over.
void config_check(struct reading *reading, const config_setting_t *root);
