"""Batch APIs behind the write-ahead log: what a crash leaves behind is found again, and nothing is bought twice."""

import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import time
from typing import Any

import pytest

from loopback import Loopback
from nlilab.core.errors import UserError
from nlilab.llm import batch
from nlilab.llm.client import Client, Generator
from nlilab.llm.money import Price, Tariff
from nlilab.llm.request import Request
from nlilab.llm.store import Store
from test_faults import address, buyer, good, texts

BOTH = pytest.mark.parametrize("provider", ["anthropic", "openai"])
PRICE = Tariff(Price(input=1.0, output=10.0), "2026-11-01")


class Once(set[str]):
    """Prompts that expire the first time alone."""

    def __contains__(self, prompt: object) -> bool:
        there = super().__contains__(prompt)
        self.discard(str(prompt))
        return there


def asked(server: Loopback, provider: str, count: int, first: int = 0) -> list[Request]:
    generator = Generator(provider, "model-a", address(server, provider), {"max_tokens": 64})
    return [generator.request([("user", str(number))]) for number in range(first, count)]


def buy(store: Store, requests: list[Request], wait: float = 30.0, budget: float | None = None) -> list[Any]:
    client = Client(store, transport="batch", batch_wait=wait, attempts=3, budget=budget)
    client.tariffs[(requests[0].provider, requests[0].model, requests[0].base_url)] = PRICE
    return list(client.run(requests))


def states(store: Store) -> list[str]:
    with sqlite3.connect(store.path) as connection:
        return [state for (state,) in connection.execute("SELECT state FROM batches ORDER BY id")]


@BOTH
def test_a_batch_is_joined_by_id_and_costs_half(server: Loopback, store: Store, provider: str) -> None:
    requests = asked(server, provider, 40)
    assert texts(buy(store, [*requests, requests[3]])) == [*good(40), "echo: 3"]
    assert len(server.batches) == 1 and set(server.answered.values()) == {1}
    assert texts(buy(store, requests)) == good(40)
    assert len(server.batches) == 1
    [(dollars, names)] = store.use(
        lambda c: c.execute("SELECT SUM(dollars), COUNT(DISTINCT batch) FROM answers").fetchall()
    )
    assert dollars == pytest.approx(40 * 0.5 * (7 * 1.0 + 5 * 10.0) / 1e6) and names == 1
    assert states(store) == ["imported"]


@BOTH
def test_what_expired_is_sent_again_and_nothing_else(server: Loopback, store: Store, provider: str) -> None:
    server.batch_expire = Once(str(number) for number in range(0, 30, 2))
    server.batch_errors = {"7": "400"}
    server.do("500", on="POST *batches")  # a submission that fails is no batch
    with pytest.raises(UserError, match="batch API answered overloaded"):
        buy(store, asked(server, provider, 30))
    answers = buy(store, asked(server, provider, 30))
    assert texts(answers) == [f"echo: {n}" if n != 7 else "!bad_request" for n in range(30)]
    assert set(server.answered.values()) == {1} and "7" not in server.answered
    assert [len(made.items) for made in server.batches] == [30, 15]
    assert states(store) == ["void", "imported", "imported"]


@BOTH
def test_a_pending_batch_lets_the_stage_end_and_the_next_run_goes_on(
    server: Loopback, store: Store, provider: str
) -> None:
    server.batch_looks = 10**6
    requests = asked(server, provider, 12)
    for _ in range(2):
        with pytest.raises(UserError, match=r"batch pending: .* \(\d+ of 12 done\); nothing is lost: run the same"):
            buy(store, requests, wait=0.05, budget=1.0)
    server.batch_looks = 1
    assert texts(buy(store, [*requests, *asked(server, provider, 15, 12)], budget=1.0)) == good(15)
    assert [len(made.items) for made in server.batches] == [12, 3]
    assert set(server.answered.values()) == {1}


@BOTH
def test_a_batch_whose_receipt_was_lost_is_found_again(server: Loopback, store: Store, provider: str) -> None:
    server.do("create-then-reset")
    requests = asked(server, provider, 9)
    with pytest.raises(UserError, match="batch API answered transport"):
        buy(store, requests)
    assert len(server.batches) == 1 and states(store) == ["intent"]
    assert texts(buy(store, requests)) == good(9)
    assert len(server.batches) == 1 and set(server.answered.values()) == {1}


def test_an_orphan_is_told_from_a_strangers_batch_of_the_same_size(server: Loopback, store: Store) -> None:
    requests = asked(server, "anthropic", 6)
    server.do("create-then-reset")
    with pytest.raises(UserError, match="batch API answered"):
        buy(store, requests)
    stranger = Store(store.path.parent / "other.sqlite")  # somebody else with the same account
    for first in (100, 200):
        buy(stranger, asked(server, "anthropic", first + 6, first))
    assert texts(buy(store, requests)) == good(6)
    assert len(server.batches) == 3 and all(server.answered[str(n)] == 1 for n in range(6))
    stranger.close()


@BOTH
def test_a_server_that_stumbles_while_it_is_polled_is_asked_again(
    server: Loopback, store: Store, provider: str
) -> None:
    for behaviour in ("500", "reset"):
        server.do(behaviour, on="GET *batches/*")
    server.do("cut", on="GET *results" if provider == "anthropic" else "GET *content")
    server.do("529", on="GET *batches")
    assert texts(buy(store, asked(server, provider, 20))) == ["echo: " + str(n) for n in range(20)]
    assert len(server.batches) == 1 and set(server.answered.values()) == {1}


@BOTH
def test_a_submission_that_never_arrived_is_sent_again(server: Loopback, store: Store, provider: str) -> None:
    requests = asked(server, provider, 5)
    log = batch.Log(store, (provider, "model-a", requests[0].base_url))
    log.intend(requests, [], "token-of-a-process-that-died")
    assert texts(buy(store, requests)) == good(5)
    assert states(store) == ["void", "imported"] and set(server.answered.values()) == {1}


@BOTH
@pytest.mark.parametrize(("behaviour", "said"), [("quota", "quota or credit is used up"), ("401", "key was refused")])
def test_a_refused_batch_stops_the_run(
    server: Loopback, store: Store, provider: str, behaviour: str, said: str
) -> None:
    server.do(behaviour)
    with pytest.raises(UserError, match=f"{provider}/model-a: .*{said}"):
        buy(store, asked(server, provider, 5))
    assert not server.answered
    assert texts(buy(store, asked(server, provider, 5))) == good(5)


def test_a_batch_that_fails_as_a_whole_says_why(server: Loopback, store: Store) -> None:
    server.batch_fail = "billing_hard_limit_reached"
    with pytest.raises(UserError, match="quota or credit is used up"):
        buy(store, asked(server, "openai", 5))
    server.batch_fail = None
    assert texts(buy(store, asked(server, "openai", 5))) == good(5)
    assert states(store) == ["void", "imported"]


@BOTH
def test_a_batch_holds_no_more_than_the_budget(server: Loopback, store: Store, provider: str) -> None:
    requests = asked(server, provider, 50)
    cap = PRICE.most(requests[-1]) * 0.5 * 2.5
    with pytest.raises(UserError, match=r"llm.budget_usd: .* are spent"):
        buy(store, requests, budget=cap)
    spent = store.use(lambda c: c.execute("SELECT SUM(dollars) FROM answers").fetchone()[0])
    assert len(server.batches) > 2 and len(server.batches[0].items) == 2 and 0 < spent <= cap
    assert 2 < len(server.answered) < 50
    assert texts(buy(store, requests)) == good(50)
    assert set(server.answered.values()) == {1}


@BOTH
def test_a_half_emoji_in_a_batch_is_kept(server: Loopback, store: Store, provider: str) -> None:
    server.endings = {"1": "half"}
    assert texts(buy(store, asked(server, provider, 3))) == ["echo: 0", "half ?", "echo: 2"]
    assert len(server.batches) == 1


@BOTH
def test_kill_9_at_20_random_moments_of_a_batch_of_500(server: Loopback, store: Store, provider: str) -> None:
    dice = random.Random(0)
    server.batch_looks = 3
    for _ in range(20):
        process = buyer(server, store, 500, "batch", provider)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        try:
            process.wait(dice.uniform(0.0, 1.2))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        time.sleep(0.05)
    last = buyer(server, store, 500, "batch", provider)
    out, err = last.communicate(timeout=120)
    assert last.returncode == 0, out + err
    bought, twice = len(server.answered), sum(server.answered.values()) - len(server.answered)
    kept = store.use(lambda c: c.execute("SELECT COUNT(*), COUNT(DISTINCT key) FROM answers").fetchone())
    assert (bought, 500 - kept[1], twice) == (500, 0, 0)
    assert kept == (500, 500)  # nor is anything in the ledger twice


@BOTH
def test_two_pipelines_on_one_store_share_a_batch(server: Loopback, store: Store, provider: str) -> None:
    server.batch_looks = 4
    processes = [buyer(server, store, 200, "batch", provider) for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
    assert len(server.answered) == 200 and set(server.answered.values()) == {1}
    assert store.use(lambda c: c.execute("SELECT COUNT(*) FROM answers").fetchone()[0]) == 200


@BOTH
def test_export_and_import_speak_the_providers_own_lines(server: Loopback, store: Store, provider: str) -> None:
    requests = asked(server, provider, 4)
    client = Client(store)
    of: Any = client.provider(requests[0])
    log = batch.Log(store, (provider, "model-a", requests[0].base_url))
    lines = [json.loads(json.dumps(of.line(request))) for request in requests]
    assert [line["custom_id"] for line in lines] == [request.key for request in requests]
    log.note_exported(requests)

    async def results() -> dict[str, batch.Outcome]:
        name = await of.submit(requests, "by hand")
        await of.state(name)
        found = {key: outcome async for key, outcome in of.results(name)}
        await of.close()
        return found

    outcomes = asyncio.run(results())
    stranger = "f" * 64
    assert log.import_exported({**outcomes, stranger: None}, PRICE) == (4, [stranger])
    assert log.import_exported(outcomes, PRICE) == (0, [])
    assert texts(Client(store, mode="replay").run(requests)) == good(4)
