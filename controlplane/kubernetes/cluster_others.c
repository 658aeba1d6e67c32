#include "cluster_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "lease.h"
#include "recorded_addresses.h"

// Several instances
// =================
//
//     leader                        API server                     the others
//     gives an address ── record ──► Service at version 41 ──watch──► forward by it
//     forwards by it                 their Leases ◄── "in force: 41" ──┘
//     sees 41 in all of them ── status ──►
//
// Only the leader has addresses in its book: it is made anew, of what is recorded, by whoever leads
// next. The others forward by the record, or by what the status says where there is none yet, as
// after an update of a Guideway that did not record. Who may write a Service may write a record, so
// that it is believed no further than pools go (address_book_believe()).

#define OTHERS_PATIENCE_NS (5 * NSEC_PER_SEC)

void cluster_read_published(
	const struct service_object *object, struct address ret_addresses[N_FAMILIES])
{
	memset(ret_addresses, 0, N_FAMILIES * sizeof(*ret_addresses));
	for (size_t i = 0; i < object->n_ingress && i < N_FAMILIES; i++) {
		const struct address *address = &object->ingress[i].address;

		if (!address_is_none(address))
			ret_addresses[address_family(address)] = *address;
	}
}

enum standing cluster_standing(const struct service_object *object)
{
	struct address recorded[N_FAMILIES], published[N_FAMILIES];
	bool is_recorded;

	recorded_addresses_read(object, recorded);
	cluster_read_published(object, published);
	is_recorded = has_addresses(recorded);
	if (!is_recorded && !has_addresses(published))
		return STANDING_NONE;
	return object->has_our_finalizer && (!is_recorded || same_addresses(recorded, published))
		? STANDING_PUBLISHED
		: STANDING_RECORDED;
}

bool service_is_recorded(const struct service_entry *e)
{
	struct address recorded[N_FAMILIES];

	recorded_addresses_read(e->object, recorded);
	return same_addresses(recorded, e->kept);
}

void cluster_note_version(struct service_entry *e)
{
	bool is_told = e->stage != STAGE_SERVE || service_is_recorded(e);

	if (!is_told)
		e->told_version = 0;
	else if (e->told_version == 0)
		e->told_version = e->object->version;
}

bool cluster_is_followed(const struct cluster *c, struct service_entry *e, uint64_t now_ns)
{
	if (!service_is_in_force(c, e) ||
		(e->stage == STAGE_SERVE && (e->lacks_room || !service_is_recorded(e))))
		return false;
	if (c->others_in_force >= e->told_version)
		return true;
	if (e->others_due_ns == 0)
		e->others_due_ns = now_ns + OTHERS_PATIENCE_NS;
	return now_ns >= e->others_due_ns;
}

// What is told, and asked

uint64_t cluster_in_force_version(const struct cluster *cluster)
{
	bool is_all = !cluster->has_changed && cluster->in_force == cluster->join;

	if (!cluster_is_synced(cluster))
		return 0;
	if (cluster->is_leaving || cluster->lacks_room)
		return IN_FORCE_NOT_ALL;
	return is_all ? cluster->told_version : cluster->in_force_version;
}

void cluster_set_others(struct cluster *cluster, uint64_t in_force)
{
	const struct entry_list *services = &cluster->entries[CLUSTER_SERVICES];

	if (cluster->others_in_force == in_force)
		return;
	cluster->others_in_force = in_force;
	for (size_t i = 0; i < services->n; i++) {
		struct service_entry *e = services->entries[i];

		if (!e->is_followed)
			cluster_look_at(cluster, e);
	}
}

void cluster_set_announcers(struct cluster *cluster, const struct announcers *announcers)
{
	if (announcers_equal(&cluster->announcers, announcers))
		return;
	cluster->announcers = *announcers;
	cluster->has_changed = true;
}

// Returns 0 or -ENOMEM.
static int empty_book(struct cluster *c)
{
	struct address_book *book = address_book_create();

	if (book == NULL ||
		address_book_set_pools(
			book, c->file->kubernetes.pools, c->file->kubernetes.n_pools) < 0) {
		address_book_destroy(book);
		return -ENOMEM;
	}
	address_book_destroy(c->book);
	c->book = book;
	c->has_reserved = false;
	return 0;
}

int cluster_set_lead(struct cluster *cluster, bool leads, uint64_t now_ns)
{
	if (cluster->leads == leads)
		return 0;
	// What another gave meanwhile is not in it.
	int r = leads ? empty_book(cluster) : 0;
	if (r < 0)
		return r;
	cluster->leads = leads;
	if (cluster_is_known(cluster))
		cluster_judge_all(cluster, now_ns);
	return 0;
}
