"""Prices, bills, the cap, and the throttle: what keeps a run from surprising anybody."""

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from nlilab.core.errors import UserError
from nlilab.llm.errors import ErrorKind, ProviderError
from nlilab.llm.money import Budget, Price, Tariff, price_table, run_name, tariff
from nlilab.llm.request import Finish, Request, Response
from nlilab.llm.throttle import Throttle

PRICE = Price(input=2.0, output=10.0, cache_read=0.2, cache_write=2.5)
REQUEST = Request("openai", "m", (("user", "hello"),), parameters={"max_tokens": 1000})


def answer(taken: int, given: int, read: int = 0, written: int = 0) -> Response:
    return Response(REQUEST.key, "text", Finish.STOP, "m", taken, given, read, written)


def test_a_bill_by_hand() -> None:
    priced = Tariff(PRICE, "2026-11-01")
    bill = priced.bill(REQUEST, answer(1_000_000, 100_000, read=400_000, written=200_000))
    # 400,000 plain at 2, 400,000 read at 0.2, 200,000 written at 2.5, 100,000 given at 10
    assert bill.dollars == pytest.approx(0.8 + 0.08 + 0.5 + 1.0)
    assert not bill.assumed and bill.prices == "2026-11-01" and bill.run == run_name()
    assert priced.bill(REQUEST, answer(1_000_000, 0), batch="b").dollars == pytest.approx(1.0)


def test_a_run_keeps_its_name_and_so_its_cap_when_the_clock_is_put_right(monkeypatch: pytest.MonkeyPatch) -> None:
    before, started = run_name.__wrapped__(), psutil.boot_time()
    for name in ("_psplatform.boot_time", "_pslinux.boot_time"):
        monkeypatch.setattr(f"psutil.{name}", lambda: started + 3600, raising=False)
    assert psutil.Process().create_time() > started + 3600
    assert run_name.__wrapped__() == before


def test_a_call_that_broke_off_is_billed_at_its_most_and_a_refused_one_is_free() -> None:
    priced = Tariff(PRICE)
    cut = priced.bill(REQUEST, ProviderError(ErrorKind.TRANSPORT, "cut", charged=True))
    assert cut.assumed and cut.dollars == priced.most(REQUEST) > 1000 * 10 / 1e6
    limited = priced.bill(REQUEST, ProviderError(ErrorKind.RATE_LIMITED, "slower"))
    assert limited.dollars == 0 and not limited.assumed


@pytest.mark.parametrize("text", ["plain words", "ünïcödé 語 😀" * 50, ""])
def test_no_tokenizer_can_make_a_call_dearer_than_its_most(text: str) -> None:
    request = Request("openai", "m", (("user", text),), parameters={"max_tokens": 7})
    worst = answer(len(text.encode()), 7, written=len(text.encode()))  # a token a byte, all written into the cache
    assert Tariff(PRICE).bill(request, worst).dollars <= Tariff(PRICE).most(request)


@pytest.mark.parametrize(
    ("provider", "model", "base_url", "cents"),
    [
        ("anthropic", "claude-haiku-4-5", None, 100),
        ("anthropic", "claude-haiku-4-5-20251001", None, 100),
        ("openai", "gpt-5-mini-2025-08-07", None, 25),
    ],
)
def test_the_table_knows_a_model_and_its_dated_versions(
    provider: str, model: str, base_url: str | None, cents: int
) -> None:
    found = tariff("g", provider, model, base_url, None, False)
    assert found.price is not None and found.price.input == cents / 100
    assert found.as_of == str(price_table().as_of)


@pytest.mark.parametrize(
    ("model", "base_url"), [("gpt-5-pro", None), ("gpt-55", None), ("gpt-5-mini", "http://127.0.0.1:1/v1")]
)
def test_a_model_without_a_price_is_refused_unless_that_is_allowed(model: str, base_url: str | None) -> None:
    with pytest.raises(UserError, match=r"generator g: no price for openai/.*llm.allow_unpriced: true"):
        tariff("g", "openai", model, base_url, None, False)
    assert tariff("g", "openai", model, base_url, None, True).price is None
    own = tariff("g", "openai", model, base_url, Price(input=1, output=2), False)
    assert own.price == Price(input=1, output=2)


def test_a_price_is_never_negative() -> None:
    with pytest.raises(ValidationError):
        Price(input=-1, output=0)


def test_a_table_with_a_mistake_names_it(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("as_of: 2026-01-01\nprices: {openai: {m: {input: 1, ouput: 2}}}\n")
    with pytest.raises(UserError, match="ouput: unknown parameter"):
        price_table(path)


def test_a_budget_lets_through_what_fits_beside_what_is_under_way() -> None:
    async def scene() -> list[Any]:
        budget = Budget(1.0, 0.0)
        seen: list[Any] = [await budget.reserve(0.6), budget.fits(0.5)]
        waiting = asyncio.create_task(budget.reserve(0.5))
        await asyncio.sleep(0)
        seen.append(waiting.done())
        await budget.settle(0.6, 0.1)  # it cost less than feared
        seen.append(await waiting)
        await budget.settle(0.5, 0.5)
        return [*seen, await budget.reserve(0.5), round(budget.spent, 6)]

    assert asyncio.run(scene()) == [True, False, False, True, False, 0.6]


def test_one_cut_for_a_burst_and_slow_growth_after_it() -> None:
    async def scene() -> list[float]:
        throttle = Throttle(16)
        marks = [await throttle.enter() for _ in range(16)]
        limits = []
        for mark in marks:  # all sixteen were rate limited: one burst
            throttle.cut(mark, 0.0)
            throttle.leave()
            limits.append(throttle.limit)
        assert set(limits) == {8.0}
        throttle.cut(await throttle.enter(), 0.0)  # sent after the cut: another
        throttle.leave()
        limits = [throttle.limit]
        for _ in range(4):
            throttle.grow()
        limits.append(throttle.limit)
        for _ in range(1000):
            throttle.grow()
        return [*limits, throttle.limit]

    low, after, high = asyncio.run(scene())
    assert low == 4.0 and 4.8 < after <= 5.0 and high == 16.0


def test_the_throttle_never_lets_more_through_and_forgets_nobody() -> None:
    async def scene() -> tuple[int, int]:
        throttle, active, most, served = Throttle(3), 0, 0, 0

        async def call(number: int) -> None:
            nonlocal active, most, served
            mark = await throttle.enter()
            active += 1
            most = max(most, active)
            await asyncio.sleep(0.001)
            active -= 1
            if number % 5 == 0:
                throttle.cut(mark, 0.002)
            else:
                throttle.grow()
            throttle.leave()
            served += 1

        calls = [asyncio.create_task(call(number)) for number in range(60)]
        calls[7].cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        return most, served

    most, served = asyncio.run(scene())
    assert most <= 3 and served == 59
