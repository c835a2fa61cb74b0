"""A buyer as a process of its own, to be killed: asks for numbered prompts and prints how far it is.

python buyer.py STORE PROVIDER URL FIRST LAST TRANSPORT
"""

import sys
from pathlib import Path

from nlilab.core.command import guarded
from nlilab.llm import batch
from nlilab.llm.client import Client, Generator
from nlilab.llm.store import Store


def main() -> None:
    """Buy, and check that every answer is the one that was asked for."""
    path, provider, url, first, last, transport = sys.argv[1:]
    batch.FIRST_POLL = 0.01
    generator = Generator(provider, "model-a", url, {"max_tokens": 64})
    requests = [generator.request([("user", str(number))]) for number in range(int(first), int(last))]
    client = Client(Store(Path(path)), concurrency=8, transport=transport, batch_wait=60)  # type: ignore[arg-type]
    print("ready", flush=True)
    answers = client.run(requests, lambda p: print(p.done, flush=True))
    assert [getattr(a, "text", a) for a in answers] == [f"echo: {number}" for number in range(int(first), int(last))]


if __name__ == "__main__":
    guarded(main)
