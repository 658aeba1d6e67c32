"""The two ends of an SCTP handshake by raw sockets, since the kernel has none of SCTP's.

usage: sctp.py answer PORT TAG             takes INIT on either family, and answers with that tag
       sctp.py ask ADDRESS PORT FROM [TO]  sends INIT from a port, or from each of these in turn, and prints
                                           the tag that comes back; fails if none does
"""

import select
import socket
import sys

from scapy.layers.sctp import SCTP, SCTPChunkInit, SCTPChunkInitAck

SCTP_PROTOCOL = 132
SECONDS = 1


def raw_socket(family):
    return socket.socket(family, socket.SOCK_RAW, SCTP_PROTOCOL)


def receive(s):
    """Who sent the packet, and its SCTP; of IPv4 the IP header comes, too."""
    packet, sender = s.recvfrom(2000)
    skip = (packet[0] & 15) * 4 if s.family == socket.AF_INET else 0
    return sender[0], SCTP(packet[skip:])


def answer(port, tag):
    sockets = [raw_socket(socket.AF_INET), raw_socket(socket.AF_INET6)]
    while True:
        for s in select.select(sockets, [], [])[0]:
            sender, asked = receive(s)
            if asked.dport != port or SCTPChunkInit not in asked:
                continue
            reply = SCTP(sport=port, dport=asked.sport, tag=asked[SCTPChunkInit].init_tag)
            s.sendto(bytes(reply / SCTPChunkInitAck(init_tag=tag)), (sender, 0))


def ask(s, address, port, source_port):
    s.sendto(bytes(SCTP(sport=source_port, dport=port, tag=0) / SCTPChunkInit(init_tag=7)), (address, 0))
    while select.select([s], [], [], SECONDS)[0]:
        sender, reply = receive(s)
        if sender == address and (reply.sport, reply.dport) == (port, source_port):
            if SCTPChunkInitAck in reply:
                print(reply[SCTPChunkInitAck].init_tag, flush=True)
                return True
    return False


def ask_from_all(address, port, first, last=None):
    with raw_socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
        ports = range(first, (last or first) + 1)
        return any([ask(s, address, port, source_port) for source_port in ports])


if sys.argv[1] == "answer":
    answer(int(sys.argv[2]), int(sys.argv[3]))
sys.exit(not ask_from_all(sys.argv[2], *map(int, sys.argv[3:])))
