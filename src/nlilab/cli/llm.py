"""The part of the command `nlilab` that is about language models: cost, ledger, record, batch, doctor."""

import asyncio
import codecs
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nlilab.cli.rehearse import Tally, ready, rehearse
from nlilab.core.errors import UserError
from nlilab.core.files import write_text
from nlilab.core.params import CONF, PARAMS, nearest, read_yaml, run_settings, section
from nlilab.core.progress import progress
from nlilab.llm import batch as batches
from nlilab.llm.client import EMBEDDED, LOCAL, Client
from nlilab.llm.errors import ProviderError
from nlilab.llm.keys import KEY_VARIABLES
from nlilab.llm.money import BATCH_SHARE, Budget, run_name, spent_in
from nlilab.llm.recording import Recording, recording_path, write_recording
from nlilab.llm.request import Request, Response, writable
from nlilab.llm.store import Store, default_path
from nlilab.llm.writer import GeneratorEntry, LlmSettings, open_client, open_generator, tariff_of
from nlilab.report.tables import Row, Table, heads, left, row
from nlilab.report.terminal import print_line, print_table
from nlilab.writing.correct import SELF

GIGABYTE = 1_000_000_000
LEAST_FREE = 1.0  # gigabytes under which the doctor worries

app = typer.Typer()
batch_app = typer.Typer(help="The providers' batch APIs by hand: half price, within a day.", no_args_is_help=True)
app.add_typer(batch_app, name="batch")


@app.command()
def cost() -> None:
    """Print calls, tokens and dollars that `dvc repro` would spend with the parameters as they are; asks nobody."""
    store = Store()
    settings = section("llm", LlmSettings)
    with progress("cost", "requests") as report:
        found = rehearse(store, report=report)
    rows = []
    for (step, generator), tally in found.tallies.items():
        missing = len(tally.missing)
        money = ("no price", "") if tally.dollars is None else (f"{tally.dollars:.4f}", f"{tally.at_most:.4f}")
        numbers = (tally.calls, tally.held, missing, tally.input_tokens, tally.output_tokens)
        rows.append(row(step, generator, *(f"{number:,}" for number in numbers), *money))
    tallies = list(found.tallies.values())
    _print(["stage", "generator"], ["calls", "held", "buy", "in", "out", "dollars", "at most"], rows)
    expected, most = (sum(map(part, tallies)) for part in (lambda t: t.dollars or 0.0, lambda t: t.at_most))
    print_line(
        f"expected {expected:.4f} dollars, at most {most:.4f} if each is asked once ({settings.transport} prices); "
        "tokens (in, out) are estimated from text lengths and from the answers held so far"
    )
    if any(tally.dollars is None for tally in tallies):
        print_line("a generator has no price: see `nlilab doctor`")
    cap = settings.budget_usd
    print_line(f"llm.budget_usd: {'none; set one to stop a run at a sum' if cap is None else f'{cap:g} dollars a run'}")


@app.command()
def ledger(
    by: Annotated[str, typer.Option(help="generator, stage, day or run; several with commas")] = "generator,stage",
) -> None:
    """Print what was asked and paid: calls, hits, tokens, dollars, and the cost of an accepted row."""
    parts = {
        "generator": "COALESCE(json_extract(meta, '$.generator'), asked)",
        "stage": "COALESCE(json_extract(meta, '$.step'), '')",
        "day": "date(at, 'unixepoch')",
        "run": "COALESCE(run, '')",
    }
    names = by.split(",")
    for name in names:
        if name not in parts:
            raise UserError(f"--by: unknown {name!r}{nearest(name, parts)}; known: {', '.join(parts)}")
    store = Store()
    grouping = ", ".join(parts[name] for name in names)
    paid = (
        f"SELECT {grouping}, SUM(error IS NULL), SUM(error IS NOT NULL), SUM(finish IS NOT NULL AND finish != 'stop'), "
        "SUM(input_tokens), SUM(output_tokens), SUM(dollars), SUM(dollars * assumed) "
        f"FROM answers GROUP BY {', '.join(str(n + 1) for n in range(len(names)))}"
    )
    own = {"generator": "generator", "stage": "step", "day": "date(at, 'unixepoch')", "run": "run"}
    hits = (
        f"SELECT {', '.join(own[name] for name in names)}, SUM(held) FROM uses "
        f"GROUP BY {', '.join(str(n + 1) for n in range(len(names)))}"
    )
    bought = {tuple(r[: len(names)]): r[len(names) :] for r in _query(store, paid)}
    held = {tuple(r[: len(names)]): r[len(names)] for r in _query(store, hits)}
    rows = []
    for key in sorted({*bought, *held}):
        answers, failed, unusable, taken, given, dollars, assumed = bought.get(key, (0,) * 7)
        numbers = (answers, failed, unusable, held.get(key, 0), taken, given)
        rows.append(row(*key, *(f"{number:,}" for number in numbers), f"{dollars:.4f}", f"{assumed:.4f}"))
    _print(names, ["answers", "failed", "cut", "hits", "in", "out", "dollars", "assumed"], rows)
    for line in _per_row(store):
        print_line(line)
    print_line(
        "cut: or refused, or empty; in, out: tokens; assumed: dollars by estimate, of answers whose tokens nobody "
        "counted, and of broken calls the most they can have cost"
    )
    print(f"store: {store.path}")


@app.command()
def record() -> None:
    """Write the answers that the pipeline used to data/recordings/, so that a clone without keys replays them."""
    store = Store()
    with progress("record", "requests") as report:
        found = rehearse(store, evidence=True, report=report)
    for (step, generator), tally in found.tallies.items():
        if tally.missing and generator != EMBEDDED:
            raise UserError(
                f"{len(tally.missing)} answers of {generator} in step {step} are not held; run `dvc repro` first"
            )
    wrote = False
    for generator, answers in found.used.items():
        if open_generator(generator)[1].provider == EMBEDDED:
            continue  # it answers the same on every machine
        path = recording_path(generator)
        count = write_recording(path, answers.items())
        print(f"{path}: {count} answers, {path.stat().st_size:,} bytes")
        wrote = True
    if wrote:
        print("share them: `git add data/recordings`, or `dvc add` a large file and `dvc push`; then `dvc repro`")
    else:
        print("nothing to record: the embedded grammar answers by itself")


@app.command()
def doctor() -> None:
    """Check keys, endpoints, models, prices, recordings, store and disk; says what to do about each."""
    wrong = 0
    for what, problem in _examine():
        print(f"{'fix ' if problem else 'ok  '} {what}{f': {problem}' if problem else ''}")
        wrong += bool(problem)
    if wrong:
        raise UserError(f"{wrong} of these need attention")


def _examine() -> Iterator[tuple[str, str]]:
    """(what was looked at, what is wrong with it and what to do: empty where it is fine)."""
    settings = section("llm", LlmSettings)
    for name in _generators():
        generator, entry = open_generator(name)
        who = f"{name} ({entry.provider}/{entry.model})"
        if entry.provider in LOCAL:
            yield f"{who}: local, free", ""
        else:
            yield f"{who}: {_key(entry)}", _key_problem(entry)
            yield f"{who}: endpoint and model", _said(lambda g=generator: _ask_endpoint(g))
            yield f"{who}: price", _said(lambda n=name, e=entry: tariff_of(n, e, settings))
        if (path := recording_path(name)).is_file():
            yield f"{path}", _said(lambda p=path: Recording(p).close())
    path = default_path()
    yield f"store {path}", _said(_check_store)
    aside = sorted(path.parent.glob(f"{path.name}.damaged-*"))
    if aside:
        yield "damaged stores set aside", f"{aside[0]}: `sqlite3 {aside[0]} .recover` may save answers"
    else:
        yield "no damaged store was set aside", ""
    free = shutil.disk_usage(path.parent).free / GIGABYTE
    yield f"disk: {free:.1f} GB free for {path.parent}", "NLILAB_CACHE moves it" if free < LEAST_FREE else ""
    cap = settings.budget_usd
    yield f"budget: {'none' if cap is None else f'{cap:g} dollars a run'}", ""


def _generators() -> list[str]:
    """Every generator that params.yaml names."""
    sections = read_yaml(PARAMS)
    named = [*run_settings().generators, sections["plan"]["generator"], sections["correct"]["judge"]]
    return [name for name in dict.fromkeys(named) if name != SELF]


def _key(entry: GeneratorEntry) -> str:
    variable = KEY_VARIABLES[entry.provider]
    return f"key in {variable}: {'present' if os.environ.get(variable) else 'missing'}"


def _key_problem(entry: GeneratorEntry) -> str:
    variable = KEY_VARIABLES[entry.provider]
    needed = entry.provider == "anthropic" or entry.base_url is None
    return "" if os.environ.get(variable) or not needed else f"export {variable}=..."


def _said(action: Any) -> str:
    try:
        action()
    except (UserError, ProviderError) as error:
        return str(error)
    return ""


def _ask_endpoint(generator: Any) -> None:
    async def ask() -> None:
        provider: Any = Client(Store()).provider(generator.request([("user", "")]))
        try:
            await asyncio.wait_for(provider.check(), 20)
        except TimeoutError as error:
            raise UserError("no answer within 20 s; see to the address and the network") from error
        finally:
            await provider.close()

    asyncio.run(ask())


def _check_store() -> None:
    found = Store().use(lambda connection: connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise UserError(f"damaged ({found}); the next run sets it aside and begins a new one")


@batch_app.command()
def export(
    generator: Annotated[str, typer.Argument(help="a generator of conf/generators.yaml")],
    file: Annotated[Path, typer.Argument(help="where the provider's own JSONL goes")],
) -> None:
    """Write the next missing requests of a generator as the provider's own JSONL, to send by hand."""
    hand = _Hand(generator)
    requests = hand.missing()
    write_text(file, "".join(json.dumps(hand.provider.line(r), ensure_ascii=False) + "\n" for r in requests))
    hand.log.note_exported(requests)
    print(
        f"{file}: {len(requests)} requests of {generator}; when they are answered: nlilab batch import {generator} FILE"
    )


@batch_app.command()
def submit(generator: Annotated[str, typer.Argument(help="a generator of conf/generators.yaml")]) -> None:
    """Send the next missing requests of a generator as batches and return at once; `dvc repro` fetches the answers."""
    hand = _Hand(generator)
    requests = hand.missing()
    settings = section("llm", LlmSettings)
    budget = Budget(settings.budget_usd, spent_in(hand.log.store, run_name()))

    async def send() -> list[str]:
        try:
            with batches.alone(hand.log.store):
                await batches.reattach(hand.provider, hand.log)
                pending = hand.log.pending()
                fresh = [request for request in requests if request.key not in pending]
                most = sum(map(hand.tariff.most, fresh)) * BATCH_SHARE
                if not budget.fits(most):
                    raise UserError(
                        f"llm.budget_usd: these {len(fresh)} requests can cost {most:.4f} dollars, more than "
                        f"{budget.limit:g}; raise it, or lower max_tokens of {generator}"
                    )
                for chunk in batches.chunks(hand.provider, fresh):
                    await batches.submit(hand.provider, hand.log, chunk, await hand.provider.recent())
                return [f"{b.name}: {len(hand.log.keys(b.id))} requests" for b in hand.log.open()]
        finally:
            await hand.close()

    for line in hand.run(send()):
        print(line)
    print("`nlilab batch status` tells how far they are; with llm.transport: batch, `dvc repro` fetches the answers")


@batch_app.command()
def status() -> None:
    """Print every open batch, as its provider sees it."""
    shown = 0
    for name in _generators():
        if open_generator(name)[1].provider in LOCAL:
            continue
        hand = _Hand(name)

        async def look(hand: "_Hand" = hand) -> list[batches.BatchState]:
            try:
                return [await hand.provider.state(str(b.name)) for b in hand.log.open() if b.name]
            finally:
                await hand.close()

        for state in hand.run(look()):
            print(f"{name}: {state.name}: {state.done} of {state.total} done{', ended' if state.ended else ''}")
            shown += 1
    if not shown:
        print("no open batch")


@batch_app.command("import")
def import_file(
    generator: Annotated[str, typer.Argument(help="a generator of conf/generators.yaml")],
    file: Annotated[Path, typer.Argument(help="the provider's results, its own JSONL")],
) -> None:
    """Bring results that were fetched by hand into the store, joined by id."""
    hand = _Hand(generator)
    if not file.is_file():
        raise UserError(f"no file {file}")
    outcomes: dict[str, batches.Outcome] = {}
    useless: dict[str, list[int]] = {}  # reason -> the numbers of the lines
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):  # not at U+2028, which JSON may hold
        if not line.strip(b" \t\r" + codecs.BOM_UTF8):
            continue
        try:
            key, outcome = hand.provider.read(json.loads(line.decode("utf-8-sig")))
        except (ProviderError, ValueError, RecursionError) as error:
            useless.setdefault(_why_useless(error), []).append(number)
        else:
            if not isinstance(outcomes.get(key), Response) or isinstance(outcome, Response):
                outcomes[key] = outcome  # an answer is not lost to a line that says the same request failed
    if useless and not outcomes:
        reason, numbers = next(iter(useless.items()))
        raise UserError(f"{file}: no line of it is one of {generator}'s results (line {numbers[0]}: {reason})")
    imported, unknown = hand.log.import_exported(outcomes, hand.tariff)
    expired = sum(outcome is None for outcome in outcomes.values())
    failed = sum(isinstance(outcome, ProviderError) for outcome in outcomes.values())
    print(
        f"{len(outcomes)} results: {imported} new in the store, {failed} failed, {expired} expired, {len(unknown)} of "
        f"other requests, {sum(map(len, useless.values()))} lines that cannot be used"
    )
    for reason, numbers in useless.items():
        print(f"{file}:{numbers[0]}: {reason}{f' (and {len(numbers) - 1} more)' if len(numbers) > 1 else ''}")
    for key in unknown:
        print(f"not asked by `nlilab batch export {generator}`: {writable(key)}")


def _why_useless(error: Exception) -> str:
    """In one line, the same for lines that have the same fault."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON ({error.msg})"
    if isinstance(error, ProviderError):
        return "not a result that names its request (custom_id)"
    return "nested too deeply" if isinstance(error, RecursionError) else "not a result"


class _Hand:
    """A generator whose batches are handled by hand: its provider, price and write-ahead log."""

    def __init__(self, name: str) -> None:
        generator, entry = open_generator(name)
        if entry.provider in LOCAL:
            raise UserError(f"generator {name}: {entry.provider} has no batch API; {CONF}/generators.yaml has others")
        settings = section("llm", LlmSettings)
        self.name = name
        self.client = open_client(settings)
        self.tariff = tariff_of(name, entry, settings)
        self.provider: Any = self.client.provider(generator.request([("user", "")]))
        self.log = batches.Log(self.client.store, generator.identity)

    def missing(self) -> list[Request]:
        """What is missing and already sure to be asked."""
        with progress("looking for what is missing", "requests") as report:
            tallies: dict[tuple[str, str], Tally] = rehearse(self.client.store, report=report).tallies
        found: Sequence[Request] = [
            request for (_, generator), tally in tallies.items() if generator == self.name for request in ready(tally)
        ]
        if not found:
            raise UserError(f"nothing of {self.name} is missing that can be asked now (`nlilab cost` shows the plan)")
        return list(found)

    def run(self, work: Any) -> Any:
        """Do it; a provider's error is a user's error."""
        try:
            return asyncio.run(work)
        except ProviderError as error:
            raise UserError(f"{self.name}: the batch API answered {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self.provider.close()


def _per_row(store: Store) -> Iterator[str]:
    """What an accepted row cost, for every generator that has rows."""
    query = (
        "SELECT json_extract(meta, '$.generator'), SUM(dollars) FROM answers "
        "WHERE json_extract(meta, '$.step') IN ('generate', 'correct') GROUP BY 1"
    )
    dollars = dict(_query(store, query))
    for path in sorted(Path("metrics/curate").glob("*.json")):
        if path.stem in dollars:
            rows = json.loads(path.read_text(encoding="utf-8"))["rows_out"]
            if rows:
                each = dollars[path.stem] / rows
                yield f"{path.stem}: {rows:,} accepted rows, {each:.6f} dollars each (its own writing and judging)"


def _query(store: Store, query: str) -> list[tuple[Any, ...]]:
    return store.use(lambda connection: connection.execute(query).fetchall())


def _print(names: Sequence[str], figures: Sequence[str], rows: Sequence[Row]) -> None:
    print_table(Table([*left(*names), *heads(*figures)], rows, keys=len(names)))
