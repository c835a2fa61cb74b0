"""What the pipeline of params.yaml asks of language models, found out by walking through it without asking anyone.

The walk calls the very functions that the stages call. What recordings and the store hold is answered from them; the
embedded grammar, which is free, answers for itself; for anything else a stand-in of the right shape takes the answer's
place and the request is noted as missing.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nlilab.attack.recipes import NOBODY, AttackSettings
from nlilab.core.files import read_table
from nlilab.core.params import Run, conf_entry, run_settings, section
from nlilab.core.progress import Report
from nlilab.llm.client import EMBEDDED, LOCAL, Answer, Client, Progress
from nlilab.llm.money import BATCH_SHARE, characters, estimated_tokens
from nlilab.llm.request import Finish, Request, Response
from nlilab.llm.store import Store
from nlilab.llm.writer import GeneratorEntry, LlmSettings, Writer, join
from nlilab.tasks.definition import load_task
from nlilab.writing.correct import SELF, CorrectSettings, judge
from nlilab.writing.judging import REFUSED, by_generator, judge_perturbed, judged_task
from nlilab.writing.strategies import asked
from nlilab.writing.targen import (
    GenerateSettings,
    PlanSettings,
    plan_cells,
    write_contexts,
    write_instances,
    write_seeds,
)

MARK = "\ue000"  # in every stand-in: a request that holds one will read otherwise once the real answer is there
WORDS = 14  # of a stand-in sentence


@dataclass
class Tally:
    """What one step asks of one generator."""

    calls: int = 0
    held: int = 0
    input_tokens: int = 0  # of the missing ones, estimated
    output_tokens: int = 0
    dollars: float | None = 0.0  # expected; None without a price
    at_most: float = 0.0
    missing: list[Request] = field(default_factory=list)


class Rehearsal(Client):
    """A client that asks nobody, and notes what would have been asked."""

    def __init__(self, store: Store, settings: LlmSettings, evidence: bool = False) -> None:
        """With `evidence`, failures that are on record count as held, as they do in a replay."""
        super().__init__(store, mode="replay" if evidence else settings.mode, holes=settings.holes)
        self.settings = settings
        self.schemas: dict[str, dict[str, Any]] = {}
        self.tallies: dict[tuple[str, str], Tally] = {}  # (step, generator)
        self.used: dict[str, dict[str, Answer]] = {}  # generator -> key -> answer
        self._lengths: dict[tuple[str, str], float] = _answer_lengths(store)

    def run(self, requests: Iterable[Request], on_progress: Callable[[Progress], None] | None = None) -> list[Answer]:
        """Held answers, the grammar's own, and stand-ins for the rest."""
        asked = list(requests)
        held = self.held(asked)
        own = [r for r in asked if r.key not in held and r.provider == EMBEDDED and not _rests_on_stand_ins(r)]
        held |= {r.key: a for r, a in zip(own, _asking(self).run(own), strict=True) if isinstance(a, Response)}
        seen: set[str] = set()
        return [self._answer(request, held.get(request.key), seen) for request in asked]

    def _answer(self, request: Request, known: Answer | None, seen: set[str]) -> Answer:
        step, generator = request.meta["step"], request.meta["generator"]
        tally = self.tallies.setdefault((step, generator), Tally())
        first = request.key not in seen
        seen.add(request.key)
        tally.calls += first
        if known is not None:
            tally.held += first
            self.used.setdefault(generator, {})[request.key] = known
            return known
        text = _stand_in(self.schemas[request.key], request)
        if first:
            self._count(tally, request, self._lengths.get((generator, step)) or estimated_tokens(len(text)))
        return Response(request.key, text, Finish.STOP, request.model)

    def _count(self, tally: Tally, request: Request, output: float) -> None:
        tally.missing.append(request)
        taken, given = estimated_tokens(characters(request)), int(output)
        tally.input_tokens += taken
        tally.output_tokens += given
        tariff = self.tariff(request)
        batched = self.settings.transport == "batch" and request.provider not in LOCAL
        share = BATCH_SHARE if batched else 1.0
        if tariff.price is None or tally.dollars is None:
            tally.dollars = None
            return
        tally.dollars += share * tariff.price.of(Response("", "", Finish.STOP, "", taken, given))
        tally.at_most += share * tariff.most(request)


@dataclass(frozen=True)
class _Rehearsing(Writer):
    """A writer that tells the rehearsal which shape an answer has."""

    def request(
        self, messages: tuple[tuple[str, str], ...], schema: dict[str, Any], sample: int, meta: dict[str, str]
    ) -> Request:
        request = super().request(messages, schema, sample, meta)
        assert isinstance(self.client, Rehearsal)
        self.client.schemas[request.key] = schema
        return request


def rehearse(store: Store, evidence: bool = False, report: Report = lambda *_: None) -> Rehearsal:
    """Walk through contexts, seeds, generate and correct with the parameters of params.yaml."""
    settings = section("llm", LlmSettings).model_copy(update={"allow_unpriced": True})
    rehearsal = Rehearsal(store, settings, evidence)

    def opened(name: str) -> Writer:
        writer = join(rehearsal, name, settings)
        return _Rehearsing(writer.name, rehearsal, writer.generator, writer.structured)

    run = run_settings()
    for task in run.tasks:
        _rehearse_task(task, run, opened, report)
    attack = section("attack", AttackSettings)
    if attack.judge_generator != NOBODY:
        for made in _attacked(run):
            judge_perturbed(made, by_generator(opened(attack.judge_generator), judged_task(made), report))
    return rehearsal


def _rehearse_task(name: str, run: Run, opened: Callable[[str], Writer], report: Report) -> None:
    """A task's four steps."""
    plan, generate = section("plan", PlanSettings), section("generate", GenerateSettings)
    correct, task = section("correct", CorrectSettings), load_task(name)
    author = opened(plan.generator)
    contexts = write_contexts(author, task, plan.contexts)
    cells = plan_cells(task, write_seeds(author, task, contexts, plan.seeds_per_context, report), generate.samples)
    for generator in run.generators:
        entry = conf_entry("generators", generator, GeneratorEntry)
        worded = asked(load_task(name, prompts=entry.prompts), entry.strategy)
        rows, _ = write_instances(opened(generator), worded, cells, generate.attempts, report)
        if correct.method in ("llm", "both"):
            judge(opened(generator if correct.judge == SELF else correct.judge), task, rows, correct.attempts, report)


def _attacked(run: Run, folder: Path = Path("data/adversarial")) -> Iterator[pd.DataFrame]:
    """The perturbed training rows that are there: before the first attack nobody knows what will be asked."""
    for arm in run.harden.arms:
        for recipe in run.harden.against:
            rejects = folder / arm / f"{recipe}.rejects.parquet"
            if not rejects.is_file():
                continue
            refused = read_table(rejects)
            for seed in run.seeds:
                made = read_table(folder / arm / recipe / f"{seed}.parquet")
                lost = refused[(refused["seed"] == seed) & (refused["reason"] == REFUSED)]
                if len(made) or len(lost):
                    yield pd.concat([made, lost], ignore_index=True)


def ready(tally: Tally) -> list[Request]:
    """The missing requests that are already what they will be: they rest on no stand-in."""
    return [request for request in tally.missing if not _rests_on_stand_ins(request)]


def _rests_on_stand_ins(request: Request) -> bool:
    return any(MARK in content for _, content in request.messages)


def _asking(rehearsal: Rehearsal) -> Client:
    client = Client(rehearsal.store)
    client.tariffs = rehearsal.tariffs
    return client


def _stand_in(schema: dict[str, Any], request: Request) -> str:
    """An answer of the schema's shape, different for every request."""

    def sentence(number: int = 0) -> str:
        return " ".join([f"{MARK}{request.key[:12]}-{number}", *["word"] * (WORDS - 1)])

    def value(rule: dict[str, Any], number: int = 0) -> Any:
        if "enum" in rule:
            label = request.meta.get("label", "")
            return label if label in rule["enum"] else rule["enum"][0]
        if rule["type"] == "array":
            return [value(rule["items"], number) for number in range(int(request.meta["n"]))]
        if rule["type"] == "object":
            return {name: f"{sentence(number)} {name}" for name in rule["properties"]}
        return sentence(number)

    return json.dumps({name: value(rule) for name, rule in schema["properties"].items()}, ensure_ascii=False)


def _answer_lengths(store: Store) -> dict[tuple[str, str], float]:
    """Mean tokens of the finished answers that the store holds, by (generator, step)."""
    query = (
        "SELECT json_extract(meta, '$.generator'), json_extract(meta, '$.step'), AVG(output_tokens) FROM answers "
        "WHERE finish = 'stop' GROUP BY 1, 2"
    )
    rows = store.use(lambda connection: connection.execute(query).fetchall())
    return {(generator, step): mean for generator, step, mean in rows if mean}
