#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tcp_state.h"

// A conversation is text: client's packets in lower case, the node's in upper case.
//     s SYN   a ACK   f FIN and ACK   r reset   S SYN and ACK
static const struct talk {
	const char *name;
	const char *packets;
	enum flow_state want;
} talks[] = {
	{"syn", "s", FLOW_HALF_OPEN},
	{"syn again", "sss", FLOW_HALF_OPEN},
	{"syn-ack", "sS", FLOW_HALF_OPEN},
	{"handshake", "sSa", FLOW_ESTABLISHED},
	{"an ack without a syn-ack proves nothing", "saaa", FLOW_HALF_OPEN},
	{"node's ack proves nothing of the client", "sSA", FLOW_HALF_OPEN},
	{"refused", "sR", FLOW_CLOSING},
	{"given up", "sr", FLOW_CLOSING},
	{"one side has finished", "sSafA", FLOW_ESTABLISHED},
	{"the other has", "sSaFa", FLOW_ESTABLISHED},
	{"both have", "sSafF", FLOW_CLOSING},
	{"last acks do not reopen", "sSafFaA", FLOW_CLOSING},
	{"client finishes with its first ack", "sSf", FLOW_ESTABLISHED},
	{"reset by the client", "sSaAr", FLOW_CLOSING},
	{"reset by the node", "sSaAR", FLOW_CLOSING},
	{"the client goes on after its own reset", "sSara", FLOW_CLOSING},
	{"a node that goes on does not believe the client's reset", "sSarA", FLOW_ESTABLISHED},
	{"a client that goes on does not believe the node's", "sSaRa", FLOW_ESTABLISHED},
	{"a reset answered by a reset", "sSarR", FLOW_CLOSING},
	{"and both go on", "sSarRaA", FLOW_CLOSING},
	{"data in flight is reset again", "sSarArAr", FLOW_CLOSING},
	{"a forged reset of what is half open opens nothing", "srS", FLOW_HALF_OPEN},
	{"after which it opens", "srSa", FLOW_HALF_OPEN},
	{"a reset after both have finished is the end", "sSafFra", FLOW_CLOSING},
	{"and is not doubted", "sSafFrA", FLOW_CLOSING},
};

static uint8_t flags_of(char packet)
{
	switch (packet) {
	case 's':
		return RTE_TCP_SYN_FLAG;
	case 'S':
		return RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG;
	case 'f':
	case 'F':
		return RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG;
	case 'r':
	case 'R':
		return RTE_TCP_RST_FLAG;
	default:
		return RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG;
	}
}

static void a_connection_is_in_the_state_that_its_packets_tell(void **)
{
	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
		enum flow_state state = FLOW_HALF_OPEN;
		uint8_t marks = 0;

		for (const char *packet = talks[i].packets; *packet != 0; packet++) {
			enum tcp_side from = *packet < 'a' ? TCP_NODE : TCP_CLIENT;

			state = tcp_state_after(state, &marks, from, flags_of(*packet));
		}
		if (state != talks[i].want)
			fail_msg("%s: state %d, not %d", talks[i].name, state, talks[i].want);
	}
}

static void only_a_syn_alone_begins(void **)
{
	assert_true(tcp_is_syn(RTE_TCP_SYN_FLAG));
	assert_true(tcp_is_syn(RTE_TCP_SYN_FLAG | RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG));
	assert_false(tcp_is_syn(RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG));
	assert_false(tcp_is_syn(RTE_TCP_SYN_FLAG | RTE_TCP_RST_FLAG));
	assert_false(tcp_is_syn(RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG));
	assert_false(tcp_is_syn(RTE_TCP_ACK_FLAG));
	assert_false(tcp_is_syn(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_in_the_state_that_its_packets_tell),
		cmocka_unit_test(only_a_syn_alone_begins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
