#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "show.h"

// A line for each packet, as far as the headers of an ordinary one say it; -w gives the whole.

enum {
	ETHERNET_LEN = 14,
	TAG_LEN = 4,
	TYPE_VLAN = 0x8100,
	TYPE_IPV4 = 0x0800,
	TYPE_IPV6 = 0x86dd,
	FRAME_MAX = 128, // As much of it is looked at.
};

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t len;
};

static unsigned word_at(const struct frame *f, size_t at)
{
	return at + 2 <= f->len ? (unsigned)f->bytes[at] << 8 | f->bytes[at + 1] : 0;
}

static const char *name_of_protocol(uint8_t protocol)
{
	static const struct {
		uint8_t protocol;
		const char *name;
	} names[] = {{IPPROTO_TCP, "tcp"}, {IPPROTO_UDP, "udp"}, {IPPROTO_SCTP, "sctp"},
		{IPPROTO_ICMP, "icmp"}, {IPPROTO_ICMPV6, "icmp6"}, {IPPROTO_IPIP, "ipip"},
		{IPPROTO_IPV6, "ipv6"}, {IPPROTO_FRAGMENT, "fragment"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].protocol == protocol)
			return names[i].name;
	}
	return "ip";
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static void print_flags(uint8_t flags)
{
	static const char letters[] = "FSRPAU";

	printf(" ");
	for (int i = 0; i < 6; i++) {
		if (flags & 1 << i)
			printf("%c", letters[i]);
	}
}

static void print_ip(const struct frame *f, size_t at, bool is_ipv4)
{
	size_t addresses = at + (is_ipv4 ? 12 : 8), len = is_ipv4 ? 4 : 16;
	size_t l4 = at + (is_ipv4 ? (f->bytes[at] & 15u) * 4 : 40);
	uint8_t protocol = f->bytes[at + (is_ipv4 ? 9 : 6)];
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];

	if (addresses + 2 * len > f->len)
		return;
	inet_ntop(is_ipv4 ? AF_INET : AF_INET6, &f->bytes[addresses], source, sizeof(source));
	inet_ntop(is_ipv4 ? AF_INET : AF_INET6, &f->bytes[addresses + len], destination,
		sizeof(destination));
	printf("%-5s", name_of_protocol(protocol));
	if (has_ports(protocol))
		printf(" %s port %u > %s port %u", source, word_at(f, l4), destination,
			word_at(f, l4 + 2));
	else
		printf(" %s > %s", source, destination);
	if (protocol == IPPROTO_TCP && l4 + 14 <= f->len)
		print_flags(f->bytes[l4 + 13]);
}

static void print_macs(const struct frame *f)
{
	for (int i = 0; i < 12 && f->len >= ETHERNET_LEN; i++) {
		int at = (i + 6) % 12; // The source, then the destination.

		printf("%02x%s", f->bytes[at], i == 5 ? " > " : i == 11 ? "  " : ":");
	}
}

void print_frame(const char *hex, bool with_mac)
{
	struct frame f = {0};
	size_t at = ETHERNET_LEN;

	f.len = from_hex(hex, f.bytes, sizeof(f.bytes));
	if (with_mac)
		print_macs(&f);
	unsigned type = word_at(&f, at - 2);
	if (type == TYPE_VLAN) {
		if (with_mac)
			printf("vlan %u  ", word_at(&f, at) & 0xfff);
		at += TAG_LEN;
		type = word_at(&f, at - 2);
	}
	if ((type == TYPE_IPV4 || type == TYPE_IPV6) && at + 20 <= f.len)
		print_ip(&f, at, type == TYPE_IPV4);
	else
		printf("type 0x%04x", type);
}

void print_packet(const char *hex)
{
	struct frame f = {0};

	f.len = from_hex(hex, f.bytes, sizeof(f.bytes));
	if (f.len >= 20)
		print_ip(&f, 0, f.bytes[0] >> 4 == 4);
}

static void print_captured(const json_t *packet)
{
	json_int_t time_ns = number_of(packet, "time_ns");
	time_t seconds = (time_t)(time_ns / 1000000000);
	struct tm when;
	char clock[16];

	localtime_r(&seconds, &when);
	strftime(clock, sizeof(clock), "%H:%M:%S", &when);
	printf("%s.%06lld  port %lld  worker %lld  %-4s  ", clock,
		(long long)(time_ns % 1000000000 / 1000), (long long)number_of(packet, "port"),
		(long long)number_of(packet, "worker"), text_of(packet, "point"));
	print_frame(text_of(packet, "bytes"), false);
	printf("  %lld bytes", (long long)number_of(packet, "len"));
	if (strcmp(text_of(packet, "point"), "drop") == 0)
		printf("  %s", text_of(packet, "drop"));
	printf("\n");
}

void show_capture(const json_t *answer)
{
	const json_t *packets = json_object_get(answer, "packets"), *packet;
	size_t i;

	json_array_foreach(packets, i, packet)
	{
		print_captured(packet);
	}
	printf("%zu packets captured, no room for %lld more\n", json_array_size(packets),
		(long long)number_of(answer, "lost"));
}
