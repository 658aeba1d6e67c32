#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "show.h"

// The capture file format of Wireshark: draft-ietf-opsawg-pcapng. A section, an interface for each
// port in the order of their first packet, and a packet block each, whose comment says the point
// and the reason of a drop. In the byte order of this machine, which the section's magic number
// tells.

enum {
	SECTION = 0x0a0d0d0a,
	INTERFACE = 1,
	ENHANCED_PACKET = 6,
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,
	LINK_ETHERNET = 1,
	OPTION_COMMENT = 1,
	OPTION_IF_NAME = 2,
	OPTION_IF_TSRESOL = 9,
	OPTION_EPB_FLAGS = 2,
	FLAG_INBOUND = 1,
	FLAG_OUTBOUND = 2,
	NANOSECONDS = 9, // As a power of ten.
	PORTS = 256,
	BLOCK_MAX = 65536,
};

// A block in the making.
struct block {
	uint8_t bytes[BLOCK_MAX];
	size_t len;
};

static void add(struct block *b, const void *bytes, size_t len)
{
	size_t padded = (len + 3) / 4 * 4;

	if (b->len + padded > sizeof(b->bytes))
		return;
	if (len > 0)
		memcpy(b->bytes + b->len, bytes, len);
	memset(b->bytes + b->len + len, 0, padded - len);
	b->len += padded;
}

static void add_word(struct block *b, uint32_t word)
{
	add(b, &word, sizeof(word));
}

static void begin(struct block *b, uint32_t type)
{
	b->len = 0;
	add_word(b, type);
	add_word(b, 0); // Its length, by end().
}

static void add_option(struct block *b, uint16_t code, const void *value, uint16_t len)
{
	const uint16_t head[] = {code, len};

	add(b, head, sizeof(head));
	add(b, value, len);
}

static bool end(struct block *b, FILE *file)
{
	uint32_t len = (uint32_t)b->len + 4;

	memcpy(b->bytes + 4, &len, sizeof(len));
	add_word(b, len);
	return fwrite(b->bytes, 1, b->len, file) == b->len;
}

static bool write_section(struct block *b, FILE *file)
{
	const uint16_t version[] = {1, 0};
	const int64_t unknown = -1;

	begin(b, SECTION);
	add_word(b, BYTE_ORDER_MAGIC);
	add(b, version, sizeof(version));
	add(b, &unknown, sizeof(unknown));
	return end(b, file);
}

static bool write_interface(struct block *b, json_int_t port, FILE *file)
{
	const uint16_t link[] = {LINK_ETHERNET, 0};
	const uint8_t resolution = NANOSECONDS;
	char name[32];

	begin(b, INTERFACE);
	add(b, link, sizeof(link));
	add_word(b, 0); // No bound of a frame's length.
	add_option(b, OPTION_IF_NAME, name,
		(uint16_t)snprintf(name, sizeof(name), "port%lld", (long long)port));
	add_option(b, OPTION_IF_TSRESOL, &resolution, sizeof(resolution));
	add_option(b, 0, NULL, 0);
	return end(b, file);
}

static void add_hex(struct block *b, const char *hex)
{
	uint8_t bytes[BLOCK_MAX / 2];

	add(b, bytes, from_hex(hex, bytes, sizeof(bytes)));
}

static bool write_packet(struct block *b, const json_t *packet, uint32_t interface, FILE *file)
{
	uint64_t time_ns = (uint64_t)number_of(packet, "time_ns");
	const char *bytes = text_of(packet, "bytes"), *point = text_of(packet, "point");
	const char *drop = text_of(packet, "drop");
	uint32_t flags = strcmp(point, "out") == 0 ? FLAG_OUTBOUND : FLAG_INBOUND;
	bool is_drop = strcmp(point, "drop") == 0;
	char comment[128];

	begin(b, ENHANCED_PACKET);
	add_word(b, interface);
	add_word(b, (uint32_t)(time_ns >> 32));
	add_word(b, (uint32_t)time_ns);
	add_word(b, (uint32_t)(strlen(bytes) / 2));
	add_word(b, (uint32_t)number_of(packet, "len"));
	add_hex(b, bytes);
	add_option(b, OPTION_EPB_FLAGS, &flags, sizeof(flags));
	add_option(b, OPTION_COMMENT, comment,
		(uint16_t)snprintf(comment, sizeof(comment), "%s%s%s", point, is_drop ? ": " : "",
			is_drop ? drop : ""));
	add_option(b, 0, NULL, 0);
	return end(b, file);
}

// The interface of a port, which is written when it is first met. Returns false on failure.
static bool interface_of(
	struct block *b, json_int_t port, FILE *file, int interfaces[PORTS], int *n_interfaces)
{
	if (port < 0 || port >= PORTS)
		return false;
	if (interfaces[port] >= 0)
		return true;
	interfaces[port] = (*n_interfaces)++;
	return write_interface(b, port, file);
}

static bool write_all(const json_t *packets, FILE *file)
{
	static struct block block;
	int interfaces[PORTS], n_interfaces = 0;
	const json_t *packet;
	size_t i;

	memset(interfaces, -1, sizeof(interfaces));
	if (!write_section(&block, file))
		return false;
	json_array_foreach(packets, i, packet)
	{
		json_int_t port = number_of(packet, "port");

		if (!interface_of(&block, port, file, interfaces, &n_interfaces) ||
			!write_packet(&block, packet, (uint32_t)interfaces[port], file))
			return false;
	}
	return fflush(file) == 0;
}

bool write_capture(const json_t *answer, const char *path)
{
	const json_t *packets = json_object_get(answer, "packets");
	bool is_stdout = strcmp(path, "-") == 0;
	FILE *file = is_stdout ? stdout : fopen(path, "we");

	bool good = file != NULL && write_all(packets, file);
	if (!good)
		fprintf(stderr, "guidewayctl: %s: %s\n", path, strerror(errno));
	if (file != NULL && !is_stdout && fclose(file) != 0)
		good = false;
	if (good && !is_stdout)
		fprintf(stderr, "%zu packets captured, no room for %lld more\n",
			json_array_size(packets), (long long)number_of(answer, "lost"));
	return good;
}
