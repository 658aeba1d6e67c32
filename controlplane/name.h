#pragma once

#include <stdint.h>

// Names tell services and nodes apart: across tables, restarts and machines.

enum { NAME_MAX_LEN = 253, NAME_TEXT_MAX = NAME_MAX_LEN + 1 };

// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): every bit of 'x' reaches every
// bit of the result.
static inline uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

// FNV-1a (Fowler, Noll and Vo; draft-eastlake-fnv) of what stands before 'end', finished by mix().
// The same on every machine, and never to be changed: Guideways behind ECMP agree on rings by it.
static inline uint64_t name_hash_until(const char *name, char end)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *name != '\0' && *name != end; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3;
	return mix(hash);
}

static inline uint64_t name_hash(const char *name)
{
	return name_hash_until(name, '\0');
}
