#!/usr/bin/python3
"""An API server that follows a script, for what a real one cannot be made to do.

usage: server.py FOLDER SCENARIO [--tls] [--client-ca]

Prints its port, and then serves on 127.0.0.1 until its standard input ends. FOLDER gets 'requests', a
line for each request: method, path and query, and what of its headers tests look at. With --tls it
also gets ca.pem and other-ca.pem; the certificate is for "kubernetes.example" alone. With --client-ca
whoever has no certificate of that CA (client.pem, client.key) is refused.

A scenario is a function that is given each request, and its number among those of the same kind
('list', 'watch' or 'other', from 0): see Request for what it may do with it.
"""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

FOLDER = sys.argv[1]
LOCK = threading.Lock()
COUNTS = {}
ENDED = threading.Event()
SHOWN = ("Authorization", "Content-Type", "Impersonate-User", "Impersonate-Group",
         "Impersonate-Extra-Team%2Fx", "Proxy-Authorization", "User-Agent", "Host")


# Documents

def service(name, version, note=""):
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "default", "resourceVersion": str(version),
                         "annotations": {"note": note}}}


def service_list(names, version, token=""):
    return {"kind": "ServiceList", "apiVersion": "v1",
            "metadata": {"resourceVersion": str(version), "continue": token},
            "items": [service(name, version) for name in names]}


def event(kind, thing):
    return json.dumps({"type": kind, "object": thing}, ensure_ascii=False).encode() + b"\n"


def bookmark(version, ends=False):
    note = {"k8s.io/initial-events-end": "true"} if ends else {}
    return event("BOOKMARK", {"kind": "Service", "metadata": {
        "resourceVersion": str(version), "annotations": note}})


def status(code, reason, message, retry=None):
    document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                "reason": reason, "message": message, "details": {}}
    if retry is not None:
        document["details"]["retryAfterSeconds"] = retry
    return document


EXPIRED = status(410, "Expired", "too old resource version: 1 (100)")


# Requests

class Gone(Exception):
    """The client has closed the connection, or we end."""


class Request:
    def __init__(self, connection, method, target, headers, body):
        self.connection = connection
        self.method = method
        self.target = target
        path, _, query = target.partition("?")
        self.path = path
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.headers = headers
        self.body = body
        self.kind = "other"
        if path == "/api/v1/services":
            self.kind = "watch" if "watch" in self.query else "list"
        self.streams_list = "sendInitialEvents" in self.query

    def send(self, data):
        try:
            self.connection.sendall(data)
        except OSError as error:
            raise Gone from error

    def answer(self, code, body, headers=()):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        lines = ["HTTP/1.1 %d Said" % code, "Content-Type: application/json",
                 "Content-Length: %d" % len(body), *headers, "", ""]
        self.send("\r\n".join(lines).encode() + body)

    def begin(self):
        self.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n")

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self):
        self.send(b"0\r\n\r\n")

    def cut(self):
        raise Gone

    def stay(self, seconds=3600):
        """Says nothing more, for so long or until the client goes."""
        self.connection.settimeout(0.05)
        until = time.monotonic() + seconds
        while time.monotonic() < until and not ENDED.is_set():
            try:
                if self.connection.recv(1) == b"":
                    raise Gone
            except TimeoutError:
                pass
            except (OSError, ssl.SSLError) as error:
                if "timed out" in str(error):
                    continue
                raise Gone from error
        self.connection.settimeout(None)

    def follow(self, *events):
        """A watch that sends these and stays."""
        self.begin()
        for one in events:
            self.chunk(one)
        self.stay()

    def stream_list(self, names, version, *events):
        self.follow(*[event("ADDED", service(name, version)) for name in names],
                    bookmark(version, True), *events)

    def refuse_stream(self):
        self.answer(422, status(422, "Invalid",
                                "sendInitialEvents is forbidden for watch unless the WatchList "
                                "feature gate is enabled"))


# Scenarios

def streams(r, n):
    """All that is wanted of a server; the first watch ends after a while."""
    if r.streams_list:
        r.begin()
        for name in ("a", "b", "c"):
            r.chunk(event("ADDED", service(name, 10)))
        r.chunk(bookmark(10, True))
        r.chunk(event("MODIFIED", service("a", 11, "new")))
        r.chunk(event("DELETED", service("b", 12)))
        r.chunk(event("ADDED", service("d", 13)))
        r.chunk(bookmark(20))
        time.sleep(1.1)
        r.end()
    else:
        r.follow(event("ADDED", service("e", 21)))


def bytes_alone(r, n):
    """Each byte in a packet, and a chunk, of its own."""
    whole = (event("ADDED", service("a", 10, "z\u00fcrich \u20ac \U0001f600 \\\" }{][")) +
             event("ADDED", service("b", 10)) + bookmark(10, True) +
             event("MODIFIED", service("a", 11, "\U0001f600")))
    r.begin()
    for at in range(len(whole)):
        r.chunk(whole[at:at + 1])
    r.stay()


def pages(r, n):
    if r.streams_list:
        r.refuse_stream()
    elif r.kind == "watch":
        r.follow(event("ADDED", service("z", 31)))
    elif r.query.get("continue", "") == "":
        r.answer(200, service_list(["a", "b"], 30, "second/+="))
    elif r.query["continue"] == "second/+=":
        r.answer(200, service_list(["c"], 30, "third"))
    else:
        r.answer(200, service_list(["d"], 30))


def expired_page(r, n):
    if r.streams_list:
        r.refuse_stream()
    elif r.kind == "watch":
        r.follow()
    elif "limit" not in r.query:
        r.answer(200, service_list(["a", "c"], 40))
    elif "continue" not in r.query:
        r.answer(200, service_list(["a", "b"], 39, "second"))
    else:
        r.answer(410, EXPIRED)


def ignores_streaming(r, n):
    """An old server takes a streamed list for a watch, and never says that it was all."""
    if r.streams_list:
        r.follow(event("ADDED", service("a", 10)), event("ADDED", service("b", 10)))
    elif r.kind == "list":
        r.answer(200, service_list(["a", "b"], 10))
    else:
        r.follow()


def silent_once(r, n):
    """Within its first streamed list, and all is well after that."""
    if n == 0 and r.streams_list:
        r.follow(event("ADDED", service("a", 10)))
    elif r.kind == "list":
        r.answer(200, service_list(["a", "b"], 10))
    elif not r.streams_list:
        r.answer(410, EXPIRED)
    else:
        r.stream_list(["a", "c"], 20)


def storm(r, n):
    """429 to all, and then a while of none."""
    if r.kind == "watch" and n < 3:
        r.answer(429, status(429, "TooManyRequests", "too many requests"),
                 ["Retry-After: 2" if n == 0 else "Retry-After: 1"])
    else:
        r.stream_list(["a"], 10)


def error_410(r, n):
    if r.streams_list and n == 0:
        r.begin()
        for name in ("a", "b"):
            r.chunk(event("ADDED", service(name, 10)))
        r.chunk(bookmark(10, True))
        r.chunk(event("ERROR", EXPIRED))
        r.end()
    else:
        r.stream_list(["a", "c"], 50)


def status_410(r, n):
    if r.streams_list and n == 0:
        r.begin()
        for name in ("a", "b"):
            r.chunk(event("ADDED", service(name, 10)))
        r.chunk(bookmark(10, True))
        time.sleep(1.1)
        r.end()
    elif not r.streams_list:
        r.answer(410, EXPIRED)
    else:
        r.stream_list(["a", "c"], 50)


def error_429(r, n):
    """Within the stream: back off, and go on from where it was."""
    if n == 0:
        r.begin()
        r.chunk(event("ADDED", service("a", 10)) + bookmark(10, True))
        r.chunk(event("ERROR", status(429, "TooManyRequests", "slower", 2)))
        r.end()
    else:
        r.follow(event("ADDED", service("b", 11)))


def too_large_version(r, n):
    if n == 0:
        r.begin()
        r.chunk(event("ADDED", service("a", 10)) + bookmark(10, True))
        r.chunk(event("ERROR", status(504, "Timeout", "Too large resource version: 10", 1)))
        r.end()
    else:
        r.stream_list(["b"], 5)


def forbidden(r, n):
    if n < 2:
        r.answer(403, status(403, "Forbidden", "services is forbidden: User \"x\" cannot list"))
    else:
        r.stream_list(["a"], 10)


def broken(r, n):
    """500, 503, 404, and a connection cut in the middle of a document."""
    if n < 3:
        r.answer((500, 503, 404)[n], b"<html>no</html>")
    elif n == 3:
        r.begin()
        r.chunk(event("ADDED", service("a", 10))[:30])
        r.cut()
    else:
        r.stream_list(["a"], 10)


def sick(r, n):
    """It is cut off from etcd."""
    r.answer(500, status(500, "InternalError", "etcdserver: request timed out"))


def renewed_token(r, n):
    """Only 'new' is let in, and is written where the client finds it when 'old' was refused."""
    if r.headers.get("Authorization") == "Bearer new":
        r.stream_list(["a"], 10)
        return
    with open(FOLDER + "/token.next", "w") as file:
        file.write("new\n")
    os.rename(FOLDER + "/token.next", FOLDER + "/token")
    r.answer(401, status(401, "Unauthorized", "Unauthorized"))


def never_let_in(r, n):
    r.answer(401, status(401, "Unauthorized", "Unauthorized"))


def asks_token(r, n):
    """Whoever has the token of the program is let in, once: then it wants a second one."""
    if r.headers.get("Authorization") in ("Bearer first", "Bearer second"):
        r.stream_list(["a"], 10)
    else:
        r.answer(401, status(401, "Unauthorized", "Unauthorized"))


def one_item(text):
    return (b'{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"60"},'
            b'"items":[' + json.dumps(service("a", 60)).encode() + b"," + text + b"]}")


RUBBISH = {
    "html": b"<!DOCTYPE html><html><body>{}</body></html>",
    "empty": b"",
    "other json": b'{"status":"ok"}',
    "a list without a version": b'{"kind":"ServiceList","metadata":{},"items":[]}',
    "a page followed by itself": json.dumps(service_list(["a"], 60, "same")).encode(),
    "a number": b"42",
    "an array": b"[]",
    "items of numbers": one_item(b"1"),
    "utf-16": json.dumps(service_list(["a"], 60)).encode("utf-16"),
    "a huge item": one_item(b'{"a":"' + b"x" * (5 << 20) + b'"}'),
    "a huge list": b'{"kind":"' + b"x" * (5 << 20) + b'"}',
    "a string without an end": b'{"items":"' + b"x" * 100000,
}


def rubbish(kind):
    """What is no list, after a good one; and then a good one again."""
    def scenario(r, n):
        if r.streams_list:
            r.refuse_stream()
        elif r.kind == "watch" and n == 1:
            r.answer(410, EXPIRED)
        elif r.kind == "watch":
            r.follow()
        elif n == 0:
            r.answer(200, service_list(["a", "b"], 59))
        elif n == 1 or "continue" in r.query:
            r.answer(200, RUBBISH[kind])
        else:
            r.answer(200, service_list(["a", "c"], 61))
    return scenario


UNREADABLE = {
    "bad utf-8": b'{"metadata":{"name":"\xff\xfe"}}',
    "a lone surrogate": b'{"metadata":{"name":"\\ud800"}}',
    "a nul": b'{"metadata":{"name":"x\x00"}}',
    "no comma in an object": b'{"metadata":{"name":"x"} "kind":1}',
    "too deep": b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "too large a number": b'{"a":123456789012345678901234567890}',
}


def unreadable(kind, in_pages):
    """An object that cannot be read is in every list, and changes. 'b' is in the first list alone."""
    def scenario(r, n):
        change = event("ADDED", "?").replace(b'"?"', UNREADABLE[kind])
        names, version = (("a", "b"), 10) if n == 0 else (("a", "c"), 20)
        if r.streams_list and in_pages:
            r.refuse_stream()
        elif r.streams_list:
            r.begin()
            r.chunk(event("ADDED", service(names[0], version)) + change +
                    event("ADDED", service(names[1], version)) + bookmark(version, True))
            r.end()
        elif r.kind == "list":
            whole = service_list(names, version)
            whole["items"].insert(1, "?")
            r.answer(200, json.dumps(whole).encode().replace(b'"?"', UNREADABLE[kind]))
        elif r.query["resourceVersion"] == "10":
            r.answer(410, EXPIRED)
        else:
            r.follow(change, event("ADDED", service("d", 21)))
    return scenario


def nuls(r, n):
    """U+0000 within texts, as JSON has it."""
    if r.kind == "other":
        r.answer(200, {"x": "a\0b", "y": "\\u0000"})
    else:
        r.follow(event("ADDED", service("a", 10, "x\0y")), bookmark(10, True),
                 event("ADDED", service("b", 11, "\0")))


BAD_EVENTS = {
    "no json": b"{]}\n",
    "no object": b'{"type":"ADDED"}\n',
    "an object that is a text": b'{"type":"ADDED","object":"x"}\n',
    "an unknown type": b'{"type":"EXPLODED","object":{}}\n',
    "html": b"<html>\n",
    "a huge event": b'{"type":"ADDED","object":{"x":"' + b"x" * (5 << 20) + b'"}}\n',
    "bad utf-8": b'{"type":"ADDED","object":{"x":"\xc3"}}\n',
}


def bad_event(kind):
    """After a list, an event that cannot be read; all is listed anew then."""
    def scenario(r, n):
        if n == 0:
            r.stream_list(["a", "b"], 10, BAD_EVENTS[kind])
        else:
            r.stream_list(["a", "c"], 20)
    return scenario


def slow(r, n):
    """A list of one byte each 10 ms, and quick answers to all else."""
    if r.kind == "other":
        r.answer(200, {"major": "1", "minor": "35"})
        return
    whole = event("ADDED", service("a", 10)) + bookmark(10, True)
    r.begin()
    for at in range(len(whole)):
        r.chunk(whole[at:at + 1])
        time.sleep(0.01)
    r.stay()


def silent(r, n):
    r.stay()


def many(r, n):
    """Twenty thousand objects at once."""
    r.begin()
    for first in range(0, 20000, 100):
        r.chunk(b"".join(event("ADDED", service("s%d" % i, 10, "x" * 800))
                         for i in range(first, first + 100)))
    r.chunk(bookmark(10, True))
    r.stay()


def away(r, n):
    """After the list it is away for some seconds: nobody listens there."""
    if n == 0:
        r.begin()
        r.chunk(event("ADDED", service("a", 10)) + bookmark(10, True))
        time.sleep(0.2)
        threading.Thread(target=SERVER.leave, args=(4,)).start()
        time.sleep(0.2)
        r.cut()
    else:
        r.follow(event("ADDED", service("b", 11)))


def ends_at_once(r, n):
    """Watches that last no time."""
    if r.streams_list:
        r.begin()
        r.chunk(event("ADDED", service("a", 10)) + bookmark(10, True))
        time.sleep(1.1)
        r.end()
    else:
        r.begin()
        r.end()


def takes_writes(r, n):
    if r.path.endswith("/large"):
        r.answer(200, {"x": "y" * (2 << 20)})
    elif r.path.endswith("/html"):
        r.answer(200, b"<html>")
    elif r.path.endswith("/conflict"):
        r.answer(409, status(409, "Conflict", "the object has been\nmodified"))
    elif r.path.endswith("/busy"):
        r.answer(429, status(429, "TooManyRequests", "too many requests"), ["Retry-After: 1"])
    elif r.path.endswith("/never"):
        r.stay()
    else:
        r.answer(200, {"body": json.loads(r.body) if r.body else None})


# Proxies, which take every name for ours: nobody else has to know it.

def pump(source, sink):
    try:
        while True:
            data = source.recv(65536)
            if data == b"":
                break
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def connect(connection, port, answer):
    with socket.create_connection(("127.0.0.1", port)) as other:
        connection.sendall(answer)
        threading.Thread(target=pump, args=(other, connection), daemon=True).start()
        pump(connection, other)


def proxy(r, n):
    if r.method == "CONNECT":
        connect(r.connection, int(r.target.rpartition(":")[2]), b"HTTP/1.1 200 Connected\r\n\r\n")
    r.cut()


def refusing_proxy(r, n):
    r.answer(502, b"")


def socks_proxy(connection):
    """Of version 5 (RFC 1928), without a password and for names alone."""
    file = connection.makefile("rb")
    file.read(file.read(2)[1])
    connection.sendall(b"\5\0")
    kind = file.read(4)
    name = file.read(file.read(1)[0]).decode()
    port = int.from_bytes(file.read(2), "big")
    write_down("%s %s:%d" % (kind.hex(), name, port))
    connect(connection, port, b"\5\0\0\1\0\0\0\0\0\0")


def version(major, minor, text):
    return lambda r, n: r.answer(200, {"major": major, "minor": minor, "gitVersion": text})


SCENARIOS = {name: value for name, value in list(globals().items()) if callable(value)}
for word in RUBBISH:
    SCENARIOS["rubbish: " + word] = rubbish(word)
for major, minor, text in (("1", "31", "v1.31.4"), ("1", "32+", "v1.32.0-eks-1"),
                           ("1", "35", "v1.35.4"), ("2", "0", "v2.0.0")):
    SCENARIOS[text] = version(major, minor, text)
for word in UNREADABLE:
    SCENARIOS["a page has " + word] = unreadable(word, True)
    SCENARIOS["a stream has " + word] = unreadable(word, False)
for word in BAD_EVENTS:
    SCENARIOS["bad event: " + word] = bad_event(word)


# Serving

def write_down(line):
    with LOCK, open(FOLDER + "/requests", "a") as file:
        file.write(line + "\n")


def note(request):
    with LOCK:
        n = COUNTS.get(request.kind, 0)
        COUNTS[request.kind] = n + 1
    shown = ["%s: %s" % (k, v) for k, v in sorted(request.headers.items()) if k in SHOWN]
    write_down("%s %s %s" % (request.method, request.target, " | ".join(shown)))
    return n


def read_request(file, connection):
    line = file.readline(65536).decode("latin-1").split()
    if len(line) != 3:
        raise Gone
    headers = {}
    while True:
        header = file.readline(65536).decode("latin-1").strip()
        if header == "":
            break
        name, _, value = header.partition(":")
        headers[name.title()] = value.strip()
    body = file.read(int(headers.get("Content-Length", 0)))
    return Request(connection, line[0], line[1], headers, body)


class Server:
    def __init__(self, scenario, context):
        self.scenario = scenario
        self.context = context
        self.port = 0
        self.listen()

    def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def leave(self, seconds):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        time.sleep(seconds)
        self.listen()

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
            if self.scenario is socks_proxy:
                socks_proxy(connection)
            file = connection.makefile("rb")
            while True:
                request = read_request(file, connection)
                self.scenario(request, note(request))
        except (Gone, OSError):
            pass
        finally:
            connection.close()


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, cwd=FOLDER, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_authority(name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", name + ".key", "-out", name + ".pem", "-days", "2", "-subj", "/CN=" + name)


def make_certificate(name, common_name, extension):
    with open(FOLDER + "/extension", "w") as file:
        file.write(extension)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", name + ".key", "-out", name + ".request", "-subj", "/CN=" + common_name)
    openssl("x509", "-req", "-in", name + ".request", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", name + ".pem", "-days", "2", "-extfile", "extension")


def make_context():
    make_authority("ca")
    make_authority("other-ca")
    make_certificate("server", "server", "subjectAltName=DNS:kubernetes.example")
    make_certificate("client", "client", "extendedKeyUsage=clientAuth")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FOLDER + "/server.pem", FOLDER + "/server.key")
    if "--client-ca" in sys.argv:
        context.load_verify_locations(FOLDER + "/ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


SERVER = Server(SCENARIOS[sys.argv[2]],
                make_context() if "--tls" in sys.argv or "--client-ca" in sys.argv else None)
print(SERVER.port, flush=True)
sys.stdin.read()
ENDED.set()
