#include "xdp.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

// The program that libxdp and the older libbpf attach for AF_XDP sockets, and the one that calls it
// where several share an interface.
static const char *const af_xdp_programs[] = {"xsk_def_prog", "xdp_dispatcher"};

// Of an interface's XDP program.
struct attached {
	uint32_t program; // 0 for none.
	uint8_t mode;     // XDP_ATTACHED_DRV, ...
};

static int take_inner(const struct nlattr *attribute, void *data)
{
	struct attached *attached = data;

	if (mnl_attr_get_type(attribute) == IFLA_XDP_PROG_ID)
		attached->program = mnl_attr_get_u32(attribute);
	if (mnl_attr_get_type(attribute) == IFLA_XDP_ATTACHED)
		attached->mode = mnl_attr_get_u8(attribute);
	return MNL_CB_OK;
}

static int take_outer(const struct nlattr *attribute, void *data)
{
	if (mnl_attr_get_type(attribute) != IFLA_XDP)
		return MNL_CB_OK;
	return mnl_attr_parse_nested(attribute, take_inner, data);
}

static int take_link(const struct nlmsghdr *message, void *data)
{
	return mnl_attr_parse(message, sizeof(struct ifinfomsg), take_outer, data);
}

// Sends one request and takes its one answer. Returns 0 or -errno.
static int converse(struct nlmsghdr *request, mnl_cb_t take, void *data)
{
	char answer[32768];
	int r = -EIO;
	struct mnl_socket *socket = mnl_socket_open(NETLINK_ROUTE);
	if (socket == NULL)
		return -errno;

	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) >= 0 &&
		mnl_socket_sendto(socket, request, request->nlmsg_len) >= 0) {
		ssize_t len = mnl_socket_recvfrom(socket, answer, sizeof(answer));

		if (len >= 0)
			r = mnl_cb_run(answer, (size_t)len, 0, mnl_socket_get_portid(socket), take,
				    data) < 0
				? -errno
				: 0;
	}
	mnl_socket_close(socket);
	return r;
}

static struct nlmsghdr *link_request(void *buffer, uint16_t type, uint16_t flags, unsigned index)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(request, sizeof(*link));

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | flags;
	link->ifi_family = AF_UNSPEC;
	link->ifi_index = (int)index;
	return request;
}

static int find(unsigned index, struct attached *ret_attached)
{
	char buffer[256];

	return converse(link_request(buffer, RTM_GETLINK, 0, index), take_link, ret_attached);
}

static int detach(unsigned index, uint8_t mode)
{
	char buffer[256];
	struct nlmsghdr *request = link_request(buffer, RTM_SETLINK, NLM_F_ACK, index);
	struct nlattr *xdp = mnl_attr_nest_start(request, IFLA_XDP);

	mnl_attr_put_u32(request, IFLA_XDP_FD, (uint32_t)-1);
	mnl_attr_put_u32(request, IFLA_XDP_FLAGS,
		mode == XDP_ATTACHED_SKB          ? XDP_FLAGS_SKB_MODE
			: mode == XDP_ATTACHED_HW ? XDP_FLAGS_HW_MODE
						  : XDP_FLAGS_DRV_MODE);
	mnl_attr_nest_end(request, xdp);
	return converse(request, NULL, NULL);
}

static int call_bpf(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static int read_name(uint32_t program, char ret_name[XDP_NAME_MAX])
{
	struct bpf_prog_info info = {0};
	int fd = call_bpf(BPF_PROG_GET_FD_BY_ID, &(union bpf_attr){.prog_id = program});
	if (fd < 0)
		return -errno;

	int r = call_bpf(BPF_OBJ_GET_INFO_BY_FD,
		&(union bpf_attr){
			.info.bpf_fd = (uint32_t)fd,
			.info.info_len = sizeof(info),
			.info.info = (uint64_t)(uintptr_t)&info,
		});
	r = r < 0 ? -errno : 0;
	close(fd);
	if (r == 0)
		snprintf(ret_name, XDP_NAME_MAX, "%s", info.name);
	return r;
}

static bool is_for_af_xdp(const char *name)
{
	for (size_t i = 0; i < sizeof(af_xdp_programs) / sizeof(af_xdp_programs[0]); i++) {
		if (strcmp(name, af_xdp_programs[i]) == 0)
			return true;
	}
	return false;
}

int xdp_clean_up(const char *interface, char ret_name[XDP_NAME_MAX])
{
	char name[XDP_NAME_MAX] = "?";
	struct attached attached = {0};
	unsigned index = if_nametoindex(interface);

	int r = find(index, &attached);
	if (r < 0 || attached.program == 0)
		return r;

	r = read_name(attached.program, name);
	if (r < 0)
		return r;
	if (is_for_af_xdp(name))
		return detach(index, attached.mode);

	snprintf(ret_name, XDP_NAME_MAX, "%s", name);
	return -EBUSY;
}
