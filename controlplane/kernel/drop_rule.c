#include "drop_rule.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <limits.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "talk.h"

// An nftables chain at the netdev ingress hook, whose policy is to drop and which has no rule:
//
//     table netdev guideway-PID-INTERFACE {
//         flags owner
//         chain ingress { type filter hook ingress device INTERFACE priority -2^31; policy drop; }
//     }
//
// The kernel hands a frame to packet sockets before it comes to that hook (net/core/dev.c,
// __netif_receive_skb_core: ptype_all, then nf_ingress), and to XDP programs before either: so the
// port still gets everything. A test shows it.
//
// The table is owned by our netlink socket (Linux 5.12): nobody else may change it, and it is gone
// when the socket is closed, be it by our death. That, and having no program to find or to fail,
// is why it is made by netlink and not by running nft; there are no expressions in it, which would
// be the laborious part.

struct drop_rule {
	struct talk *talk;
};

enum { TABLE_TEXT_MAX = 48, BATCH_MAX = 2048 };

static struct nlmsghdr *put(
	void *buffer, uint16_t type, uint16_t flags, uint8_t family, uint16_t id)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	header->res_id = htons(id);
	return message;
}

static struct nlmsghdr *put_nft(void *buffer, uint16_t type)
{
	return put(buffer, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
		NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, NFPROTO_NETDEV, 0);
}

static size_t put_table(void *buffer, const char *table)
{
	struct nlmsghdr *message = put_nft(buffer, NFT_MSG_NEWTABLE);

	mnl_attr_put_strz(message, NFTA_TABLE_NAME, table);
	mnl_attr_put_u32(message, NFTA_TABLE_FLAGS, htonl(NFT_TABLE_F_OWNER));
	return message->nlmsg_len;
}

static size_t put_chain(void *buffer, const char *table, const char *interface)
{
	struct nlmsghdr *message = put_nft(buffer, NFT_MSG_NEWCHAIN);

	mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, table);
	mnl_attr_put_strz(message, NFTA_CHAIN_NAME, "ingress");
	mnl_attr_put_strz(message, NFTA_CHAIN_TYPE, "filter");
	mnl_attr_put_u32(message, NFTA_CHAIN_POLICY, htonl(NF_DROP));
	struct nlattr *hook = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(message, NFTA_HOOK_HOOKNUM, htonl(NF_NETDEV_INGRESS));
	mnl_attr_put_u32(message, NFTA_HOOK_PRIORITY, htonl((uint32_t)INT_MIN));
	mnl_attr_put_strz(message, NFTA_HOOK_DEV, interface);
	mnl_attr_nest_end(message, hook);
	return message->nlmsg_len;
}

static int make_table(struct talk *t, const char *interface)
{
	char batch[BATCH_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	char table[TABLE_TEXT_MAX];
	size_t len = 0;

	snprintf(table, sizeof(table), "guideway-%d-%s", (int)getpid(), interface);
	len += put(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES)->nlmsg_len;
	len += put_table(batch + len, table);
	len += put_chain(batch + len, table, interface);
	len += put(batch + len, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES)->nlmsg_len;
	return talk_ask_all(t, batch, len, 2);
}

int drop_rule_put(const char *interface, struct drop_rule **ret_rule)
{
	struct drop_rule *rule = calloc(1, sizeof(*rule));
	int r = -ENOMEM;

	if (rule == NULL)
		goto fail;
	r = talk_open(NETLINK_NETFILTER, &rule->talk);
	if (r < 0)
		goto fail;
	r = make_table(rule->talk, interface);
	if (r < 0)
		goto fail;
	*ret_rule = rule;
	return 0;

fail:
	drop_rule_remove(rule);
	return r;
}

void drop_rule_remove(struct drop_rule *rule)
{
	if (rule == NULL)
		return;
	talk_close(rule->talk);
	free(rule);
}
