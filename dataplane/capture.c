#include "capture.h"

#include <stdalign.h>
#include <stdlib.h>

#include "pipeline.h"

// One worker writes, the control thread reads: 'written' and 'taken' count for ever, and a slot is
// its count modulo the number of slots.
struct capture {
	// Set by the control thread while no worker writes.
	struct capture_filter filter;

	// Written by the worker.
	alignas(64) _Atomic uint64_t written;
	_Atomic uint64_t lost;

	// Written by the control thread.
	alignas(64) _Atomic uint64_t taken;

	alignas(64) struct captured slots[CAPTURE_SLOTS];
};

struct capture *capture_create(void)
{
	struct capture *c = aligned_alloc(64, sizeof(*c));

	if (c != NULL)
		memset(c, 0, sizeof(*c));
	return c;
}

void capture_destroy(struct capture *c)
{
	free(c);
}

void capture_prepare(struct capture *c, const struct capture_filter *filter)
{
	c->filter = *filter;
	atomic_store_explicit(&c->taken, atomic_load(&c->written), memory_order_relaxed);
	atomic_store_explicit(&c->lost, 0, memory_order_relaxed);
}

bool capture_take(struct capture *c, struct captured *ret_captured)
{
	uint64_t at = atomic_load_explicit(&c->taken, memory_order_relaxed);

	// Acquire: pairs with the store in put(): what it counts is there.
	if (at == atomic_load_explicit(&c->written, memory_order_acquire))
		return false;

	*ret_captured = c->slots[at % CAPTURE_SLOTS];
	// Release: pairs with the load in put(): the slot has been read.
	atomic_store_explicit(&c->taken, at + 1, memory_order_release);
	return true;
}

uint64_t capture_lost(const struct capture *c)
{
	return atomic_load_explicit(&c->lost, memory_order_relaxed);
}

static bool host_matches(const struct capture_filter *filter, const struct packet *p)
{
	if (address_is_none(&filter->host))
		return true;

	struct address source = packet_source(p), destination = packet_destination(p);
	return address_equal(&source, &filter->host) || address_equal(&destination, &filter->host);
}

static bool port_matches(const struct capture_filter *filter, const struct packet *p)
{
	if (filter->port == 0)
		return true;
	return p->kind == KIND_PORTS && p->l4 != NULL &&
		(packet_source_port(p) == filter->port ||
			packet_destination_port(p) == filter->port);
}

static bool matches(const struct capture_filter *filter, const struct packet *p)
{
	bool is_protocol = filter->protocol == 0 || filter->protocol == p->protocol;

	return is_protocol && host_matches(filter, p) && port_matches(filter, p);
}

static void copy_frame(const struct rte_mbuf *m, struct captured *to)
{
	to->len = m->pkt_len;
	to->snap_len = (uint16_t)RTE_MIN(m->pkt_len, (uint32_t)CAPTURE_SNAP_MAX);

	const void *bytes = rte_pktmbuf_read(m, 0, to->snap_len, to->bytes);
	if (bytes != to->bytes)
		memcpy(to->bytes, bytes, to->snap_len);
}

static void put(
	struct burst *b, const struct packet *p, enum capture_point point, enum drop_reason reason)
{
	struct capture *c = b->capture;
	uint64_t at = atomic_load_explicit(&c->written, memory_order_relaxed);

	// Acquire: pairs with the store in capture_take().
	if (at - atomic_load_explicit(&c->taken, memory_order_acquire) == CAPTURE_SLOTS) {
		counter_add(&c->lost, 1);
		return;
	}
	struct captured *to = &c->slots[at % CAPTURE_SLOTS];
	to->at_ns = b->now_ns;
	to->point = point;
	to->drop = reason;
	to->port = p->port;
	to->worker = (uint8_t)b->pipeline->worker;
	copy_frame(p->mbuf, to);
	// Release: pairs with the load in capture_take().
	atomic_store_explicit(&c->written, at + 1, memory_order_release);
}

// A packet that was captured once is captured wherever it goes, whatever it has become.
void capture_packet(
	struct burst *b, struct packet *p, enum capture_point point, enum drop_reason reason)
{
	if (!p->captured &&
		(p->l3 == NULL || p->kind == KIND_ARP || !matches(&b->capture->filter, p)))
		return;

	p->captured = true;
	put(b, p, point, reason);
}
