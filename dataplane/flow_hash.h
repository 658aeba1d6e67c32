#pragma once

#include <stdint.h>
#include <string.h>

#include "guideway/address.h"
#include "guideway/index.h"

// The keyed hashes by which flows find their worker, their place in memory and their node.
//
// All start from one hash of the client's address and port. From it one branch, which knows the
// flow by its service_id, serves this machine alone: flow_hash(), whose bits 0-31 choose the
// bucket, 32-47 are the tag in it, and 48-63 choose the worker, so that the flows of one worker
// still spread over all of its buckets. The other branch, flow_hash_slot(), knows the service by
// its salt and so says the same on every Guideway that has the same key, and tells nothing about
// the first.
//
// Each hash passes two folded multiplications, both with a secret factor: a sender who does not
// know the key cannot choose ports that meet in one bucket or on one node.

// 'client' is an address of 'family' in network order, wherever it lies. Two 64-bit words of key.
static inline __attribute__((always_inline)) uint64_t flow_hash_client(
	const uint64_t key[2], enum family family, const void *client, __be16 client_port)
{
	if (family == IPV4) {
		uint32_t word;

		memcpy(&word, client, sizeof(word));
		return fold_multiply(
			((uint64_t)word << 16 | client_port) ^ key[0], key[1] ^ 0xe7037ed1a0b428db);
	}

	uint64_t halves[2];

	memcpy(halves, client, sizeof(halves));
	return fold_multiply(
		fold_multiply(halves[0] ^ key[0], halves[1] ^ key[1]) ^ client_port ^ key[0],
		key[1] ^ 0xe7037ed1a0b428db);
}

// Of a flow on this machine.
static inline __attribute__((always_inline)) uint64_t flow_hash(const uint64_t key[2],
	enum family family, const void *client, __be16 client_port, uint32_t service_id)
{
	return fold_multiply(flow_hash_client(key, family, client, client_port) ^ service_id,
		key[0] ^ 0x8ebc6af09c88c6e3);
}

// Which of 'n_workers' owns the flow, where no NIC decides it. Takes flow_hash().
static inline unsigned flow_hash_worker(uint64_t hash, unsigned n_workers)
{
	return (unsigned)((hash >> 48) * n_workers >> 16);
}

// Which slot of its service's ring a flow falls on.
static inline uint32_t flow_hash_slot(const uint64_t key[2], enum family family, const void *client,
	__be16 client_port, uint64_t salt, uint32_t ring_size)
{
	uint64_t hash = fold_multiply(flow_hash_client(key, family, client, client_port) ^ salt,
		key[0] ^ 0x589965cc75374cc3);

	return (uint32_t)((hash >> 32) * ring_size >> 32);
}

// Of union return_key.
static inline uint64_t flow_hash_back(const uint64_t key[2], uint64_t return_key)
{
	return fold_multiply(fold_multiply(return_key ^ key[0], key[1] ^ 0x1d8e4e27c47d124f),
		0xa0761d6478bd642f);
}
