"""Cases that cannot be run through the daemon (daemon.py), and why."""

from tunnels import TUNNELS

BY_LEARNING = "nodes have to learn only what Kubernetes tells them of"
BY_NETWORK = "the nodes of the daemon's world are on networks of its ports"
BY_CLOCK = "the daemon's clock cannot be moved"
BY_RATE = "whether a rate is exceeded depends on how fast this machine is just then"
BY_ROOM = "the daemon has more room than that"
BY_MTU = "what is larger than a port's MTU the kernel does not let through to it"

# By their names without the families.
CANNOT = {
    "a frame of 1 bytes": "the kernel sends no frame without an Ethernet header",
    "a frame of 6 bytes": "the kernel sends no frame without an Ethernet header",
    "a frame of 13 bytes": "the kernel sends no frame without an Ethernet header",
    "an established connection outlives silence below its idle time": BY_CLOCK,
    "a flow is forgotten after its idle time": BY_CLOCK,
    "a reply after its flow was forgotten": BY_CLOCK,
    "an error about a flow that was forgotten": BY_CLOCK,
    "fragments whose others do not come in time are forgotten": BY_CLOCK,
    "dnat: no flow is needed, in either direction": BY_CLOCK,
    "no more answers than the settings allow": BY_RATE,
    "no more echoes than the settings allow": BY_RATE,
    "each kind of ICMP error has a limit of its own": BY_RATE,
    "no more answers of all kinds together than the settings allow": BY_RATE,
    "flow memory is full of established flows": BY_ROOM,
    "a flood of lone fragments costs others nothing": BY_ROOM,
    "no SNAT port is this worker's": "all ports are the only worker's",
    "a connection of a dead node begins anew in silence, if so configured": (
        "a table in which a node is down, and yet in the ring, is never published"
    ),
}
for mode in ("dsr", "tunnel", "gue", "crossing"):
    CANNOT[mode + ": packets of clients end in silence until a node knows the VIP"] = BY_LEARNING
for node in (0, 1):
    CANNOT["dsr: node %d is asked, whether it knows the VIP or not" % node] = BY_LEARNING
for t in TUNNELS:
    CANNOT[t.name + ": what the router before its node brings is none"] = BY_NETWORK
    CANNOT[t.name + ": what the way takes is forgotten after ten minutes"] = BY_CLOCK
    if t.node == 1:
        CANNOT[t.name + ": SCTP and TCP that do not fit are answered by what does"] = BY_MTU
        CANNOT[t.name + ": an error that does not fit is not answered by another"] = BY_MTU
        CANNOT[t.name + ": a SYN that is too big comes back as it was, whatever its MSS"] = BY_MTU


def without_family(name):
    return name.removesuffix(" (IPv4)").removesuffix(" (IPv6)")


def reason_against(name):
    """Why a case cannot be run so, or None."""
    return CANNOT.get(without_family(name))


def names_without_case(names):
    """Those in CANNOT that no case has, which must not stay there."""
    found = {without_family(name) for name in names}
    return [name for name in CANNOT if name not in found]
