#include "protocol.h"

#include <netinet/in.h>
#include <strings.h>

const char *protocol_word(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_SCTP:
		return "sctp";
	default:
		return "none";
	}
}

uint8_t protocol_of_word(const char *word)
{
	if (strcasecmp(word, "tcp") == 0)
		return IPPROTO_TCP;
	if (strcasecmp(word, "sctp") == 0)
		return IPPROTO_SCTP;
	return strcasecmp(word, "udp") == 0 ? IPPROTO_UDP : 0;
}
