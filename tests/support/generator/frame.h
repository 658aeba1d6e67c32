#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Frames as clients and nodes send them, whole but for their checksum of Ethernet.

enum {
	FRAME_MAX = 1514,
	FRAME_TAG_LEN = 6, // The last bytes of each frame: whatever comes before them on its way.
};

// What all frames of a kind have in common.
struct frame_kind {
	bool ipv6;
	uint8_t protocol;  // IPPROTO_TCP or IPPROTO_UDP.
	uint8_t tcp_flags; // Of TCP.
	uint16_t len;      // Even, frame_least() to FRAME_MAX.
	uint8_t source_mac[6], destination_mac[6];
	uint8_t source[16], destination[16]; // Of IPv4 the first four bytes count.
};

// What tells them apart: the last 32 bits of each address, and the ports, all in host byte order.
struct frame_ends {
	uint32_t source, destination;
	uint16_t source_port, destination_port;
};

// A frame of a kind with ends and tag of 0, and the sums over it.
struct frame {
	uint16_t len;
	uint8_t addresses_at[2]; // Where the last 32 bits of source and destination are.
	uint8_t ports_at;
	uint8_t checksum_at;
	bool ipv6;
	bool is_udp;
	uint32_t sum;    // Of what the checksum of layer 4 covers.
	uint32_t ip_sum; // Of the header of IPv4.
	uint8_t bytes[FRAME_MAX];
};

// The shortest frame that has room for its headers and a tag.
uint16_t frame_least(bool ipv6, uint8_t protocol);

void frame_make(const struct frame_kind *kind, struct frame *ret_frame);

// Writes 'frame->len' bytes, with these ends and this tag, and right checksums.
void frame_fill(
	const struct frame *frame, const struct frame_ends *ends, uint64_t tag, uint8_t *to);

// What was filled in, of a frame without options or outer packet. False if it is not such a frame
// of TCP or UDP.
bool frame_read(
	const uint8_t *bytes, size_t len, struct frame_ends *ret_ends, uint8_t *ret_tcp_flags);

// The first twelve bytes of its addresses of IPv6: what frame_read() does not tell.
void frame_read_prefixes(const uint8_t *bytes, uint8_t ret_source[12], uint8_t ret_destination[12]);

// The tag, whatever the frame is.
uint64_t frame_tag(const uint8_t *bytes, size_t len);

// Whether it is ICMP or ICMPv6, which may quote a frame with its tag.
bool frame_is_icmp(const uint8_t *bytes);

// Makes of a frame that frame_read() reads what its receiver answers: back to where it came from,
// the payload as it was; to a SYN a SYN-ACK, to other TCP segments an ACK of all they have. A
// checksum that was wrong stays so.
void frame_turn(uint8_t *bytes, size_t len);
