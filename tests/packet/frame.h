#pragma once

#include <stddef.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_tcp.h>

// Frames as tests write them down: layer by layer, with lengths and checksums worked out in full.
//
//     FRAME(IP("198.51.100.7", "10.0.0.1"), TCP(31337, 80, SYN))

enum { FRAME_BYTES_MAX = 9216, FRAME_LAYERS_MAX = 8, SNAT_PORT = 0 };

#define SYN RTE_TCP_SYN_FLAG
#define ACK RTE_TCP_ACK_FLAG
#define FIN RTE_TCP_FIN_FLAG
#define RST RTE_TCP_RST_FLAG

enum layer_kind { LAYER_NONE, LAYER_IP, LAYER_TCP, LAYER_UDP, LAYER_ICMP, LAYER_DATA, LAYER_ARP };

struct layer {
	enum layer_kind kind;
	const char *source;
	const char *destination;
	uint16_t ports[2]; // SNAT_PORT is the one that we chose.
	uint8_t flags;
	uint8_t hop_limit; // 0 for 64.
	uint32_t seq;
	uint32_t ack;
	uint8_t type;
	uint8_t code;
	uint32_t rest; // Of an ICMP header.
	size_t len;    // Of data.
};

struct frame {
	struct layer layers[FRAME_LAYERS_MAX];
};

#define FRAME(...)                  \
	{                           \
		{                   \
			__VA_ARGS__ \
		}                   \
	}
#define IP(s, d, ...)                                                              \
	{                                                                          \
		.kind = LAYER_IP, .source = (s), .destination = (d), ##__VA_ARGS__ \
	}
#define TCP(s, d, f, ...)                                                           \
	{                                                                           \
		.kind = LAYER_TCP, .ports = {(s), (d)}, .flags = (f), ##__VA_ARGS__ \
	}
#define UDP(s, d)                                       \
	{                                               \
		.kind = LAYER_UDP, .ports = {(s), (d) } \
	}
#define ICMP(t, c, ...)                                                     \
	{                                                                   \
		.kind = LAYER_ICMP, .type = (t), .code = (c), ##__VA_ARGS__ \
	}
#define DATA(n)                                \
	{                                      \
		.kind = LAYER_DATA, .len = (n) \
	}
#define ARP(op, s, d)                                                              \
	{                                                                          \
		.kind = LAYER_ARP, .type = (op), .source = (s), .destination = (d) \
	}

// Writes the frame with 'vlan', if not 0, and 'snat_port' (host byte order) where the layers say
// SNAT_PORT. Returns its length.
size_t frame_write(const struct frame *frame, const struct rte_ether_addr *from,
	const struct rte_ether_addr *to, uint16_t vlan, uint16_t snat_port,
	uint8_t ret_bytes[FRAME_BYTES_MAX]);

// Makes of a frame to a node what the node answers: both ends change places, and TCP acknowledges.
// Sums stay right, but for that flag.
void frame_turn_round(uint8_t *bytes);
