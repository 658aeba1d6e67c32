#include "status_conflict.h"

#include <string.h>

#include "clock.h"
#include "json_read.h"

#define TWICE_WITHIN_NS (60 * NSEC_PER_SEC)
#define LASTS_NS (600 * NSEC_PER_SEC)

// Of a field that is replaced whole, the API server keeps who wrote it last as its only manager.
static void find_writer(const json_t *json, char ret_writer[WRITER_TEXT_MAX])
{
	const json_t *managers = json_at(json, "metadata.managedFields");

	strcpy(ret_writer, "another writer");
	for (size_t i = 0; i < json_array_size(managers); i++) {
		const json_t *manager = json_array_get(managers, i);
		char name[WRITER_TEXT_MAX];

		if (json_at(manager, "fieldsV1.f:status.f:loadBalancer.f:ingress") != NULL &&
			json_copy_text(manager, "manager", name, sizeof(name)) && *name != '\0')
			strcpy(ret_writer, name);
	}
}

bool status_conflict_overwritten(
	struct status_conflict *conflict, const json_t *json, uint64_t now_ns)
{
	bool is_second = conflict->overwritten_ns != 0 &&
		now_ns - conflict->overwritten_ns <= TWICE_WITHIN_NS;

	conflict->overwritten_ns = now_ns;
	if (!is_second)
		return false;
	find_writer(json, conflict->writer);
	conflict->until_ns = now_ns + LASTS_NS;
	return true;
}

bool status_conflict_is_on(const struct status_conflict *conflict)
{
	return conflict->until_ns != 0;
}

void status_conflict_ends(struct status_conflict *conflict, uint64_t now_ns)
{
	if (status_conflict_is_on(conflict) && now_ns >= conflict->until_ns)
		*conflict = (struct status_conflict){0};
}
