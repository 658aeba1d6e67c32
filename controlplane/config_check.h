#pragma once

#include "config_values.h"

// Brings together what the file says in different places, and names what does not fit together.
// Settings that were no good by themselves are passed over.
void config_check(struct reading *reading, const config_setting_t *root);

// The same of the pools of 'kubernetes', which have none of the addresses that the rest names. In
// config_kubernetes.c.
void config_check_pools(struct reading *reading, const config_setting_t *root);

// The same of the times of 'kubernetes.instances'.
void config_check_instances(struct reading *reading, const config_setting_t *root);
