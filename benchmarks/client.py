"""The client against a bare loop, and replay: ratios and rates of one run.

Online: 5,000 chat completions at 200 ms and 128 in flight through the client (every answer durably stored) against a
bare AsyncOpenAI loop that stores nothing, in turn, on one server in a process of its own. Replay: a recording of
100,000 answers read back, and the memory that 10,000 and 100,000 of them take.

PYTHONPATH=src python benchmarks/client.py [rounds] [requests]
"""

import asyncio
import gc
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import openai
import psutil

from nlilab.llm.client import Client, Generator
from nlilab.llm.recording import Recording, write_recording
from nlilab.llm.request import Finish, Request, Response
from nlilab.llm.store import Store

LATENCY, IN_FLIGHT = 0.2, 128
REPLAYED = (10_000, 100_000)
BODY = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "model-1",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"hypothesis": "Yes."}'}}
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109},
    }
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


def serve(tell: Connection) -> None:
    """Answer every request after LATENCY seconds, until killed."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
                )
                await reader.readexactly(length)
                await asyncio.sleep(LATENCY)
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(connection, "127.0.0.1", 0, backlog=1024)
        tell.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def prompts(count: int, mark: str) -> list[str]:
    """Prompts of a usual length, different ones for each mark."""
    return [f"{mark} {number}. " + "Write one hypothesis that must be true. " * 12 for number in range(count)]


async def bare(url: str, texts: list[str]) -> None:
    """What one would write by hand."""
    gate = asyncio.Semaphore(IN_FLIGHT)
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as sdk:

        async def one(text: str) -> str | None:
            async with gate:
                done = await sdk.chat.completions.create(
                    model="model-1", messages=[{"role": "user", "content": text}], max_tokens=64
                )
                return done.choices[0].message.content

        await asyncio.gather(*(one(text) for text in texts))


def ours(url: str, texts: list[str], store: Store) -> None:
    """The client: keys, store, throttle, ledger."""
    generator = Generator("openai", "model-1", url, {"max_tokens": 64})
    answers = Client(store, IN_FLIGHT).run(generator.request([("user", text)]) for text in texts)
    assert all(isinstance(answer, Response) for answer in answers)


def online(rounds: int, count: int, folder: Path) -> None:
    """Print both rates and their ratio."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{here.recv()}/v1"
    rates: dict[str, list[float]] = {"client": [], "bare": []}
    store = Store(folder / "online.sqlite")
    ours(url, prompts(IN_FLIGHT, "warm-up"), store)
    for turn in range(rounds):
        for way in ("bare", "client") if turn % 2 else ("client", "bare"):
            texts = prompts(count, f"{way} {turn}")
            start = time.perf_counter()
            asyncio.run(bare(url, texts)) if way == "bare" else ours(url, texts, store)
            rates[way].append(count / (time.perf_counter() - start))
    server.kill()
    ratio = statistics.median(a / b for a, b in zip(rates["client"], rates["bare"], strict=True))
    ceiling = IN_FLIGHT / LATENCY
    print(f"online, {count} requests at {LATENCY * 1000:g} ms, {IN_FLIGHT} in flight (ceiling {ceiling:g}/s):")
    for way, found in rates.items():
        print(f"  {way:7} {statistics.median(found):6.0f} requests/s  ({', '.join(f'{r:.0f}' for r in found)})")
    print(f"  the client reaches {ratio:.2f} of the bare loop, every answer durably stored (bar 0.90)")


def asked(count: int) -> Iterator[Request]:
    """Requests of a usual length, one at a time."""
    generator = Generator("openai", "model-1", "http://127.0.0.1:9/v1", {"max_tokens": 64})
    meta = {"generator": "server", "step": "generate"}
    return (generator.request([("user", text)], meta=meta) for text in prompts(count, "replay"))


def replay(folder: Path) -> None:
    """Print the rate of a replay and the memory that it takes."""
    path = folder / "server.jsonl"
    answer = '{"hypothesis": "Somebody is outdoors on a sunny day."}'
    write_recording(
        path, ((r.key, Response(r.key, answer, Finish.STOP, "model-1", 100, 9)) for r in asked(REPLAYED[-1]))
    )
    for count in REPLAYED:
        requests = asked(count)
        client = Client(Store(folder / "replay.sqlite"), mode="replay")
        client.recordings["server"] = Recording(path)
        gc.collect()
        before = psutil.Process().memory_info().rss
        start, done, most = time.perf_counter(), 0, before
        for _ in client.stream(requests):
            done += 1
            if done % 10_000 == 0:
                most = max(most, psutil.Process().memory_info().rss)
        rate = done / (time.perf_counter() - start)
        print(f"replay of {done:,}: {rate:,.0f} responses/s (bar 20,000/s), {(most - before) / 1e6:+.0f} MB at most")


def main() -> None:
    """Print the figures."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 5_000
    os.environ.setdefault("OPENAI_API_KEY", "none")
    with tempfile.TemporaryDirectory(dir=".") as folder:
        online(rounds, count, Path(folder))
        replay(Path(folder))


if __name__ == "__main__":
    main()
