// The words for layer 4 protocols, in configurations, answers and log lines.
#pragma once

#include <stdint.h>

// Of IPPROTO_TCP, "tcp"; "none" of what is neither TCP nor UDP nor SCTP.
const char *protocol_word(uint8_t protocol);

// The reverse, in letters of either size. 0 of any other word.
uint8_t protocol_of_word(const char *word);
