#include "silence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drop_rule.h"
#include "offloads.h"

// What is noted is put back. The interface's being up is not, since whoever set it down meanwhile
// meant it; but one that was down is set down, as the port brought it up.

#define NOTED_FLAGS (IFF_PROMISC | IFF_ALLMULTI)

struct silence {
	char interface[IFNAMSIZ];
	int flags; // NOTED_FLAGS of it.
	bool was_down;
	int mtu;
	bool ipv6_known; // Else this kernel, or this interface, has no IPv6.
	bool ipv6_disabled;
	uint64_t offloads; // Those that were on: offloads.h.
	struct drop_rule *rule;
};

// Files under /proc/sys/net are of the network namespace of whoever opens them. A container may
// only read its own; those of the host, which have the same namespace then, are mounted at /host.
static int open_ipv6_switch(const char *interface, int flags)
{
	char path[64 + IFNAMSIZ];

	snprintf(path, sizeof(path), "/host/proc/sys/net/ipv6/conf/%s/disable_ipv6", interface);
	int fd = open(path + strlen("/host"), flags | O_CLOEXEC);
	if (fd >= 0 || errno != EROFS)
		return fd;
	fd = open(path, flags | O_CLOEXEC);
	errno = EROFS; // What is to be told, if that fails.
	return fd;
}

static void note_ipv6(struct silence *s)
{
	int fd = open_ipv6_switch(s->interface, O_RDONLY);
	char value = '0';

	if (fd < 0)
		return;
	s->ipv6_known = read(fd, &value, 1) == 1;
	s->ipv6_disabled = value != '0';
	close(fd);
}

static int set_ipv6(const struct silence *s, bool disabled)
{
	if (!s->ipv6_known)
		return 0;

	int fd = open_ipv6_switch(s->interface, O_WRONLY);
	if (fd < 0)
		return -errno;
	int r = write(fd, disabled ? "1" : "0", 1) == 1 ? 0 : -errno;
	close(fd);
	return r;
}

// 'request' is SIOCGIFFLAGS or another of an interface.
static int ask(const char *interface, unsigned long request, struct ifreq *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", interface);
	int result = ioctl(fd, request, r) < 0 ? -errno : 0;
	close(fd);
	return result;
}

static int note_flags_and_mtu(struct silence *s)
{
	struct ifreq request = {0};
	int r = ask(s->interface, SIOCGIFFLAGS, &request);

	if (r < 0)
		return r;
	s->flags = request.ifr_flags & NOTED_FLAGS;
	s->was_down = !(request.ifr_flags & IFF_UP);
	r = ask(s->interface, SIOCGIFMTU, &request);
	s->mtu = request.ifr_mtu;
	return r;
}

static int put_back_flags(const struct silence *s)
{
	struct ifreq request = {0};
	int r = ask(s->interface, SIOCGIFFLAGS, &request);

	if (r < 0)
		return r;
	request.ifr_flags = (short)((request.ifr_flags & ~NOTED_FLAGS) | s->flags);
	if (s->was_down)
		request.ifr_flags &= (short)~IFF_UP;
	return ask(s->interface, SIOCSIFFLAGS, &request);
}

static int put_back_mtu(const struct silence *s)
{
	struct ifreq request = {.ifr_mtu = s->mtu};

	return ask(s->interface, SIOCSIFMTU, &request);
}

int silence_note(const char *interface, struct silence **ret_silence)
{
	struct silence *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (s == NULL)
		goto fail;
	snprintf(s->interface, sizeof(s->interface), "%s", interface);
	note_ipv6(s);
	r = note_flags_and_mtu(s);
	if (r < 0)
		goto fail;
	r = offloads_read(interface, &s->offloads);
	if (r < 0)
		goto fail;
	*ret_silence = s;
	return 0;

fail:
	silence_destroy(s);
	return r;
}

void silence_destroy(struct silence *s)
{
	if (s == NULL)
		return;
	drop_rule_remove(s->rule);
	free(s);
}

int silence_offloads(struct silence *s)
{
	return offloads_switch(s->interface, s->offloads, false);
}

int silence_kernel(struct silence *s)
{
	int r = drop_rule_put(s->interface, &s->rule);

	return r < 0 ? r : set_ipv6(s, true);
}

static void note_first(int *first, int r)
{
	if (*first == 0)
		*first = r;
}

int silence_lift(struct silence *s)
{
	int first = 0;

	drop_rule_remove(s->rule);
	s->rule = NULL;
	note_first(&first, set_ipv6(s, s->ipv6_disabled));
	return first;
}

int silence_restore(const struct silence *s)
{
	int first = 0;

	note_first(&first, put_back_flags(s));
	note_first(&first, put_back_mtu(s));
	note_first(&first, offloads_switch(s->interface, s->offloads, true));
	return first;
}

json_t *silence_to_json(const struct silence *s)
{
	return json_pack("{s:s, s:i, s:b, s:i, s:b, s:b, s:I}", "interface", s->interface, "flags",
		s->flags, "was_down", s->was_down, "mtu", s->mtu, "ipv6_known", s->ipv6_known,
		"ipv6_disabled", s->ipv6_disabled, "offloads", (json_int_t)s->offloads);
}

struct silence *silence_from_json(const json_t *json)
{
	struct silence *s = calloc(1, sizeof(*s));
	const char *interface;
	int was_down = false, ipv6_known, ipv6_disabled; // Older records do not say the first.
	json_int_t offloads;

	if (s == NULL)
		return NULL;
	if (json_unpack((json_t *)json, "{s:s, s:i, s?b, s:i, s:b, s:b, s:I}", "interface",
		    &interface, "flags", &s->flags, "was_down", &was_down, "mtu", &s->mtu,
		    "ipv6_known", &ipv6_known, "ipv6_disabled", &ipv6_disabled, "offloads",
		    &offloads) < 0 ||
		strlen(interface) >= IFNAMSIZ) {
		free(s);
		return NULL;
	}
	snprintf(s->interface, sizeof(s->interface), "%s", interface);
	s->was_down = was_down;
	s->ipv6_known = ipv6_known;
	s->ipv6_disabled = ipv6_disabled;
	s->offloads = (uint64_t)offloads;
	return s;
}
