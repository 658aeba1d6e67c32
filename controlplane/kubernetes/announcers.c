#include "announcers.h"

#include <string.h>

#include "guideway/index.h"
#include "name.h"

static uint64_t score(uint64_t name_hash, const struct address *vip)
{
	return mix(name_hash ^ index_hash_address(vip));
}

bool announcers_own(const struct announcers *announcers, const struct address *vip)
{
	uint64_t own = score(announcers->own, vip);
	bool is_one = false;

	if (announcers->all || !announcers->known)
		return announcers->all;
	for (size_t i = 0; i < announcers->n; i++) {
		if (score(announcers->hashes[i], vip) > own)
			return false;
		is_one |= announcers->hashes[i] == announcers->own;
	}
	return is_one;
}

bool announcers_equal(const struct announcers *a, const struct announcers *b)
{
	return a->all == b->all && a->known == b->known && a->n == b->n && a->own == b->own &&
		memcmp(a->hashes, b->hashes, a->n * sizeof(a->hashes[0])) == 0;
}
