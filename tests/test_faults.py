"""Faults of servers, disks, clocks and processes: what was bought, lost and bought twice is counted on the server."""

import asyncio
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopback import Loopback
from nlilab.core.errors import UserError
from nlilab.llm.client import Client, Generator
from nlilab.llm.errors import ProviderError
from nlilab.llm.money import Price, Tariff
from nlilab.llm.recording import Recording, write_recording
from nlilab.llm.request import Request, Response
from nlilab.llm.store import Store

TESTS = Path(__file__).resolve().parent
IN_FLIGHT = 8
PRICE = Tariff(Price(input=1.0, output=10.0), "2026-11-01")


def address(server: Loopback, provider: str) -> str:
    return server.url if provider == "anthropic" else f"{server.url}/v1"


def requests_to(server: Loopback, count: int, provider: str = "openai") -> list[Request]:
    asked = Generator(provider, "model-a", address(server, provider), {"max_tokens": 64})
    return [asked.request([("user", str(number))]) for number in range(count)]


def texts(answers: list[Any]) -> list[str]:
    return [answer.text if isinstance(answer, Response) else f"!{answer.kind}" for answer in answers]


def good(count: int) -> list[str]:
    return [f"echo: {number}" for number in range(count)]


def stored(store: Store) -> set[str]:
    """The prompts whose answers are durably there."""
    query = "SELECT json_extract(request, '$.messages[0][1]') FROM answers WHERE finish = 'stop'"
    with sqlite3.connect(store.path) as connection:
        return {prompt for (prompt,) in connection.execute(query)}


def buyer(server: Loopback, store: Store, last: int, transport: str, provider: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(TESTS / "buyer.py"), str(store.path), provider, address(server, provider)]
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent / "src")}
    return subprocess.Popen(
        [*command, "0", str(last), transport],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_kill_9_at_20_random_moments_of_500_requests(server: Loopback, store: Store) -> None:
    dice = random.Random(0)
    server.latency = 0.02
    asked_again, unavoidable = 0, 0
    for _ in range(20):
        process = buyer(server, store, 500, "online", "openai")
        assert process.stdout is not None
        goal = dice.randrange(10, 40)
        for line in process.stdout:  # somewhere after some answers of this life
            if line.strip().isdigit() and int(line) >= len(stored(store)) and (goal := goal - 1) <= 0:
                break
        time.sleep(dice.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        time.sleep(0.05)  # what was under way reaches the server's books
        safe = stored(store)
        unavoidable += sum(server.answered.values()) - sum(server.answered[prompt] for prompt in safe)
        before = Counter(server.answered)
        Client(store, IN_FLIGHT).run(r for r in requests_to(server, 500) if r.messages[0][1] in safe)
        asked_again += (server.answered - before).total()
    last = buyer(server, store, 500, "online", "openai")
    out, err = last.communicate()
    assert last.returncode == 0, out + err
    bought, lost = len(server.answered), 500 - len(stored(store))
    assert (bought, lost, asked_again) == (500, 0, 0)  # of what had reached the disk, nothing was bought twice
    twice = sum(server.answered.values()) - 500
    assert twice <= 20 * (IN_FLIGHT + IN_FLIGHT // 4)  # under way at a kill, or on the way to the disk


@pytest.mark.parametrize("told", ["429", "429-after"])
@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_a_storm_of_rate_limits_passes(
    server: Loopback, store: Store, monkeypatch: pytest.MonkeyPatch, told: str, provider: str
) -> None:
    monkeypatch.setattr("nlilab.llm.client.LONGEST_WAIT", 0.05 if told == "429" else 1.5)
    server.latency = 0.01
    server.do(*[told] * (120 if told == "429" else 32))
    answers = Client(store, concurrency=16).run(requests_to(server, 60, provider))
    assert texts(answers) == good(60)
    assert set(server.answered.values()) == {1}
    limited = 120 if told == "429" else 32
    assert len(server.requests) == 60 + limited  # nothing beyond the storm's own refusals was sent again
    if told == "429-after":  # the second wave came only after the pause that the server had asked for
        assert max(later - earlier for earlier, later in itertools.pairwise(server.times)) >= 1.0


def test_only_rate_limits_shrink_the_concurrency(server: Loopback, store: Store) -> None:
    server.latency = 0.02
    server.do(*["529", "500", "cut"] * 20)
    assert texts(Client(store, concurrency=16).run(requests_to(server, 100))) == good(100)
    assert server.most_at_once == 16
    server.do("429")
    server.most_at_once, server.requests = 0, []
    more = requests_to(server, 160)[100:]
    assert texts(Client(store, concurrency=16).run(more)) == [f"echo: {number}" for number in range(100, 160)]


def test_a_full_disk_stops_the_run_and_nothing_is_bought_twice(server: Loopback, store: Store) -> None:
    requests = requests_to(server, 400)
    Client(store, IN_FLIGHT).run(requests[:20])
    pages = store.use(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    store.use(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 6}"))
    with pytest.raises(UserError, match=r"answer store failed .*full.*is the disk full"):
        Client(store, IN_FLIGHT).run(requests)
    safe = stored(store)
    assert 20 <= len(safe) < 400
    under_way = set(server.answered) - safe
    assert len(under_way) <= 2 * IN_FLIGHT  # answered while the disk refused
    store.use(lambda c: c.execute("PRAGMA max_page_count = 1000000"))
    assert texts(Client(store, IN_FLIGHT).run(requests)) == good(400)
    assert {prompt for prompt, count in server.answered.items() if count > 1} <= under_way


def test_a_damaged_store_is_set_aside_and_the_recording_still_replays(
    server: Loopback, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    requests = [
        Request(r.provider, r.model, r.messages, r.base_url, r.parameters, 0, {"generator": "g"})
        for r in requests_to(server, 30)
    ]
    answers = Client(store).run(requests)
    write_recording(tmp_path / "g.jsonl", zip((r.key for r in requests), answers, strict=True))
    store.close()
    store.path.write_bytes(b"no database at all" * 1000)
    again = Store(store.path)
    replaying = Client(again, mode="replay")
    replaying.recordings["g"] = Recording(tmp_path / "g.jsonl")
    assert replaying.run(requests) == answers
    assert len(server.requests) == 30
    assert "is damaged" in caplog.text and "moved to" in caplog.text
    again.close()


def test_the_clock_may_go_back(server: Loopback, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [2_000_000_000.0]

    def back() -> float:
        now[0] -= 3600
        return now[0]

    server.do("429", "500", *["ok"] * 10, "429-after")
    monkeypatch.setattr("time.time", back)
    client = Client(store, concurrency=4, budget=1.0)
    [client.tariffs.setdefault((r.provider, r.model, r.base_url), PRICE) for r in requests_to(server, 1)]
    assert texts(client.run(requests_to(server, 40))) == good(40)
    assert texts(client.run(requests_to(server, 40))) == good(40)
    assert set(server.answered.values()) == {1}


def test_the_cap_is_never_passed_and_the_next_run_goes_on(
    server: Loopback, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = requests_to(server, 200)
    one = PRICE.price.of(Response("", "", "stop", "", 7, 5)) if PRICE.price else 0.0  # type: ignore[arg-type]
    cap = 40 * one + PRICE.most(requests[-1])
    monkeypatch.setattr("nlilab.llm.client.run_name", lambda: run)
    monkeypatch.setattr("nlilab.llm.money.run_name", lambda: run)
    server.do(*["cut", "ok", "500", "ok", "length"] * 4)
    lives = 0
    while True:
        run = f"life {lives}"
        lives += 1
        client = Client(store, IN_FLIGHT, budget=cap)
        client.tariffs[(requests[0].provider, requests[0].model, requests[0].base_url)] = PRICE
        try:
            answers = client.run(requests)
            break
        except UserError as error:
            assert "llm.budget_usd" in str(error) and "are kept" in str(error)
        assert lives < 50
    bill = dict(store.use(lambda c: c.execute("SELECT run, SUM(dollars) FROM answers GROUP BY run").fetchall()))
    assert lives > 3 and max(bill.values()) <= cap
    assert store.use(lambda c: c.execute("SELECT SUM(assumed) FROM answers").fetchone()[0]) == 4  # the cut ones
    assert sum(isinstance(answer, Response) for answer in answers) == 200
    assert sum(server.answered.values()) == 200 + 4  # the cut-off (`length`) ones were asked again


FAULTS = ["ok", "ok", "429", "500", "529", "cut", "reset", "malformed", "length", "refused", "empty", "400"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(st.integers(0, 25), min_size=1, max_size=40),
    faults=st.lists(st.sampled_from(FAULTS), max_size=40),
    lives=st.integers(1, 4),
    concurrency=st.integers(1, 12),
    seed=st.integers(0, 2**20),
)
def test_whatever_happens_each_good_answer_is_bought_once(
    server: Loopback,
    tmp_path_factory: pytest.TempPathFactory,
    plan: list[int],
    faults: list[str],
    lives: int,
    concurrency: int,
    seed: int,
) -> None:
    path = tmp_path_factory.mktemp("plan") / "store.sqlite"
    server.answered.clear()
    server.script.clear()
    server.do(*faults)
    asked = Generator("openai", "model-a", f"{server.url}/v1", {"max_tokens": 64})
    requests = [asked.request([("user", f"{seed}-{number}")]) for number in plan]
    dice = random.Random(seed)
    for _ in range(lives):  # each ends early, by a cancelled task or by itself
        store = Store(path)
        try:
            with asyncio.Runner() as runner:
                from nlilab.llm.client import Progress, _Run

                state = _Run(Client(store, concurrency), Progress(), None)
                life = asyncio.wait_for(state.serve(requests), dice.uniform(0.001, 0.05))
                try:
                    runner.run(life)
                except (TimeoutError, UserError):
                    pass
                finally:
                    runner.run(state.close())
        finally:
            store.close()
    server.script.clear()
    store = Store(path)
    answers = Client(store, concurrency).run(requests)
    assert texts(answers) == [f"echo: {seed}-{number}" for number in plan]  # rows in = rows out, in order
    kept = Counter(
        prompt
        for (prompt,) in store.use(
            lambda c: c.execute(
                "SELECT json_extract(request, '$.messages[0][1]') FROM answers WHERE finish = 'stop'"
            ).fetchall()
        )
    )
    assert set(kept) == {f"{seed}-{number}" for number in plan}
    assert set(kept.values()) == {1}  # nothing that reached the disk was bought again
    assert not any(isinstance(answer, ProviderError) for answer in answers)
    store.close()
