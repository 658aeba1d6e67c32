// Datagrams out of fragments
// ==========================
//
//     sets       hash -> up to 8 datagrams, a line of memory
//     datagrams  whose they are, how much there is, in a queue by age
//     pieces     one for each fragment that waits, in a list for each datagram by offset
//
// Nothing here grows. A datagram has its place in one set by its hash, which is keyed: a sender
// cannot choose ids that meet in one. If the set is full the oldest of the eight makes room, if too
// many segments wait the oldest of all, so that who comes last always gets in: a flood costs
// datagrams that take long, not those whose fragments come one after the other.
//
// All live equally long, so the queue by age is also that of expiry, and its head says when
// anything is due.
//
// Overlaps
// --------
// Fragments that overlap have no honest sender (RFC 5722; RFC 1858, section 3, on what they are
// good for), so the whole datagram is refused: what waits of it is freed, and its entry stays until
// its time is over, to refuse the rest as well. The same holds of two that disagree where the
// datagram ends, and of one in too many pieces. If such an entry has to make room before, nothing
// is lost but the room that the rest takes: what is left of a refused datagram has no beginning or
// no end, or is whole by itself and overlaps nothing.
//
// So pieces are disjoint and lie before the end, and the datagram is whole when their lengths add
// up to it.

#include "reassembly.h"

#include <netinet/in.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_ip.h>

#include "checksum.h"
#include "lines.h"
#include "pipeline.h"
#include "segments.h"

enum {
	EXTENSIONS_MAX = 8, // As in the parser.
	EXPIRE_MAX = 8,     // Datagrams a call.
	ECN_NONE = 0,       // RFC 3168: the sender does not know of it,
	ECN_CONGESTED = 3,  // and a router was near to dropping the packet.
};

#define NONE UINT32_MAX

static const uint64_t patience_ns = REASSEMBLY_SECONDS * 1000ull * 1000 * 1000;

struct piece {
	struct rte_mbuf *mbuf; // From the Ethernet header on of the first, else the data alone.
	uint16_t begin;        // Its data in the datagram.
	uint16_t end;
	uint32_t next; // By offset; or of the free ones.
};
static_assert(sizeof(struct piece) == 16);

struct datagram {
	struct address source;
	struct address destination;
	uint32_t id;
	uint8_t family;
	uint8_t protocol; // IPv4 only.

	uint8_t refused; // enum drop_reason: why nothing of it is taken any more, or DROP_NONE.
	uint8_t n_pieces;
	uint32_t n_segments;
	uint32_t first; // Its pieces, or NONE.
	uint32_t last;
	uint16_t n_bytes; // That are there.
	uint16_t end;     // Of the last fragment, or 0 until that has come.
	uint8_t ecns;     // A bit for each that was seen.

	// Of the first fragment, once that has come.
	uint8_t l2_len;
	uint16_t payload;
	uint16_t fragment_at;

	uint32_t older; // In the queue; NONE at its ends.
	uint32_t newer;
	uint64_t until_ns;
};
static_assert(sizeof(struct datagram) == 80);

struct set {
	alignas(64) uint64_t hashes[REASSEMBLY_WAYS]; // 0 is a free place.
};
static_assert(sizeof(struct set) == 64);

struct reassembly {
	uint64_t due_ns; // When the oldest datagram's time is over, or UINT64_MAX.
	uint32_t n_held;
	uint32_t n_segments; // The bound of it.
	uint32_t set_mask;
	uint32_t oldest;
	uint32_t newest;
	uint32_t free_piece;
	_Atomic uint64_t *drops;    // [N_DROP_REASONS]
	struct set *sets;           // [set_mask + 1]
	struct datagram *datagrams; // [(set_mask + 1) * REASSEMBLY_WAYS], in the order of the sets.
	struct piece *pieces;       // [n_segments + 1]: one is in hand before any makes room.

	const struct reassembly *behind; // What this lies over, or NULL.
	struct rte_mempool *buffers;     // For copies of what is there.
};

// A bound of segments is one of pieces as well, since each has at least one.
static void link_free_pieces(struct reassembly *r)
{
	for (uint32_t i = 0; i < r->n_segments; i++)
		r->pieces[i].next = i + 1;
	r->pieces[r->n_segments].next = NONE;
}

struct reassembly *reassembly_create(
	uint32_t n_datagrams, uint32_t n_segments, _Atomic uint64_t *drops)
{
	assert(n_datagrams >= REASSEMBLY_WAYS && (n_datagrams & (n_datagrams - 1)) == 0);
	assert(n_segments >= 1 && n_segments < NONE);

	struct reassembly *r = lines_alloc(sizeof(*r));
	if (r == NULL)
		return NULL;

	size_t n_sets = n_datagrams / REASSEMBLY_WAYS;
	r->due_ns = UINT64_MAX;
	r->n_segments = n_segments;
	r->set_mask = (uint32_t)n_sets - 1;
	r->oldest = NONE;
	r->newest = NONE;
	r->drops = drops;
	r->sets = lines_alloc(n_sets * sizeof(*r->sets));
	r->datagrams = lines_alloc(n_datagrams * sizeof(*r->datagrams));
	r->pieces = lines_alloc(((size_t)n_segments + 1) * sizeof(*r->pieces));
	if (r->sets == NULL || r->datagrams == NULL || r->pieces == NULL)
		goto fail;

	link_free_pieces(r);
	return r;

fail:
	reassembly_destroy(r);
	return NULL;
}

uint32_t reassembly_held(const struct reassembly *r)
{
	return r->n_held;
}

static struct datagram *oldest(const struct reassembly *r)
{
	return &r->datagrams[r->oldest];
}

static uint64_t *hash_of(const struct reassembly *r, const struct datagram *d)
{
	size_t at = d - r->datagrams;

	return &r->sets[at / REASSEMBLY_WAYS].hashes[at % REASSEMBLY_WAYS];
}

static void find_due(struct reassembly *r)
{
	r->due_ns = r->oldest == NONE ? UINT64_MAX : oldest(r)->until_ns;
}

static void enqueue(struct reassembly *r, struct datagram *d)
{
	uint32_t at = (uint32_t)(d - r->datagrams);

	d->older = r->newest;
	d->newer = NONE;
	if (r->newest == NONE)
		r->oldest = at;
	else
		r->datagrams[r->newest].newer = at;
	r->newest = at;
	find_due(r);
}

static void dequeue(struct reassembly *r, const struct datagram *d)
{
	*(d->older == NONE ? &r->oldest : &r->datagrams[d->older].newer) = d->newer;
	*(d->newer == NONE ? &r->newest : &r->datagrams[d->newer].older) = d->older;
	find_due(r);
}

// Its pieces have gone elsewhere.
static void forget(struct reassembly *r, struct datagram *d)
{
	dequeue(r, d);
	*hash_of(r, d) = 0;
}

// Gives back the datagram's pieces, at least one, but not their mbufs.
static void release(struct reassembly *r, struct datagram *d)
{
	r->pieces[d->last].next = r->free_piece;
	r->free_piece = d->first;
	r->n_held -= d->n_segments;
	d->first = NONE;
	d->last = NONE;
	d->n_pieces = 0;
	d->n_segments = 0;
}

// Frees what waits of the datagram. Returns of how many fragments that was.
static unsigned empty(struct reassembly *r, struct datagram *d)
{
	unsigned n = d->n_pieces;

	if (n == 0)
		return 0;
	for (uint32_t at = d->first; at != NONE; at = r->pieces[at].next)
		rte_pktmbuf_free(r->pieces[at].mbuf);
	release(r, d);
	return n;
}

// Ends the datagram before it is whole. Returns how many fragments were freed.
static unsigned give_up(struct reassembly *r, struct datagram *d, uint64_t now_ns)
{
	enum drop_reason reason =
		d->until_ns <= now_ns ? DROP_FRAGMENT_TIMEOUT : DROP_FRAGMENT_EVICTED;
	unsigned n = empty(r, d);

	counter_add(&r->drops[reason], n);
	forget(r, d);
	return n;
}

void reassembly_lay_over(
	struct reassembly *r, const struct reassembly *behind, struct rte_mempool *buffers)
{
	assert(r->n_segments >= behind->n_segments);
	r->behind = behind;
	r->buffers = buffers;
}

void reassembly_clear(struct reassembly *r)
{
	r->behind = NULL;
	while (r->oldest != NONE) {
		struct datagram *d = oldest(r);

		empty(r, d);
		forget(r, d);
	}
}

void reassembly_destroy(struct reassembly *r)
{
	if (r == NULL)
		return;
	reassembly_clear(r);
	free(r->pieces);
	free(r->datagrams);
	free(r->sets);
	free(r);
}

unsigned reassembly_expire(struct reassembly *r, uint64_t now_ns)
{
	unsigned n = 0;

	for (unsigned i = 0; i < EXPIRE_MAX && unlikely(r->due_ns <= now_ns); i++)
		n += give_up(r, oldest(r), now_ns);
	return n;
}

// What a first fragment has to hold of layer 4, so that nobody decides about a packet without ports
// and flags (RFC 1858, section 3; RFC 7112).
static uint16_t transport_len(uint8_t protocol)
{
	if (protocol == IPPROTO_TCP)
		return 20;
	if (protocol == IPPROTO_SCTP)
		return 12;
	return 8;
}

// RFC 7112: a first fragment of IPv6 holds all extension headers.
static enum drop_reason judge_first(const struct fragment *f)
{
	uint32_t at = f->payload;
	uint8_t protocol = f->protocol;

	for (int i = 0; f->family == IPV6 && fragment_is_extension(protocol); i++) {
		uint8_t copy[2];
		const uint8_t *extension =
			rte_pktmbuf_read(f->mbuf, f->l2_len + at, sizeof(copy), copy);

		if (at + sizeof(copy) > f->ip_len || extension == NULL)
			return DROP_FRAGMENT_TINY;
		if (i == EXTENSIONS_MAX)
			return DROP_MALFORMED;
		protocol = extension[0];
		at += 8 + extension[1] * 8;
	}

	// Fragments of fragments.
	if (f->family == IPV6 && protocol == IPPROTO_FRAGMENT)
		return DROP_MALFORMED;
	return at + transport_len(protocol) > f->ip_len ? DROP_FRAGMENT_TINY : DROP_NONE;
}

// What is wrong with the fragment, whatever else there is of its datagram.
static enum drop_reason judge(const struct fragment *f)
{
	const struct rte_mbuf *m = f->mbuf;

	if (f->l2_len + f->payload > m->data_len || f->l2_len + f->ip_len > (int64_t)m->pkt_len)
		return DROP_TRUNCATED;
	if (f->payload >= f->ip_len)
		return DROP_MALFORMED; // Without data.

	uint16_t len = f->ip_len - f->payload;
	if ((f->more && len % 8 != 0) || f->offset % 8 != 0 || f->offset + len > UINT16_MAX)
		return DROP_MALFORMED;
	if (f->offset == 0)
		return judge_first(f);

	// RFC 3128: it could replace the flags of the TCP header.
	return f->protocol == IPPROTO_TCP && f->offset == 8 ? DROP_FRAGMENT_TINY : DROP_NONE;
}

// Makes the packet begin behind the first 'len' bytes, all of which are in the first segment, and
// not the whole packet. Returns its first segment now.
static struct rte_mbuf *behead(struct rte_mbuf *m, uint16_t len)
{
	rte_pktmbuf_adj(m, len);
	while (m->data_len == 0) {
		struct rte_mbuf *next = m->next;

		next->pkt_len = m->pkt_len;
		next->nb_segs = m->nb_segs - 1;
		rte_pktmbuf_free_seg(m);
		m = next;
	}
	return m;
}

// Leaves of the frame what the datagram is made of: of the first fragment the headers too.
static struct rte_mbuf *strip(const struct fragment *f)
{
	segments_cut(f->mbuf, f->l2_len + f->ip_len);
	return f->offset == 0 ? f->mbuf : behead(f->mbuf, f->l2_len + f->payload);
}

static bool is_of(const struct fragment *f, const struct datagram *d)
{
	return d->id == f->id && d->family == f->family &&
		(d->family == IPV6 || d->protocol == f->protocol) &&
		address_equal(&d->source, &f->source) &&
		address_equal(&d->destination, &f->destination);
}

static struct datagram *find(const struct reassembly *r, const struct fragment *f, uint64_t hash)
{
	uint32_t set = (uint32_t)hash & r->set_mask;

	for (uint32_t i = 0; i < REASSEMBLY_WAYS; i++) {
		struct datagram *d = &r->datagrams[set * REASSEMBLY_WAYS + i];

		if (r->sets[set].hashes[i] == hash && is_of(f, d))
			return d;
	}
	return NULL;
}

// A free place in the set of 'hash', or that of the oldest there.
static struct datagram *take_place(struct reassembly *r, uint64_t hash, uint64_t now_ns)
{
	uint32_t set = (uint32_t)hash & r->set_mask;
	struct datagram *places = &r->datagrams[set * REASSEMBLY_WAYS];
	struct datagram *first = places;

	for (uint32_t i = 0; i < REASSEMBLY_WAYS; i++) {
		if (r->sets[set].hashes[i] == 0)
			return &places[i];
		if (places[i].until_ns < first->until_ns)
			first = &places[i];
	}
	give_up(r, first, now_ns);
	return first;
}

static struct datagram *begin(
	struct reassembly *r, const struct fragment *f, uint64_t hash, uint64_t now_ns)
{
	struct datagram *d = take_place(r, hash, now_ns);

	*d = (struct datagram){
		.source = f->source,
		.destination = f->destination,
		.id = f->id,
		.family = f->family,
		.protocol = f->protocol,
		.first = NONE,
		.last = NONE,
		.until_ns = now_ns + patience_ns,
	};
	*hash_of(r, d) = hash;
	enqueue(r, d);
	return d;
}

// Copies a piece behind the last of the datagram. Returns false when out of buffers.
static bool copy_piece(struct reassembly *r, struct datagram *d, const struct piece *of)
{
	struct rte_mbuf *m = rte_pktmbuf_copy(of->mbuf, r->buffers, 0, UINT32_MAX);
	if (m == NULL)
		return false;

	uint32_t at = r->free_piece;
	struct piece *piece = &r->pieces[at];
	r->free_piece = piece->next;
	*piece = (struct piece){m, of->begin, of->end, NONE};
	*(d->last == NONE ? &d->first : &r->pieces[d->last].next) = at;
	d->last = at;
	d->n_pieces++;
	d->n_segments += m->nb_segs;
	r->n_held += m->nb_segs;
	return true;
}

// Of the datagram behind, if there is one.
static struct datagram *take_copy(
	struct reassembly *r, const struct fragment *f, uint64_t hash, uint64_t now_ns)
{
	const struct datagram *of = find(r->behind, f, hash);
	if (of == NULL)
		return NULL;

	struct datagram *d = take_place(r, hash, now_ns);
	*d = *of;
	d->first = d->last = NONE;
	d->n_segments = d->n_pieces = 0;
	*hash_of(r, d) = hash;
	enqueue(r, d);
	for (uint32_t at = of->first; at != NONE && d->refused == DROP_NONE;
		at = r->behind->pieces[at].next) {
		if (!copy_piece(r, d, &r->behind->pieces[at]))
			d->refused = DROP_NO_MEMORY;
	}
	return d;
}

static struct datagram *find_or_begin(
	struct reassembly *r, const struct fragment *f, uint64_t hash, uint64_t now_ns)
{
	struct datagram *d = find(r, f, hash);

	if (d == NULL && unlikely(r->behind != NULL))
		d = take_copy(r, f, hash, now_ns);

	if (d != NULL && d->until_ns <= now_ns) {
		give_up(r, d, now_ns);
		d = NULL;
	}
	return d != NULL ? d : begin(r, f, hash, now_ns);
}

// The link to the first piece that ends behind 'begin'. A fragment in order is at the end.
static uint32_t *find_link(struct reassembly *r, struct datagram *d, uint16_t begin)
{
	if (d->last != NONE && r->pieces[d->last].end <= begin)
		return &r->pieces[d->last].next;

	uint32_t *link = &d->first;
	while (*link != NONE && r->pieces[*link].end <= begin)
		link = &r->pieces[*link].next;
	return link;
}

// Whether the datagram would have another end by this fragment.
static bool contradicts_end(
	const struct reassembly *r, const struct datagram *d, const struct piece *new, bool more)
{
	if (d->end != 0)
		return more ? new->end > d->end : new->end != d->end;
	return !more && d->last != NONE && r->pieces[d->last].end > new->end;
}

// The length of the datagram that its pieces and 'new' would make, as far as it is known.
static uint32_t length(const struct reassembly *r, const struct datagram *d,
	const struct fragment *f, const struct piece *new)
{
	uint16_t headers = f->offset == 0 ? f->payload : d->payload;
	uint16_t end = d->last == NONE ? 0 : r->pieces[d->last].end;

	return headers + RTE_MAX(end, new->end);
}

// Why the piece cannot be added before the one that '*link' leads to.
static enum drop_reason compare(const struct reassembly *r, const struct datagram *d,
	const uint32_t *link, const struct fragment *f, const struct piece *new)
{
	const struct piece *next = *link == NONE ? NULL : &r->pieces[*link];

	// Of all pieces only the last one ends where the datagram does.
	if (next != NULL && next->begin == new->begin && next->end == new->end &&
		f->more == (next->end != d->end))
		return DROP_FRAGMENT_DUPLICATE;
	if (contradicts_end(r, d, new, f->more) || (next != NULL && next->begin < new->end))
		return DROP_FRAGMENT_OVERLAP;
	if (length(r, d, f, new) > UINT16_MAX)
		return DROP_MALFORMED;

	uint32_t n_segments = RTE_MIN(r->n_segments, (uint32_t)UINT16_MAX); // As nb_segs can say.
	if (d->n_pieces == REASSEMBLY_FRAGMENTS_MAX ||
		d->n_segments + new->mbuf->nb_segs > n_segments)
		return DROP_FRAGMENT_MANY;
	return DROP_NONE;
}

static void put_piece(
	struct reassembly *r, struct datagram *d, uint32_t *link, const struct piece *new)
{
	uint32_t at = r->free_piece;
	struct piece *piece = &r->pieces[at];

	r->free_piece = piece->next;
	*piece = *new;
	piece->next = *link;
	*link = at;
	if (piece->next == NONE)
		d->last = at;

	d->n_pieces++;
	d->n_bytes += new->end - new->begin;
	d->n_segments += new->mbuf->nb_segs;
	r->n_held += new->mbuf->nb_segs;
}

static void note(struct datagram *d, const struct fragment *f, uint16_t end)
{
	d->ecns |= 1 << f->ecn;
	if (!f->more)
		d->end = end;
	if (f->offset != 0)
		return;
	d->l2_len = f->l2_len;
	d->payload = f->payload;
	d->fragment_at = f->fragment_at;
}

// Adds the fragment, whose frame has become 'm'. Returns why not, if so: 'm' is still the caller's.
static enum drop_reason add(
	struct reassembly *r, struct datagram *d, const struct fragment *f, struct rte_mbuf *m)
{
	uint16_t end = f->offset + (f->ip_len - f->payload);
	struct piece new = {.mbuf = m, .begin = f->offset, .end = end};

	if (d->refused != DROP_NONE)
		return d->refused;

	uint32_t *link = find_link(r, d, new.begin);
	enum drop_reason reason = compare(r, d, link, f, &new);
	if (reason != DROP_NONE)
		return reason;

	put_piece(r, d, link, &new);
	note(d, f, end);
	return DROP_NONE;
}

static void refuse(struct reassembly *r, struct datagram *d, enum drop_reason reason)
{
	counter_add(&r->drops[reason], empty(r, d));
	d->refused = reason;
}

static bool is_whole(const struct datagram *d)
{
	return d->end != 0 && d->n_bytes == d->end;
}

// Makes one chain of the pieces, and gives them back.
static struct rte_mbuf *join(struct reassembly *r, struct datagram *d)
{
	struct rte_mbuf *whole = r->pieces[d->first].mbuf;
	struct rte_mbuf *tail = rte_pktmbuf_lastseg(whole);

	for (uint32_t at = r->pieces[d->first].next; at != NONE; at = r->pieces[at].next) {
		struct rte_mbuf *m = r->pieces[at].mbuf;

		whole->pkt_len += m->pkt_len;
		whole->nb_segs += m->nb_segs;
		tail->next = m;
		tail = rte_pktmbuf_lastseg(m);
		m->pkt_len = m->data_len; // Only the first segment speaks for all.
		m->nb_segs = 1;
	}
	release(r, d);
	return whole;
}

// RFC 3168, section 5.3: what a router said about one fragment it said about the datagram.
static bool is_congested(const struct datagram *d)
{
	return (d->ecns & 1 << ECN_CONGESTED) && !(d->ecns & 1 << ECN_NONE);
}

static void write_ipv4(uint8_t *l3, const struct datagram *d)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)l3;

	if (is_congested(d))
		ip->type_of_service |= ECN_CONGESTED;
	ip->total_length = rte_cpu_to_be_16(d->payload + d->end);
	ip->fragment_offset = 0;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~checksum_fold(checksum_sum(ip, d->payload));
}

static void write_ipv6(uint8_t *l3, const struct datagram *d)
{
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)l3;

	if (is_congested(d))
		l3[1] |= ECN_CONGESTED << 4;
	ip->payload_len = rte_cpu_to_be_16(d->payload - sizeof(*ip) + d->end);
	memset(l3 + d->fragment_at + 2, 0, 2); // Offset, and whether there are more.
}

static struct rte_mbuf *finish(struct reassembly *r, struct datagram *d)
{
	struct rte_mbuf *whole = join(r, d);
	uint8_t *l3 = rte_pktmbuf_mtod_offset(whole, uint8_t *, d->l2_len);

	if (d->family == IPV4)
		write_ipv4(l3, d);
	else
		write_ipv6(l3, d);
	forget(r, d);
	return whole;
}

// The datagram that was added to last does not give way itself: alone it fits.
static void make_room(struct reassembly *r, const struct datagram *last, uint64_t now_ns)
{
	while (r->n_held > r->n_segments) {
		struct datagram *d = oldest(r);

		give_up(r, d != last ? d : &r->datagrams[d->newer], now_ns);
	}
}

static struct rte_mbuf *drop(
	struct rte_mbuf *m, enum drop_reason reason, enum drop_reason *ret_reason)
{
	rte_pktmbuf_free(m);
	*ret_reason = reason;
	return NULL;
}

struct rte_mbuf *reassembly_add(struct reassembly *r, const struct fragment *f, uint64_t hash,
	uint64_t now_ns, enum drop_reason *ret_reason)
{
	enum drop_reason reason = judge(f);
	if (reason != DROP_NONE)
		return drop(f->mbuf, reason, ret_reason);

	struct rte_mbuf *m = strip(f);
	struct datagram *d = find_or_begin(r, f, hash == 0 ? 1 : hash, now_ns);

	reason = add(r, d, f, m);
	if (reason != DROP_NONE) {
		if (reason != DROP_FRAGMENT_DUPLICATE)
			refuse(r, d, reason);
		return drop(m, reason, ret_reason);
	}

	*ret_reason = DROP_NONE;
	if (is_whole(d))
		return finish(r, d);
	make_room(r, d, now_ns);
	return NULL;
}
