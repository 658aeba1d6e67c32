#!/usr/bin/python3
"""The VLAN tag of a trunk, where the kernel has no 8021q: tag.py INTERFACE TAP VLAN

Makes the interface TAP. What it is given goes to INTERFACE with the tag; what comes from INTERFACE
with the tag goes to TAP without it, and what comes without it, or with another, is said and dropped.
"""

import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING, TP_STATUS_VLAN_VALID = 263, 8, 4, 1 << 4
ETH_P_ALL, ETH_P_8021Q = 3, 0x8100
FRAME_MAX = 65536


def open_tap(name):
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def open_interface(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.bind((name, ETH_P_ALL))
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    return s


def tag_of(control):
    """The kernel takes the tag from the frame and tells it beside (packet(7))."""
    for level, kind, data in control:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, tci = struct.unpack_from("I", data)[0], struct.unpack_from("H", data, 16)[0]
            return tci & 0xFFF if status & TP_STATUS_VLAN_VALID else None
    return None


def receive(interface, tap, vlan):
    frame, control, _, address = interface.recvmsg(FRAME_MAX, socket.CMSG_SPACE(20))
    if address[2] == PACKET_OUTGOING:
        return
    if tag_of(control) != vlan:
        print(f"a frame has tag {tag_of(control)}", flush=True)
        return
    os.write(tap, frame)


def main():
    interface, tap = open_interface(sys.argv[1]), open_tap(sys.argv[2])
    vlan = int(sys.argv[3])
    tag = struct.pack("!HH", ETH_P_8021Q, vlan)
    while True:
        for ready in select.select([interface, tap], [], [])[0]:
            try:
                if ready is tap:
                    frame = os.read(tap, FRAME_MAX)
                    interface.send(frame[:12] + tag + frame[12:])
                else:
                    receive(interface, tap, vlan)
            except OSError as e:  # An interface that is down.
                print(e, flush=True)


main()
