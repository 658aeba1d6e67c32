"""Answers as the kube-proxies of many_objects.py's nodes do, on whatever port it is asked.

usage: many_nodes.py PORT LOCAL-EVERY

Runs where all addresses of the nodes are local and what is to their NodePorts is redirected to PORT.
"""

import re
import selectors
import socket
import sys

from many_objects import service_with_health_port

REQUEST_MAX = 4096


def answer_to(request, local_every):
    host = re.search(rb"^Host: \S+:(\d+)\r$", request, re.MULTILINE)
    service = service_with_health_port(int(host[1]), local_every) if host else None
    if service is None:
        return '{"nodeEligible": true}'
    return ('{"service": {"namespace": "%s", "name": "%s"}, "localEndpoints": 1, '
            '"serviceProxyHealthy": true}' % service)


def serve(connection, local_every):
    """One request, if it is more than a knock."""
    try:
        request = connection.recv(REQUEST_MAX)
        if request:
            body = answer_to(request, local_every)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                            % (len(body), body.encode()))
    except OSError:
        pass  # It is gone.
    connection.close()


def main():
    port, local_every = map(int, sys.argv[1:])
    listener = socket.create_server(("", port), backlog=4096)
    listener.setblocking(False)
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is not listener:
                ready.unregister(key.fileobj)
                serve(key.fileobj, local_every)
                continue
            try:
                connection, _ = listener.accept()
            except OSError:
                continue  # It went before it was asked in.
            connection.setblocking(False)
            ready.register(connection, selectors.EVENT_READ)


main()
