#pragma once

#include <stddef.h>

#include "guideway/source_set.h"
#include "source_prefix.h"

// Turns prefixes into the set that workers look sources up in: include/guideway/source_set.h.

// Takes 'prefixes' in any order; they may overlap, and bits past their lengths say nothing. A /0 of
// either family lets in everybody in both. Without one, a family of which there is no prefix is
// closed, so that no prefix at all lets nobody in. Lists that source_prefixes_reduce() makes the
// same become sets of the same bytes.
//
// 'ret_set' is for source_set_free(), or may be copied elsewhere: 'len_bytes' of it, to where a
// cache line begins. Returns 0, -EINVAL for a length that is impossible, or -ENOMEM.
int source_set_build(const struct prefix *prefixes, size_t n, struct source_set **ret_set);

// Accepts NULL.
void source_set_free(struct source_set *set);
