"""What a provider could not answer, however often it was asked: a step stops, and the next run asks for that alone."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from loopback import Loopback
from nlilab.core.errors import UserError
from nlilab.llm.client import Client, Generator
from nlilab.llm.store import Store
from nlilab.llm.writer import Writer
from nlilab.tasks.definition import load_task
from nlilab.writing.correct import judge
from nlilab.writing.judging import by_generator, judge_perturbed
from nlilab.writing.strategies import asked
from nlilab.writing.targen import plan_cells, write_contexts, write_instances, write_seeds
from test_faults import address

NLI = load_task("nli")
CONTEXTS = ["a market", "a harbour", "a school"]
WAYS = pytest.mark.parametrize("transport", ["online", "batch"])


def quiet(*_: object) -> None:
    """A progress report that nobody reads."""


def said(prompt: str) -> str:
    """An answer that every step can read."""
    name = hashlib.sha256(prompt.encode()).hexdigest()[:6]
    lists = {"contexts": CONTEXTS, "seeds": [f"Seed {number} of {name}." for number in range(12)]}
    return json.dumps({**lists, "hypothesis": f"So says {name}.", "explanation": "so it is", "label": "neutral"})


def one_in(share: int) -> Callable[[Any], bool]:
    """Whether a call is one of those few, by what it asks."""
    return lambda body: int(hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest(), 16) % share == 0


@pytest.fixture
def open_writer(server: Loopback, store: Store) -> Callable[..., Writer]:
    """A generator on the server, as a new process would open it."""
    server.answer = said

    def opened(transport: Any = "online", holes: float = 0.0) -> Writer:
        generator = Generator("openai", "model-a", address(server, "openai"), {"max_tokens": 900})
        client = Client(store, attempts=2, transport=transport, batch_wait=30.0, holes=holes)
        return Writer("paid", client, generator, False)

    return opened


def seeds_of(writer: Writer) -> pd.DataFrame:
    return write_seeds(writer, NLI, CONTEXTS, 12, quiet)


SEEDS = pd.DataFrame(
    [
        {"id": f"s{n}", "context": CONTEXTS[n % 3], "genre": "news", "length": "short", "premise": f"Premise {n}."}
        for n in range(30)
    ]
)
CELLS = plan_cells(NLI, SEEDS, 1)
ROWS = CELLS.assign(hypothesis=[f"Hypothesis {n}." for n in range(len(CELLS))])
PERTURBED = ROWS.assign(original=[f"Original {n}." for n in range(len(ROWS))])
STEPS: dict[str, tuple[Callable[[Writer], Any], Callable[[Any], bool], int]] = {  # the step, what fails, calls in all
    "contexts": (lambda writer: write_contexts(writer, NLI, 3), one_in(1), 1),
    "seeds": (seeds_of, lambda body: "harbour" in str(body), 3),
    "generate": (lambda writer: write_instances(writer, asked(NLI, "targen"), CELLS, 3, quiet), one_in(9), 90),
    "correct": (lambda writer: judge(writer, NLI, ROWS, 2, quiet), one_in(9), 90),
    "attack": (lambda writer: judge_perturbed(PERTURBED, by_generator(writer, NLI, quiet)), one_in(9), 180),
}


@WAYS
@pytest.mark.parametrize("step", STEPS)
def test_a_step_stops_once_all_else_is_bought_and_then_asks_for_the_rest_alone(
    server: Loopback, open_writer: Callable[..., Writer], transport: str, step: str
) -> None:
    work, server.down, calls = STEPS[step]
    with pytest.raises(UserError, match=rf"^\d+ of {calls} requests stayed unanswered .* set llm.holes") as caught:
        work(open_writer(transport))
    told = str(caught.value)
    lacking = int(told.split()[0])
    assert "to paid: unanswered: overloaded: HTTP 503: not now" in told and "\n" not in told
    assert sum(server.answered.values()) == calls - lacking and lacking > 0
    server.down = lambda body: False
    work(open_writer(transport))
    assert sum(server.answered.values()) == calls


def test_a_share_may_stay_unanswered_and_is_told_apart(
    server: Loopback, open_writer: Callable[..., Writer], caplog: pytest.LogCaptureFixture
) -> None:
    server.down = one_in(9)
    rows, rejects = write_instances(open_writer(holes=0.5), asked(NLI, "targen"), CELLS, 3, quiet)
    lost = rejects[rejects["final"]]
    assert len(rows) + len(lost) == 90 and 0 < len(lost) < 20
    assert lost["reason"].str.startswith("unanswered: overloaded").all() and set(lost["attempt"]) == {0}
    assert f"{len(lost)} of 90 requests to paid stayed unanswered" in caplog.text
    verdicts = judge(open_writer(holes=0.5), NLI, ROWS, 2, quiet)
    holes = sum(verdicts.unanswered())
    assert 0 < holes == verdicts.verdict.count("unjudged")
    with pytest.raises(UserError, match=f"{holes} of 90 requests stayed unanswered"):
        judge(open_writer(holes=(holes - 1) / 90), NLI, ROWS, 2, quiet)
    judge(open_writer(holes=holes / 90), NLI, ROWS, 2, quiet)
    server.down = lambda body: True  # now more in a row than a server that answers nobody would be asked
    nobody = judge(open_writer(holes=1.0), NLI, ROWS.assign(hypothesis="other"), 2, quiet)
    assert all(nobody.unanswered())
    server.down = one_in(9)
    judgement = judge_perturbed(PERTURBED, by_generator(open_writer(holes=0.5), NLI, quiet))
    assert 0 < judgement.unanswered < 40


def test_what_was_refused_or_answered_badly_is_no_hole(server: Loopback, open_writer: Callable[..., Writer]) -> None:
    server.do("400", "refused", "empty", "malformed", "length", "400")
    writer = open_writer()
    writer = replace(writer, client=Client(writer.client.store, concurrency=1))
    rows, rejects = write_instances(writer, asked(NLI, "targen"), CELLS.head(8), 1, quiet)
    assert (len(rows), len(rejects)) == (2, 6) and not rejects["reason"].str.startswith("unanswered").any()
