#include "interfaces.h"

#include <errno.h>
#include <jansson.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "belongings.h"
#include "silence.h"
#include "stacked.h"
#include "talk.h"

// The record is written before the first change and removed after the last has been undone, and
// undoing what was never done does no harm: so whenever we are killed, what it says is right. It
// names the boot it is of, since what was lent is back after another.

#define RECORD_FILE "interfaces.json"
#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

enum {
	ADDRESSES_TEXT_MAX = 256,
	RECORD_MAX = 1 << 20, // What state_directory_read() takes.
};

struct lent {
	struct interface_config config;
	struct belongings *belongings; // As they were before we came.
	struct silence *silence;
	bool moved; // To the twin.
};

struct interfaces {
	struct state_directory *directory;
	struct talk *talk;
	struct lent *lent; // [n]
	size_t n;
	bool failed; // Something is not as it was, and the record has to say it.
};

__attribute__((format(printf, 3, 4))) static int because(
	int r, char ret_why[WHY_MAX], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(ret_why, WHY_MAX, format, arguments);
	va_end(arguments);
	return r;
}

static void destroy(struct interfaces *x)
{
	if (x == NULL)
		return;
	for (size_t i = 0; i < x->n; i++) {
		belongings_destroy(x->lent[i].belongings);
		silence_destroy(x->lent[i].silence);
	}
	talk_close(x->talk);
	free(x->lent);
	free(x);
}

// The record

static void read_boot_id(char ret_id[64])
{
	FILE *file = fopen(BOOT_ID_FILE, "re");

	ret_id[0] = '\0';
	if (file == NULL)
		return;
	if (fgets(ret_id, 64, file) != NULL)
		ret_id[strcspn(ret_id, "\n")] = '\0';
	fclose(file);
}

static json_t *make_record(const struct interfaces *x)
{
	char boot_id[64];
	json_t *list = json_array();

	read_boot_id(boot_id);
	for (size_t i = 0; i < x->n; i++) {
		json_t *one = json_pack("{s:s, s:o, s:o}", "device", x->lent[i].config.device,
			"belongings", belongings_to_json(x->lent[i].belongings), "silence",
			silence_to_json(x->lent[i].silence));
		if (json_array_append_new(list, one) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return json_pack("{s:s, s:o}", "boot_id", boot_id, "interfaces", list);
}

static int write_record(const struct interfaces *x)
{
	json_t *record = make_record(x);
	char *text = record == NULL ? NULL : json_dumps(record, JSON_INDENT(1));

	json_decref(record);
	if (text == NULL)
		return -ENOMEM;
	int r = strlen(text) > RECORD_MAX
		? -E2BIG
		: state_directory_write(x->directory, RECORD_FILE, text, strlen(text));
	free(text);
	return r;
}

// Taking

static int check_stack(struct interfaces *x, const struct lent *lent, char ret_why[WHY_MAX])
{
	char other[IFNAMSIZ];
	int r = stacked_find(x->talk, lent->config.device, other);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return because(r, ret_why, "Cannot read what stands on interface %s: %s.",
			lent->config.device, strerror(-r));
	return because(-EBUSY, ret_why,
		"Interface %s is in use by %s, which would hear nothing more: free it first, or "
		"take another interface.",
		lent->config.device, other);
}

static int check_addresses(const struct lent *lent, char ret_why[WHY_MAX])
{
	char addresses[ADDRESSES_TEXT_MAX];

	if (lent->config.adopt || belongings_count_addresses(lent->belongings) == 0)
		return 0;
	return because(-EADDRINUSE, ret_why,
		"Interface %s carries addresses (%s), which the machine would lose: set \"adopt = "
		"true\" for its port to lend them to %s, or take them away first.",
		lent->config.device,
		belongings_name_addresses(lent->belongings, addresses, sizeof(addresses)),
		lent->config.twin);
}

static int note(struct interfaces *x, struct lent *lent, char ret_why[WHY_MAX])
{
	const char *device = lent->config.device;
	int r = belongings_read(x->talk, device, &lent->belongings);

	if (r == -ENODEV)
		return because(r, ret_why, "There is no interface %s.", device);
	if (r == -E2BIG)
		return because(r, ret_why,
			"Interface %s has more than %d routes, too many to lend to %s.", device,
			BELONGINGS_MAX, lent->config.twin);
	if (r == 0)
		r = silence_note(device, &lent->silence);
	if (r < 0)
		return because(r, ret_why, "Cannot read the state of interface %s: %s.", device,
			strerror(-r));
	r = check_stack(x, lent, ret_why);
	return r < 0 ? r : check_addresses(lent, ret_why);
}

static int note_all(struct interfaces *x, const struct interface_config *configs, size_t n,
	char ret_why[WHY_MAX])
{
	int r = 0;

	x->lent = calloc(n + 1, sizeof(*x->lent));
	if (x->lent == NULL)
		return because(-ENOMEM, ret_why, "Out of memory.");
	for (size_t i = 0; r == 0 && i < n; i++) {
		x->n = i + 1;
		x->lent[i].config = configs[i];
		r = note(x, &x->lent[i], ret_why);
	}
	return r;
}

static int switch_offloads_off(struct interfaces *x, char ret_why[WHY_MAX])
{
	for (size_t i = 0; i < x->n; i++) {
		int r = silence_offloads(x->lent[i].silence);
		if (r < 0)
			return because(r, ret_why,
				"Cannot switch off GRO, LRO and VLAN offloads of %s: %s.",
				x->lent[i].config.device, strerror(-r));
	}
	return 0;
}

static int open_all(struct state_directory *directory, struct interfaces **ret_interfaces,
	char ret_why[WHY_MAX])
{
	struct interfaces *x = calloc(1, sizeof(*x));
	int r = x == NULL ? -ENOMEM : talk_open(NETLINK_ROUTE, &x->talk);

	if (r < 0) {
		free(x);
		return because(r, ret_why, "Cannot talk to the kernel: %s.", strerror(-r));
	}
	x->directory = directory;
	*ret_interfaces = x;
	return 0;
}

int interfaces_take(const struct interface_config *configs, size_t n_configs,
	struct state_directory *directory, struct interfaces **ret_interfaces,
	char ret_why[WHY_MAX])
{
	struct interfaces *x = NULL;
	char ignored[WHY_MAX];
	int r = open_all(directory, &x, ret_why);

	if (r < 0)
		return r;
	r = note_all(x, configs, n_configs, ret_why);
	if (r == 0 && n_configs > 0) {
		r = write_record(x);
		if (r < 0)
			because(r, ret_why, "Cannot write %s/%s: %s.",
				state_directory_path(directory), RECORD_FILE, strerror(-r));
	}
	if (r < 0) {
		destroy(x);
		return r;
	}
	r = switch_offloads_off(x, ret_why);
	if (r < 0) {
		(void)interfaces_restore(x, ignored);
		return r;
	}
	*ret_interfaces = x;
	return 0;
}

// Moving

static int move(struct interfaces *x, struct lent *lent, char ret_why[WHY_MAX])
{
	int r = 0;

	if (lent->config.adopt)
		r = belongings_move(x->talk, lent->belongings, lent->config.twin);
	if (r < 0)
		return because(r, ret_why, "Cannot move the addresses and routes of %s to %s: %s.",
			lent->config.device, lent->config.twin, strerror(-r));
	lent->moved = lent->config.adopt;
	r = silence_kernel(lent->silence);
	if (r < 0)
		return because(r, ret_why,
			"Cannot keep the kernel off %s (nftables ingress hook, disable_ipv6): %s.",
			lent->config.device, strerror(-r));
	return 0;
}

// What the twin has now, which may be other than what was lent: the operator or a routing daemon
// may have changed it. Where the twin is gone, what was lent. A twin that nothing was to be lent to
// keeps what it was given: that was never meant for the device.
static int return_belongings(struct interfaces *x, struct lent *lent)
{
	struct belongings *now;
	int r = belongings_read(x->talk, lent->config.twin, &now);

	if (r == 0) {
		r = belongings_move(x->talk, now, lent->config.device);
		belongings_destroy(now);
	}
	if (r < 0)
		r = belongings_give(x->talk, lent->belongings, lent->config.device);
	return r;
}

// The kernel must take IPv6 addresses again before any is returned.
static int return_all(struct interfaces *x, struct lent *lent)
{
	int first = silence_lift(lent->silence);
	int r = lent->moved ? return_belongings(x, lent) : 0;

	lent->moved = false;
	return first == 0 ? r : first;
}

int interfaces_move(struct interfaces *x, char ret_why[WHY_MAX])
{
	int r = 0;
	size_t n = 0;

	while (r == 0 && n < x->n)
		r = move(x, &x->lent[n++], ret_why);
	if (r == 0)
		return 0;
	while (n-- > 0)
		(void)return_all(x, &x->lent[n]);
	return r;
}

static int cannot_put_back(
	struct interfaces *x, const struct lent *lent, int r, char ret_why[WHY_MAX])
{
	x->failed = true;
	return because(r, ret_why, "Cannot put interface %s back as it was: %s.",
		lent->config.device, strerror(-r));
}

int interfaces_give_back(struct interfaces *x, char ret_why[WHY_MAX])
{
	int first = 0;

	for (size_t i = 0; x != NULL && i < x->n; i++) {
		int r = return_all(x, &x->lent[i]);
		if (r < 0 && first == 0)
			first = cannot_put_back(x, &x->lent[i], r, ret_why);
	}
	return first;
}

int interfaces_restore(struct interfaces *x, char ret_why[WHY_MAX])
{
	int first = 0;

	if (x == NULL)
		return 0;
	for (size_t i = 0; i < x->n; i++) {
		int r = silence_restore(x->lent[i].silence);
		if (r < 0 && first == 0)
			first = cannot_put_back(x, &x->lent[i], r, ret_why);
	}
	if (!x->failed)
		(void)state_directory_remove(x->directory, RECORD_FILE);
	destroy(x);
	return first;
}

// Recovering

static int recover_one(
	struct talk *t, const json_t *json, interface_clean_up_fn *clean_up, char ret_why[WHY_MAX])
{
	const char *device = json_string_value(json_object_get(json, "device"));
	struct belongings *b = belongings_from_json(json_object_get(json, "belongings"));
	struct silence *s = silence_from_json(json_object_get(json, "silence"));
	int r = device == NULL || b == NULL || s == NULL ? -EINVAL : 0;

	// An interface that is gone has nothing to be put back.
	if (r == 0 && if_nametoindex(device) != 0) {
		clean_up(device);
		int lifted = silence_lift(s), restored = silence_restore(s);
		int given = belongings_give(t, b, device);
		r = lifted < 0 ? lifted : restored < 0 ? restored : given;
	}
	belongings_destroy(b);
	silence_destroy(s);
	if (r < 0)
		because(r, ret_why, "Cannot put interface %s back as it was before a crash: %s.",
			device == NULL ? "?" : device, strerror(-r));
	return r;
}

static int recover_all(const json_t *record, interface_clean_up_fn *clean_up, char ret_why[WHY_MAX])
{
	const json_t *list = json_object_get(record, "interfaces");
	struct talk *t;
	int first = talk_open(NETLINK_ROUTE, &t);

	if (first < 0)
		return because(first, ret_why, "Cannot talk to the kernel: %s.", strerror(-first));
	for (size_t i = 0; i < json_array_size(list); i++) {
		char why[WHY_MAX];
		int r = recover_one(t, json_array_get(list, i), clean_up, why);
		if (r < 0 && first == 0)
			first = because(r, ret_why, "%s", why);
	}
	talk_close(t);
	return first;
}

static bool is_of_this_boot(const json_t *record)
{
	const char *recorded = json_string_value(json_object_get(record, "boot_id"));
	char boot_id[64];

	read_boot_id(boot_id);
	return recorded != NULL && strcmp(recorded, boot_id) == 0;
}

int interfaces_recover(
	struct state_directory *directory, interface_clean_up_fn *clean_up, char ret_why[WHY_MAX])
{
	char *text;
	size_t len;
	int r = state_directory_read(directory, RECORD_FILE, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return because(r, ret_why, "Cannot read %s/%s: %s.",
			state_directory_path(directory), RECORD_FILE, strerror(-r));

	json_t *record = json_loadb(text, len, 0, NULL);
	free(text);
	if (record == NULL)
		return because(-EINVAL, ret_why,
			"%s/%s is no record of interfaces: put them back by hand and remove it.",
			state_directory_path(directory), RECORD_FILE);
	r = is_of_this_boot(record) ? recover_all(record, clean_up, ret_why) : 0;
	json_decref(record);
	if (r == 0)
		(void)state_directory_remove(directory, RECORD_FILE);
	return r;
}
