#pragma once

#include <stddef.h>

// The packets that a command line names.

// The 'number'th packet, from 1 on, that 'word' says, in hexadecimal digits: the word itself; or of
// "@FILE", "@-" being stdin, a pcapng file, the JSON of a capture, or digits. White space and
// colons between digits do not count. Returns NULL, having said why, where there is none; else the
// caller's to free().
char *packet_text(const char *word, unsigned number);
