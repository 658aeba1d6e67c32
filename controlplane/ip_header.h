#pragma once

#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"

// What packets of the control plane's own making have alike.

enum { IP_HEADER_MAX = 40 };

// Of a packet with 'l4_len' bytes of 'protocol' behind it, which is not to be fragmented; of the
// addresses' family, without options. Returns its length.
size_t ip_header_write(const struct address *source, const struct address *destination,
	uint8_t protocol, size_t l4_len, uint8_t ret_header[IP_HEADER_MAX]);

// The checksum, in network order, of what is behind such a header: 'len' bytes, an even number, in
// which it is 0 so far.
uint16_t ip_header_l4_checksum(const struct address *source, const struct address *destination,
	uint8_t protocol, const void *l4, size_t len);
