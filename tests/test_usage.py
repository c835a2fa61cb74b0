"""Answers as servers of all kinds send them: without counts, or with odd ones, or in parts; none is lost or free."""

import json
from typing import Any

import pytest

from loopback import Loopback
from nlilab.core.errors import UserError
from nlilab.llm.client import Client, Generator
from nlilab.llm.money import Price, Tariff, characters, estimated_tokens
from nlilab.llm.request import Finish, Request, Response
from nlilab.llm.store import Store
from test_faults import address, texts

PRICE = Tariff(Price(input=100.0, output=1000.0), "2026-11-01")
LONG = "a long answer " * 20
WAYS = pytest.mark.parametrize("transport", ["online", "batch"])
BOTH = pytest.mark.parametrize("provider", ["anthropic", "openai"])
NOTHING: dict[str, Any] = {
    "no usage": lambda answer: {name: value for name, value in answer.items() if name != "usage"},
    "null": lambda answer: answer | {"usage": None},
    "empty": lambda answer: answer | {"usage": {}},
    "null counts": lambda answer: answer | {"usage": dict.fromkeys(answer["usage"])},
    "zeros": lambda answer: answer | {"usage": dict.fromkeys(answer["usage"], 0)},
    "words": lambda answer: answer | {"usage": dict.fromkeys(answer["usage"], "many")},
    "below zero": lambda answer: answer | {"usage": dict.fromkeys(answer["usage"], -1)},
    "no object": lambda answer: answer | {"usage": "none"},
}


def asked(server: Loopback, provider: str, count: int, limit: int = 200) -> list[Request]:
    generator = Generator(provider, "model-a", address(server, provider), {"max_tokens": limit})
    return [generator.request([("user", f"question {number}")]) for number in range(count)]


def run(store: Store, requests: list[Request], transport: Any = "online", budget: float | None = None) -> list[Any]:
    client = Client(store, transport=transport, batch_wait=30.0, budget=budget, concurrency=4)
    client.tariffs[requests[0].identity] = PRICE
    return list(client.run(requests))


def bills(store: Store) -> list[tuple[float, int, int, int]]:
    query = "SELECT dollars, assumed, input_tokens, output_tokens FROM answers ORDER BY id"
    return list(store.use(lambda connection: connection.execute(query).fetchall()))


@BOTH
@WAYS
@pytest.mark.parametrize("kind", NOTHING)
def test_an_answer_of_unknown_length_costs_what_its_text_does(
    server: Loopback, store: Store, provider: str, transport: str, kind: str
) -> None:
    server.answer, server.shape = lambda prompt: LONG, NOTHING[kind]
    [request] = asked(server, provider, 1)
    share = 0.5 if transport == "batch" else 1.0
    [answer] = run(store, [request], transport)
    taken, given = estimated_tokens(characters(request)), estimated_tokens(len(LONG))
    assert (answer.text, answer.finish, answer.input_tokens, answer.output_tokens) == (LONG, Finish.STOP, taken, given)
    [(dollars, assumed, *counts)] = bills(store)
    assert dollars == pytest.approx(share * (taken * 100 + given * 1000) / 1e6) and assumed == 1
    assert dollars <= share * PRICE.most(request) and counts == [taken, given]
    assert run(store, [request]) == [answer] and sum(server.answered.values()) == 1


@BOTH
def test_a_cap_holds_where_nothing_is_counted(server: Loopback, store: Store, provider: str) -> None:
    server.answer, server.shape = lambda prompt: LONG, NOTHING["no usage"]
    requests = asked(server, provider, 40)
    budget = 10 * PRICE.most(requests[0])
    with pytest.raises(UserError, match=r"llm.budget_usd: .* are spent"):
        run(store, requests, budget=budget)
    assert 10 <= sum(server.answered.values()) < 40
    spent = sum(dollars for dollars, *_ in bills(store))
    assert budget / 2 < spent <= budget


@BOTH
def test_an_estimate_is_no_longer_than_was_allowed_and_a_cut_answer_is_as_long(
    server: Loopback, store: Store, provider: str
) -> None:
    server.answer, server.shape = lambda prompt: LONG, NOTHING["null counts"]
    requests = asked(server, provider, 2, limit=20)
    server.endings = {"question 1": "length"}
    for _ in range(2):
        whole, cut = run(store, requests)
        assert (whole.finish, whole.output_tokens) == (Finish.STOP, 20)
        assert (cut.finish, cut.output_tokens) == (Finish.LENGTH, 20)
    assert server.answered["question 0"] == 1  # it fits the request that it answers
    assert all(dollars <= PRICE.most(requests[0]) for dollars, *_ in bills(store))


def test_a_count_that_is_there_stands_beside_an_estimate(server: Loopback, store: Store) -> None:
    def half(answer: Any) -> Any:
        return answer | {"usage": answer["usage"] | {"completion_tokens": None}}

    server.answer, server.shape = lambda prompt: LONG, half
    [answer] = run(store, asked(server, "openai", 1))
    assert (answer.input_tokens, answer.output_tokens) == (7, estimated_tokens(len(LONG)))


PARTS: dict[str, Any] = {
    "parts": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes"}],
    "several": [{"type": "text", "text": "Ye"}, {"type": "reasoning", "text": "so"}, {"type": "text", "text": "s"}],
    "strings": ["Y", "es"],
    "one": {"type": "text", "text": "Yes"},
    "untyped": [{"text": "Yes"}],
}


def with_content(content: Any, **beside: Any) -> Any:
    def shape(answer: Any) -> Any:
        told = json.loads(json.dumps(answer))
        told["choices"][0]["message"] |= {"content": content} | beside
        return told

    return shape


@WAYS
@pytest.mark.parametrize("kind", PARTS)
def test_content_in_parts_is_one_text(server: Loopback, store: Store, transport: str, kind: str) -> None:
    server.shape = with_content(PARTS[kind])
    [answer] = run(store, asked(server, "openai", 1), transport)
    assert (answer.text, answer.finish, answer.output_tokens) == ("Yes", Finish.STOP, 5)
    [(dollars, assumed, *counts)] = bills(store)
    assert assumed == 0 and counts == [7, 5]
    assert dollars == pytest.approx((7 * 100 + 5 * 1000) / 1e6 * (0.5 if transport == "batch" else 1.0))


@pytest.mark.parametrize(
    ("content", "beside", "finish", "text"),
    [
        ("Yes", {"reasoning_content": "Hm. " * 50}, Finish.STOP, "Yes"),
        ("Yes", {"reasoning": "Hm. " * 50}, Finish.STOP, "Yes"),
        (None, {"reasoning_content": "Hm. " * 50}, Finish.EMPTY, ""),
        ([{"type": "thinking", "thinking": "Hm. " * 50}], {}, Finish.EMPTY, ""),
        ([{"type": "refusal", "refusal": "No."}], {}, Finish.REFUSED, "No."),
        ([], {}, Finish.EMPTY, ""),
    ],
)
def test_thoughts_are_no_text_but_were_paid_for(
    server: Loopback, store: Store, content: Any, beside: dict[str, str], finish: Finish, text: str
) -> None:
    server.shape = with_content(content, **beside)
    [answer] = run(store, asked(server, "openai", 1))
    assert isinstance(answer, Response) and (answer.text, answer.finish, answer.output_tokens) == (text, finish, 5)
    server.shape = lambda body: NOTHING["no usage"](with_content(content, **beside)(body))
    [uncounted] = run(store, asked(server, "openai", 2)[1:])
    assert uncounted.output_tokens >= (50 if "Hm." in str((content, beside)) else 1)


def test_a_part_that_is_none_is_unreadable(server: Loopback, store: Store) -> None:
    server.shape = with_content([3])
    assert texts(run(store, asked(server, "openai", 1))) == ["!unparseable"]


@WAYS
@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"code": 429, "message": "slower"}, "rate_limited"),
        ({"code": 400, "message": "no such parameter"}, "bad_request"),
        ({"code": "upstream", "message": "gone"}, "overloaded"),
        ("gone", "overloaded"),
    ],
)
def test_an_error_with_the_status_200_is_an_error(
    server: Loopback, store: Store, monkeypatch: pytest.MonkeyPatch, transport: str, told: Any, kind: str
) -> None:
    server.shape = lambda answer: {"error": told}
    client = Client(store, transport=transport, batch_wait=30.0, attempts=1)  # type: ignore[arg-type]
    assert texts(client.run(asked(server, "openai", 1))) == [f"!{kind}"]
    assert not bills(store)[0][0]
