"""How fast the answer store is: durable writes (each answer on disk before it counts) and hits read back.

PYTHONPATH=src python benchmarks/store.py [responses]
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from nlilab.llm.answers import read_fields
from nlilab.llm.client import Client, Generator
from nlilab.llm.request import Finish, Request, Response
from nlilab.llm.store import Bill, Store

IN_FLIGHT = (1, 16, 128)
DURABLE_ALONE = 500  # one in flight is one fsync an answer: a few hundred say enough


async def write(store: Store, requests: list[Request], in_flight: int) -> None:
    """Commit an answer to each request, `in_flight` of them at a time, as the client's workers do."""
    waiting = iter(requests)

    async def work() -> None:
        for request in waiting:
            text = '{"premise": "A man sleeps.", "hypothesis": "Someone rests."}'
            await store.commit(request, Response(request.key, text, Finish.STOP, "model-1", 100, 30), Bill())

    await asyncio.gather(*(work() for _ in range(in_flight)))


def main() -> None:
    """Print one line a measurement."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    generator = Generator("openai", "model", "http://127.0.0.1:9/v1", {"temperature": 0.7, "max_tokens": 200})

    def asked(number: int) -> list[Request]:
        return [generator.request([("user", f"Write pair number {i}. " + "word " * 40)]) for i in range(number)]

    with tempfile.TemporaryDirectory(dir=".") as folder:
        for in_flight in IN_FLIGHT:
            requests = asked(DURABLE_ALONE if in_flight == 1 else count)
            store = Store(Path(folder) / f"{in_flight}.sqlite")
            start = time.perf_counter()
            asyncio.run(write(store, requests, in_flight))
            rate = len(requests) / (time.perf_counter() - start)
            print(f"write, durable, {in_flight:3} in flight: {rate:8,.0f} responses/s ({len(requests)} responses)")
        requests = asked(count)  # new values: their keys are computed again
        start = time.perf_counter()
        answers = Client(store).run(requests)  # nothing listens at the address: every answer is a hit
        rate = len(answers) / (time.perf_counter() - start)
        print(f"read hits through the client: {rate:8,.0f} responses/s ({len(answers)} responses, bar 20,000/s)")
        store.close()
    texts = [f'Sure!\n```json\n{{"hypothesis": "Row {number} is read."}}\n```' for number in range(count)]
    start = time.perf_counter()
    found = [read_fields(text, ["hypothesis"]) for text in texts]
    print(f"parse fenced answers: {len(found) / (time.perf_counter() - start):8,.0f} responses/s (bar 20,000/s)")


if __name__ == "__main__":
    main()
