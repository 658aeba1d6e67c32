#include "limiter.h"

// The generic cell rate algorithm (ITU-T I.371, annex A, "virtual scheduling"): a token bucket in
// one word, which is when the bucket would be full of debt no more.

enum { NSEC_PER_SEC = 1000000000, AT_ONCE_NS = NSEC_PER_SEC / 10 };

bool limiter_allows(struct limiter *limiter, uint32_t rate, uint64_t now_ns)
{
	if (rate == 0)
		return false;

	uint64_t earliest_ns = now_ns > AT_ONCE_NS ? now_ns - AT_ONCE_NS : 0;
	if (limiter->free_at_ns < earliest_ns)
		limiter->free_at_ns = earliest_ns;
	if (limiter->free_at_ns > now_ns)
		return false;

	limiter->free_at_ns += NSEC_PER_SEC / rate;
	return true;
}
