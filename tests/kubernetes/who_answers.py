"""Asks, as a host on the segment of eth0, who has addresses, by ARP and neighbour solicitations, five
times a second for so many seconds; or with 0, once it has said so, until SIGTERM.

usage: who_answers.py SECONDS ADDRESS...

Then tells of each address, in a line: how long it was without an answer at most, how long two answered
side by side at most, both in seconds, and the MAC addresses of those who did, the first one first:

    203.0.113.1 silent 0.2 doubled 0.0 02:00:00:00:01:fa
"""

import logging
import select
import signal
import sys
import time

logging.disable()
from scapy.all import (ARP, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, Ether, IPv6,
                       get_if_hwaddr, in6_getnsma, in6_getnsmac, inet_ntop, inet_pton, socket)

INTERFACE = "eth0"
OWN4, OWN6 = "198.51.100.10", "2001:db8:c1::10"
PERIOD_S = 0.2
ALL_FRAMES = 3

over = False


def question(address, mac):
    if ":" not in address:
        return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=OWN4, pdst=address)
    group = in6_getnsma(inet_pton(socket.AF_INET6, address))
    return (Ether(src=mac, dst=in6_getnsmac(group))
            / IPv6(src=OWN6, dst=inet_ntop(socket.AF_INET6, group), hlim=255)
            / ICMPv6ND_NS(tgt=address) / ICMPv6NDOptSrcLLAddr(lladdr=mac))


def is_of_neighbours(data):
    """ARP or ICMPv6, which are few."""
    return data[12:14] == b"\x08\x06" or data[12:14] == b"\x86\xdd" and data[20:21] == b"\x3a"


def answered(frame):
    """The address that it answers for to us; announcements are to all."""
    if ARP in frame and frame[ARP].op == 2 and frame[ARP].pdst == OWN4:
        return frame[ARP].psrc
    if ICMPv6ND_NA in frame and frame[IPv6].dst == OWN6:
        return frame[ICMPv6ND_NA].tgt
    return None


class Record:
    """What was answered for one address, round by round: a time that this had no CPU counts as one."""

    def __init__(self):
        self.who = []
        self.now = set()  # Who answered in this round.
        self.silent = self.most_silent = 0
        self.doubled = self.most_doubled = 0

    def note(self, mac):
        self.now.add(mac)
        if mac not in self.who:
            self.who.append(mac)

    def end_round(self):
        self.silent = 0 if self.now else self.silent + 1
        self.doubled = self.doubled + 1 if len(self.now) > 1 else 0
        self.most_silent = max(self.most_silent, self.silent)
        self.most_doubled = max(self.most_doubled, self.doubled)
        self.now.clear()


def listen(link, records, until):
    while (left := until - time.monotonic()) > 0:
        if not select.select([link], [], [], left)[0]:
            return
        data = link.recv(2048)
        frame = Ether(data) if is_of_neighbours(data) else None
        address = None if frame is None else answered(frame)
        if address in records:
            records[address].note(frame.src)


def stop(*_):
    global over
    over = True


def main(seconds, addresses):
    signal.signal(signal.SIGTERM, stop)
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_FRAMES))
    link.bind((INTERFACE, ALL_FRAMES))
    mac = get_if_hwaddr(INTERFACE)
    questions = [bytes(question(a, mac)) for a in addresses]
    if seconds == 0:
        print("asking", flush=True)
    began = due = time.monotonic()
    records = {a: Record() for a in addresses}
    while not over and (seconds == 0 or due < began + seconds):
        for frame in questions:
            link.send(frame)
        due = max(due + PERIOD_S, time.monotonic())
        listen(link, records, due)
        for record in records.values():
            record.end_round()
    for address, record in records.items():
        print(address, f"silent {record.most_silent * PERIOD_S:.1f}",
              f"doubled {record.most_doubled * PERIOD_S:.1f}", *record.who)


main(float(sys.argv[1]), sys.argv[2:])
