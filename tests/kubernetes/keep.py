"""Connections that stay open and ask by HTTP, each five times a second. FILE has a line for each at any
time: the pod that it reached, and "open" or the error by which it ended.

usage: keep.py FILE CONNECTIONS ADDRESS
"""

import asyncio
import os
import sys

REQUEST = b"GET /hostname HTTP/1.1\r\nHost: keep\r\n\r\n"

states = {}


async def ask(reader, writer):
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                  if line.lower().startswith(b"content-length:"))
    return (await reader.readexactly(length)).decode()


async def keep(number, address):
    try:
        reader, writer = await asyncio.open_connection(address, 80)
        while True:
            states[number] = await ask(reader, writer), "open"
            await asyncio.sleep(0.2)
    except (OSError, asyncio.IncompleteReadError) as error:
        states[number] = states.get(number, ("none",))[0], type(error).__name__


async def tell(path):
    while True:
        with open(path + ".new", "w") as file:
            file.writelines(f"{pod} {state}\n" for pod, state in states.values())
        os.rename(path + ".new", path)
        await asyncio.sleep(0.2)


async def main(path, n, address):
    await asyncio.gather(tell(path), *(keep(number, address) for number in range(n)))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
