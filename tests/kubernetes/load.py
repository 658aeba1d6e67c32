"""Constant load: at each of the addresses a new connection so many times a second, with one request
by HTTP. Ends with SIGTERM, and then says "N asked, N failed" and what failed: none is tried again.

usage: load.py PER_SECOND ADDRESS...
"""

import asyncio
import signal
import sys
import time

ANSWER_WITHIN_S = 5

asked = 0
failures = []


async def request(address):
    reader, writer = await asyncio.open_connection(address, 80)
    try:
        writer.write(b"GET /hostname HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
    finally:
        writer.close()
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise OSError(f"answer {answer[:40]!r}")


async def ask(address, began):
    global asked
    asked += 1
    since = time.monotonic()
    try:
        await asyncio.wait_for(request(address), ANSWER_WITHIN_S)
    except (OSError, asyncio.TimeoutError) as error:
        failures.append(f"{since - began:.2f} s, {address}: {error!r} "
                        f"after {time.monotonic() - since:.2f} s")


async def main(per_second, addresses):
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    began = time.monotonic()
    tasks = set()
    n = 0
    while not over.is_set():
        for address in addresses:
            task = asyncio.create_task(ask(address, began))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        n += 1
        await asyncio.sleep(max(0, began + n / per_second - time.monotonic()))
    await asyncio.gather(*tasks)
    print(f"{asked} asked, {len(failures)} failed", *failures, sep="\n", flush=True)


asyncio.run(main(float(sys.argv[1]), sys.argv[2:]))
