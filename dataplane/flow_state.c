#include "guideway/flow.h"

const char *flow_state_word(enum flow_state state)
{
	static const char *const words[N_FLOW_STATES] = {
		[FLOW_FREE] = "free",
		[FLOW_HALF_OPEN] = "half-open",
		[FLOW_ESTABLISHED] = "established",
		[FLOW_CLOSING] = "closing",
		[FLOW_RESTING] = "resting",
	};

	return words[state];
}
