#pragma once

enum { XDP_NAME_MAX = 16 };

// A process that used AF_XDP and was killed leaves its XDP program on the interface. Takes away the
// one that libxdp attaches for AF_XDP sockets. Returns 0 when none is there any more, -EBUSY when
// there is another's program, whose name is then in 'ret_name', or -errno.
int xdp_clean_up(const char *interface, char ret_name[XDP_NAME_MAX]);
