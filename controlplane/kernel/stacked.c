#include "stacked.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct search {
	uint32_t ifindex;
	uint32_t master;      // Of the interface itself; 0 if it has none.
	char above[IFNAMSIZ]; // What stands on it; empty if nothing does.
};

// A veth's other end, too, is said to be the link that it stands on.
static bool stands_on_links(const struct nlattr *info)
{
	const struct nlattr *a;

	if (info == NULL)
		return false;
	mnl_attr_for_each_nested(a, info)
	{
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			return strcmp(mnl_attr_get_str(a), "veth") != 0;
	}
	return false;
}

static int look(void *context, const struct nlmsghdr *message)
{
	struct search *s = context;
	const struct nlattr *a, *info = NULL;
	const char *name = "";
	uint32_t link = 0, master = 0;
	bool elsewhere = false;

	if (message == NULL || message->nlmsg_type != RTM_NEWLINK)
		return 0;

	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	mnl_attr_for_each(a, message, sizeof(*header))
	{
		uint16_t type = mnl_attr_get_type(a);
		if (type == IFLA_IFNAME)
			name = mnl_attr_get_str(a);
		else if (type == IFLA_LINK)
			link = mnl_attr_get_u32(a);
		else if (type == IFLA_MASTER)
			master = mnl_attr_get_u32(a);
		else if (type == IFLA_LINKINFO)
			info = a;
		else if (type == IFLA_LINK_NETNSID)
			elsewhere = true;
	}
	if ((uint32_t)header->ifi_index == s->ifindex)
		s->master = master;
	else if (link == s->ifindex && !elsewhere && stands_on_links(info))
		snprintf(s->above, sizeof(s->above), "%s", name);
	return 0;
}

int stacked_find(struct talk *t, const char *interface, char ret_name[IFNAMSIZ])
{
	struct search s = {.ifindex = if_nametoindex(interface)};
	int r = s.ifindex == 0 ? -ENODEV : talk_dump(t, RTM_GETLINK, AF_UNSPEC, look, &s);

	if (r < 0)
		return r;
	if (s.master != 0 && if_indextoname(s.master, ret_name) != NULL)
		return 0;
	if (s.above[0] == '\0')
		return -ENOENT;
	memcpy(ret_name, s.above, IFNAMSIZ);
	return 0;
}
