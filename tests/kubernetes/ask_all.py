"""Asks pods, at many addresses at once and each time by a new connection or from a new port, and prints
a line for each question: by which address of ours, at which of theirs, and the answer, or "-" if none
came in time.

usage: ask_all.py [--udp] [--port N] [--word WORD] [--times N] [--within SECONDS]
                  [--from ADDRESS]... ADDRESS...

WORD is "hostname", for who the pod is, or "clientip", for whom it sees. Each address is asked so many
times from each of ours.
"""

import argparse
import asyncio
import socket

AT_ONCE = 50


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--udp", action="store_true")
    parser.add_argument("--port", type=int)
    parser.add_argument("--word", default="hostname")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--within", type=float, default=3)
    parser.add_argument("--from", dest="sources", action="append")
    parser.add_argument("addresses", nargs="+")
    return parser.parse_args()


async def http_answer(loop, s, word):
    await loop.sock_sendall(s, f"GET /{word} HTTP/1.0\r\n\r\n".encode())
    answer = b""
    while piece := await loop.sock_recv(s, 4096):
        answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if b" 200 " in head.partition(b"\r\n")[0] else b"-"


async def udp_answer(loop, s, word):
    await loop.sock_sendall(s, word.encode())
    return await loop.sock_recv(s, 4096)


async def answer(o, s, to):
    loop = asyncio.get_running_loop()
    await loop.sock_connect(s, (to, o.port or (53 if o.udp else 80)))
    return (await (udp_answer if o.udp else http_answer)(loop, s, o.word)).decode()


async def ask(o, turn, source, to):
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    async with turn:
        with socket.socket(family, socket.SOCK_DGRAM if o.udp else socket.SOCK_STREAM) as s:
            s.setblocking(False)
            if source:
                s.bind((source, 0))
            try:
                told = await asyncio.wait_for(answer(o, s, to), o.within)
            except (OSError, asyncio.TimeoutError):
                told = "-"
            print(s.getsockname()[0], to, told)


async def main(o):
    turn = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(ask(o, turn, source, to) for _ in range(o.times)
                           for source in o.sources or [None] for to in o.addresses))


asyncio.run(main(options()))
