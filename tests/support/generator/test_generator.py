#!/usr/bin/python3
"""What the generator sends, judged by scapy: it writes to pcap files in place of a port.

usage: test_generator.py GENERATOR
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter

from scapy.all import ICMP, IP, TCP, UDP, Ether, IPv6, Raw, raw, rdpcap, wrpcap

EAL = ["--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m", "128", "-l", "0",
       "--iova-mode=va", "--log-level=error"]
TAG_LEN = 6
FIRST_RUN, SECOND_RUN = 1, 2
CLIENT_MAC, FORWARDER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
SNAT = {4: "192.0.2.100", 6: "2001:db8:2::100"}
NODE = {4: "192.0.2.11", 6: "2001:db8:2::11"}
generator_path = os.path.abspath(sys.argv[1])


def run_by(n_ports, *options, sends_back=(), commands=None):
    """Returns what the generator printed, line by line, and the packets it sent by each port. What
    comes back comes by the last."""
    with tempfile.TemporaryDirectory() as folder:
        vdevs = [f"--vdev=net_pcap{i},tx_pcap={folder}/out{i}.pcap" for i in range(n_ports)]
        if sends_back:
            wrpcap(f"{folder}/in.pcap", sends_back)
            vdevs[-1] += f",rx_pcap={folder}/in.pcap"
        done = subprocess.run([generator_path, *EAL, *vdevs, "--", *options],
                              input=commands, capture_output=True, text=True, timeout=60,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return answers, [list(rdpcap(f"{folder}/out{i}.pcap")) for i in range(n_ports)]


def run(*options, sends_back=(), commands=None):
    """The same of one port."""
    answers, (packets,) = run_by(1, *options, sends_back=sends_back, commands=commands)
    return answers, packets


def refuses(*options):
    """Returns what it complains of."""
    done = subprocess.run([generator_path, *EAL, "--vdev=net_null0,no-rx=1", "--", *options],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done
    return done.stderr


def l3(packet):
    return packet[IPv6] if IPv6 in packet else packet[IP]


def l4(packet):
    return packet[TCP] if TCP in packet else packet[UDP]


def checksums_are_right(packet):
    fresh = packet.copy()
    if IP in fresh:
        del fresh[IP].chksum
    del l4(fresh).chksum
    return raw(Ether(raw(fresh))) == raw(packet)


def tag(packet):
    return int.from_bytes(raw(packet)[-TAG_LEN:], "big")


def each(packets, what):
    """The one value that all packets have."""
    values = set(map(what, packets))
    assert len(values) == 1, values
    return values.pop()


# --- Cases ---------------------------------------------------------------------------------------

def frames_have_right_lengths_and_checksums(family, protocol, size):
    answers, packets = run("--family", str(family), "--protocol", protocol, "--size", str(size),
                           "--flows", "1000", "--vips", "10", "--packets", "60")
    least = {(4, "tcp"): 60, (4, "udp"): 60, (6, "tcp"): 80, (6, "udp"): 68}[family, protocol]

    assert answers[0]["sent"] == len(packets) == 60, answers
    assert each(packets, len) == max(least, size - 4)
    assert all(map(checksums_are_right, packets))
    assert each(packets, lambda p: (p.src, p.dst)) == (CLIENT_MAC, FORWARDER_MAC)
    assert each(packets, lambda p: l4(p).dport) == 80
    assert each(packets, lambda p: tag(p) >> 40) == FIRST_RUN
    if protocol == "tcp":
        assert each(packets, lambda p: str(p[TCP].flags)) == "PA"


def imix_is_seven_to_four_to_one():
    _, packets = run("--size", "imix", "--packets", "120")
    assert Counter(map(len, packets)) == {60: 70, 590: 40, 1514: 10}
    assert all(map(checksums_are_right, packets))
    _, packets = run("--size", "imix", "--largest", "1466", "--packets", "120")
    assert Counter(map(len, packets)) == {60: 70, 590: 40, 1462: 10}


def flows_are_picked_at_random_and_each_keeps_its_vip():
    _, packets = run("--flows", "512", "--vips", "4", "--packets", "2000", "--vip", "10.0.0.8")
    flows = Counter((p[IP].src, p[TCP].sport) for p in packets)
    vips = {(p[IP].src, p[TCP].sport, p[IP].dst) for p in packets}

    assert 480 < len(flows) == len(vips) <= 512  # Some 10 are not met by chance.
    assert max(flows.values()) < 20, max(flows.values())  # Of 4 on average.
    assert {v[2] for v in vips} == {f"10.0.0.{8 + i}" for i in range(4)}
    assert {p[IP].src for p in packets} == {"198.18.0.0", "198.18.0.1"}


def another_seed_is_another_order_of_flows():
    def order(seed):
        _, packets = run("--flows", "65536", "--packets", "50", "--seed", str(seed))
        return [(p[IP].src, p[TCP].sport) for p in packets]

    first, second = order(1), order(2)
    assert first == order(1)
    assert sum(a == b for a, b in zip(first, second)) < 5, (first, second)


def sixteen_million_flows_have_ends_of_their_own():
    _, packets = run("--flows", str(1 << 24), "--packets", "300", "--family", "6", "--protocol",
                     "udp")
    assert len({(p[IPv6].src, p[UDP].sport) for p in packets}) == 300
    assert all(map(checksums_are_right, packets))


def addresses_and_ports_are_as_asked():
    _, packets = run("--client", "10.1.2.3", "--vip", "10.9.8.7", "--vip-port", "443", "--packets",
                     "10", "--source-mac", "02:00:00:00:00:0a", "--destination-mac",
                     "02:00:00:00:00:0b")
    assert each(packets, lambda p: (p.src, p.dst, p[IP].src, p[IP].dst, p[TCP].dport)) == (
        "02:00:00:00:00:0a", "02:00:00:00:00:0b", "10.1.2.3", "10.9.8.7", 443)


def a_set_rate_is_kept():
    (answer,), packets = run("--rate", "400", "--seconds", "0.5")
    # What a busy machine was late for is not offered, so that there may be any number fewer.
    assert 1 <= answer["sent"] + answer["late"] <= 201, answer
    assert len(packets) == answer["sent"]

    _, packets = run("--rate", "400", "--packets", "100")
    assert len(packets) == 100


def flow_opened(family, protocol, number):
    """As the forwarder hands its first packet to the node."""
    ip = IP(src=SNAT[4], dst=NODE[4], ttl=63) if family == 4 else IPv6(
        src=SNAT[6], dst=NODE[6], hlim=63)
    ports = {"sport": 40000 + number, "dport": 30080}
    head = TCP(**ports, flags="S", seq=1000) if protocol == "tcp" else UDP(**ports)
    payload = (FIRST_RUN << 40 | number).to_bytes(TAG_LEN, "big")
    packet = Ether(src=FORWARDER_MAC, dst="02:00:00:00:01:11") / ip / head / Raw(payload)
    if len(packet) < 60:  # As the generator has it.
        packet[Raw].load = bytes(60 - len(packet)) + payload
    return Ether(raw(packet))


def a_node_answers_and_its_answers_are_sent_again(family, protocol):
    flows = [flow_opened(family, protocol, number) for number in range(4)]
    what = f"--family {family} --protocol {protocol} --flows 4"
    answers, packets = run("--commands", sends_back=flows, commands=(
        f"{what} --open\n{what} --direction return --packets 60 --size 128\n"))
    of_node = [p for p in packets if l4(p).sport == 30080]
    turned = [p for p in of_node if tag(p) >> 40 == FIRST_RUN]
    measured = [p for p in of_node if tag(p) >> 40 == SECOND_RUN]

    assert answers[1]["sent"] == len(measured) == 60, answers
    assert len(turned) == 4
    assert all(map(checksums_are_right, of_node))
    assert each(of_node, lambda p: (l3(p).src, l3(p).dst)) == (NODE[family], SNAT[family])
    assert {l4(p).dport for p in measured} == {40000, 40001, 40002, 40003}
    assert {(l4(p).dport, tag(p) & 0xff) for p in turned} == {(40000 + i, i) for i in range(4)}
    assert each(turned, lambda p: (p.src, p.dst)) == ("02:00:00:00:01:11", FORWARDER_MAC)
    if protocol == "tcp":
        assert each(turned, lambda p: (str(p[TCP].flags), p[TCP].ack)) == ("SA", 1001)
        assert each(measured, lambda p: str(p[TCP].flags)) == "PA"


def nodes_may_be_by_another_port():
    flows = [flow_opened(4, "udp", number) for number in range(4)]
    what = "--protocol udp --flows 4 --nodes-by 1"
    answers, (by_clients, by_nodes) = run_by(2, "--commands", sends_back=flows, commands=(
        f"{what} --open\n{what} --direction return --packets 60\n{what} --packets 30\n"))
    assert (answers[1]["sent"], answers[2]["sent"]) == (60, 30), answers
    assert {l4(p).sport for p in by_nodes} == {30080} and len(by_nodes) == 4 + 60
    assert {l4(p).dport for p in by_clients} == {80} and len(by_clients) >= 4 + 30


def a_client_ends_the_handshake():
    syn_ack = Ether(src=FORWARDER_MAC, dst=CLIENT_MAC) / IP(
        src="203.0.113.0", dst="198.18.0.0") / TCP(
            sport=80, dport=1024, flags="SA", seq=50000, ack=1001) / Raw(
                (FIRST_RUN << 40).to_bytes(TAG_LEN, "big"))
    _, packets = run("--open", sends_back=[Ether(raw(syn_ack))])
    (third,) = [p for p in packets if p[TCP].flags == "A"]
    assert all(map(checksums_are_right, packets))
    assert {str(p[TCP].flags) for p in packets} == {"S", "A"}
    assert (third[TCP].seq, third[TCP].ack, third[TCP].sport) == (1001, 50001, 1024)
    assert (third[IP].src, third[IP].dst) == ("198.18.0.0", "203.0.113.0")


def what_comes_back_is_counted_and_what_is_foreign_is_told_apart():
    def came(run_number, head):
        return Ether(raw(Ether() / IP(src="1.1.1.1", dst="2.2.2.2") / head / Raw(
            bytes(40) + (run_number << 40).to_bytes(TAG_LEN, "big"))))

    ours, old, quoted = (came(FIRST_RUN, UDP()), came(9, UDP()), came(FIRST_RUN, ICMP()))
    (answer,), _ = run("--packets", "10", sends_back=[ours, old, quoted, ours])
    assert (answer["received"], answer["foreign"], answer["lost"]) == (2, 2, 8), answer


def mistakes_are_named():
    assert "--size takes BYTES|imix, not '63'" in refuses("--size", "63")
    assert "--flows takes N, not ''" in refuses("--flows")
    assert "there is no option 'fast'" in refuses("fast")
    assert "not all of these flows have been opened" in refuses("--direction", "return")
    assert "--port: there is no such port" in refuses("--port", "3")
    assert "--nodes-by: there is no such port" in refuses("--nodes-by", "3")


CASES = [
    *[(frames_have_right_lengths_and_checksums, family, protocol, size)
      for family in (4, 6) for protocol in ("tcp", "udp") for size in (64, 128, 512, 1518)],
    *[(a_node_answers_and_its_answers_are_sent_again, family, protocol)
      for family in (4, 6) for protocol in ("tcp", "udp")],
    (nodes_may_be_by_another_port,),
    (imix_is_seven_to_four_to_one,),
    (flows_are_picked_at_random_and_each_keeps_its_vip,),
    (another_seed_is_another_order_of_flows,),
    (sixteen_million_flows_have_ends_of_their_own,),
    (addresses_and_ports_are_as_asked,),
    (a_set_rate_is_kept,),
    (a_client_ends_the_handshake,),
    (what_comes_back_is_counted_and_what_is_foreign_is_told_apart,),
    (mistakes_are_named,),
]


def main():
    failed = 0
    for case, *arguments in CASES:
        name = " ".join([case.__name__.replace("_", " "), *map(str, arguments)])
        try:
            case(*arguments)
            print("ok", name)
        except (AssertionError, RuntimeError, KeyError) as what:
            failed += 1
            print("FAILED", name, repr(what))
    print(f"{len(CASES) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
