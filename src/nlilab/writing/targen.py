"""TarGEN's steps 1-3 (Gupta et al. 2024, section 3.1): contexts, instance seeds, label-constrained instances."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import gcd
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from nlilab.core.errors import UserError
from nlilab.core.files import digest
from nlilab.core.params import Name, Settings
from nlilab.core.progress import Report
from nlilab.llm.answers import Unreadable, read_fields, read_list, read_records, texts_shown
from nlilab.llm.request import Request
from nlilab.llm.writer import Writer
from nlilab.tasks.definition import Task, answer_schema
from nlilab.writing.asking import Failed, Read, ask_until_read, stop_at_holes, texts_of
from nlilab.writing.strategies import Asked, Messages

SEEDS_PER_REQUEST = 12  # a multiple of four: AX-g's seeds come in quadruples
ROUNDS = 4  # how often a list that came back too short is asked for again
EVIDENCE = 500  # characters of an unreadable answer that a reject keeps


class PlanSettings(Settings):
    """The plan that all generators share: who writes contexts and seeds, and how many."""

    generator: Name
    contexts: Annotated[int, Field(ge=1, le=1000)]
    seeds_per_context: Annotated[int, Field(ge=1)]


class GenerateSettings(Settings):
    """How many instances each (seed, label) gets, and how often an unreadable one is asked for again."""

    samples: Annotated[int, Field(ge=1, le=1000)] = 1
    attempts: Annotated[int, Field(ge=1, le=10)] = 3


def write_contexts(writer: Writer, task: Task, count: int) -> list[str]:
    """Step 1: `count` different contexts; a task whose contexts.md is a list has them already."""
    if listed := task.contexts.items:
        if len(listed) < count:
            raise UserError(f"the task {task.name!r} lists {len(listed)} contexts of {count}; lower plan.contexts")
        return listed[:count]
    schema = answer_schema({"contexts": {"type": "array", "items": {"type": "string"}}})

    def ask(sample: int) -> list[str]:
        meta = {"task": task.name, "step": "contexts", "n": str(count)}
        request = writer.request(task.contexts.messages(n=count), schema, sample, meta)
        text = _readable(texts_of(writer, writer.ask([request]))[0])
        return read_list(text, "contexts", texts_shown(task.contexts.text))

    return _collect(ask, count, f"{writer.name} wrote {{got}} different contexts of {count}; lower plan.contexts")


def write_seeds(writer: Writer, task: Task, contexts: list[str], per_context: int, report: Report) -> pd.DataFrame:
    """Step 2: rows id, context, <shapes>, <seed fields>; distinct within the whole plan.

    A task whose seeds.md is a list takes its items in turn.
    """
    if listed := task.seeds.items:
        return _listed_seeds(task, contexts, per_context, listed)
    fields, shapes, shown = task.file.seeds, task.shapes(), texts_shown(task.seeds.text)
    item = {"type": "string"} if len(fields) == 1 else answer_schema({field: {"type": "string"} for field in fields})
    schema = answer_schema({"seeds": {"type": "array", "items": item}})
    rows: list[dict[str, str]] = []
    seen: set[tuple[str, ...]] = set()
    held = dict.fromkeys(contexts, 0)
    reason = ""
    for turn in range(ROUNDS):
        slots = [slot for context in contexts for slot in _slots(context, per_context, held[context], turn)]
        requests = []
        for context, chunk, count, offset in slots:
            shape = shape_of(shapes, contexts.index(context), chunk)
            meta = {"task": task.name, "step": "seeds", "context": context, "n": str(count), "offset": str(offset)}
            messages = task.seeds.messages(n=count, context=context, **shape)
            requests.append(writer.request(messages, schema, chunk, meta | shape))
        for request, text in zip(requests, texts_of(writer, writer.ask(requests, report)), strict=True):
            context = request.meta["context"]
            try:
                found = _read_seeds(_readable(text), fields, shown)
            except Unreadable as error:
                found, reason = [], f" (an answer was unreadable: {error})"
            for seed in found:
                values = tuple(seed.values())
                if held[context] < per_context and values not in seen:
                    seen.add(values)
                    held[context] += 1
                    shape = {name: request.meta[name] for name in task.file.shapes}
                    rows.append({"id": digest(task.name, context, *values), "context": context, **shape, **seed})
        if all(count == per_context for count in held.values()):
            break
    if short := {context: count for context, count in held.items() if count < per_context}:
        context, count = next(iter(short.items()))
        raise UserError(
            f"{writer.name} wrote {count} different seeds of {per_context} for {context!r} after {ROUNDS} rounds"
            f"{reason}; lower plan.seeds_per_context, or see to the generator"
        )
    order = {context: number for number, context in enumerate(contexts)}
    rows.sort(key=lambda row: order[row["context"]])
    return pd.DataFrame(rows)


def shape_of(shapes: Sequence[dict[str, str]], context: int, chunk: int) -> dict[str, str]:
    """The shape in which a chunk of a context's seeds is asked for.

    Neighbours in the list share a property (a genre, a length), so both go round in strides that share no factor with
    its number of shapes: a context meets several of each, and none is bound to a setting.
    """
    place = _stride(5, len(shapes)) * context + _stride(7, len(shapes)) * chunk
    return shapes[place % len(shapes)]


def _stride(least: int, length: int) -> int:
    """The least number from `least` on that shares no factor with the length."""
    return next(step for step in range(least, least + length + 1) if gcd(step, length) == 1)


def _listed_seeds(task: Task, contexts: list[str], per_context: int, items: list[str]) -> pd.DataFrame:
    """Each context goes on in the list where the one before it stopped."""
    shapes = task.shapes()
    rows = []
    for place, context in enumerate(contexts):
        for number in range(per_context):
            item, repeat = items[(place * per_context + number) % len(items)], number // len(items)
            shape = shape_of(shapes, place, number)
            name = digest(task.name, context, item, repeat)
            rows.append({"id": name, "context": context, **shape, task.file.seeds[0]: item})
    return pd.DataFrame(rows)


def _readable(text: str | Unreadable) -> str:
    if isinstance(text, Unreadable):
        raise text
    return text


def _read_seeds(text: str, fields: list[str], shown: set[str]) -> list[dict[str, str]]:
    if len(fields) == 1:
        return [{fields[0]: item} for item in read_list(text, "seeds", shown)]
    return read_records(text, "seeds", fields, shown)


def plan_cells(task: Task, seeds: pd.DataFrame, samples: int) -> pd.DataFrame:
    """The (seed, label, sample) cells, exactly balanced and the same for every generator; the id is the cell's.

    A task's turns go round from seed to seed, the same for all labels of a seed.
    """
    cells = []
    for number, seed in enumerate(seeds.to_dict("records")):
        turns = {name: values[number % len(values)] for name, values in task.file.turns.items()}
        given = {name: seed[name] for name in ("context", *task.file.shapes, *task.file.seeds)} | turns
        for label in task.labels:
            for sample in range(samples):
                cells.append(
                    {
                        "id": digest(task.name, seed["id"], label, sample),
                        "seed_id": seed["id"],
                        **given,
                        "label": label,
                        "sample": sample,
                    }
                )
    return pd.DataFrame(cells)


def write_instances(
    writer: Writer, asked: Asked, cells: pd.DataFrame, attempts: int, report: Report
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Step 3: one instance for each cell, label first; unreadable answers are asked for again, within `attempts`.

    Returns (rows, rejects): every cell is in rows or, with its last attempt marked final, in rejects; earlier
    attempts that failed are in rejects too. HolesLeft where more cells than llm.holes allows found no answer.
    """
    schema = answer_schema({field: {"type": "string"} for field in asked.fields})
    records: list[dict[str, Any]] = [
        {str(key): value for key, value in row.items()} for row in cells.to_dict("records")
    ]
    prompts = [asked.messages(record) for record in records]
    shown = {text for label in asked.task.labels for text in asked.shown(label)}
    asked_before = Counter[Messages]()  # cells of one prompt (without a seed in it, many) ask for different samples
    for record, messages in zip(records, prompts, strict=True):
        record["sample"] = asked_before[messages]
        asked_before[messages] += 1
    found, failed = ask_until_read(
        list(zip(records, prompts, strict=True)),
        lambda prompted, further: _instance_request(writer, asked, schema, *prompted, further),
        lambda text: read_fields(text, asked.fields, shown=shown),
        lambda requests: writer.ask(requests, report),
        attempts,
    )
    stop_at_holes(writer, [failure.reason for failure in failed if failure.unanswered], len(records))
    rows = [_instance_row(writer, asked, cell, found[place]) for place, cell in enumerate(records) if place in found]
    rejects = [_instance_reject(writer, records[failure.place], failure) for failure in failed]
    _check_whole(cells, rows, rejects)
    if not rows:
        raise UserError(
            f"{writer.name} gave no readable answer to {len(cells)} cells; the last one: {rejects[-1]['reason']}"
        )
    columns = [*cells.columns, "attempt", "reason", "answer", "final", "cost_usd"]
    return pd.DataFrame(rows), pd.DataFrame(rejects, columns=columns)


def _instance_request(
    writer: Writer, asked: Asked, schema: dict[str, Any], cell: dict[str, Any], messages: Messages, further: int
) -> Request:
    file = asked.task.file
    given = {name: str(cell[name]) for name in ("context", "label", *file.seeds, *file.turns)}
    meta = {"task": asked.task.name, "step": "generate", "writes": ",".join(asked.fields), **given}
    return writer.request(messages, schema, cell["sample"] + further, meta)


def _instance_row(writer: Writer, asked: Asked, cell: dict[str, Any], read: Read[dict[str, str]]) -> dict[str, Any]:
    """The cell with what was written for it, by whom, on which prompt, and what that answer cost."""
    return {
        **cell,
        **read.value,
        "generator": writer.name,
        "model": read.model,
        "prompt": asked.wording(cell["label"]),
        "request": read.request.key,
        "cost_usd": writer.cost(read.answer),
    }


def _instance_reject(writer: Writer, cell: dict[str, Any], failed: Failed) -> dict[str, Any]:
    evidence = {"reason": failed.reason, "answer": failed.answer.text[:EVIDENCE] if failed.answer else ""}
    cost = writer.cost(failed.answer) if failed.answer else 0.0
    return {**cell, "attempt": failed.attempt, **evidence, "final": failed.final, "cost_usd": cost}


def _check_whole(cells: pd.DataFrame, rows: list[dict[str, Any]], rejects: list[dict[str, Any]]) -> None:
    final = sum(reject["final"] for reject in rejects)
    if len(rows) + final != len(cells):
        raise RuntimeError(f"{len(cells)} cells in, {len(rows)} rows and {final} rejects out: rows were lost")


def _slots(context: str, per_context: int, held: int, turn: int) -> Iterator[tuple[str, int, int, int]]:
    """(context, chunk, count, offset) of the requests that are still due for a context in a round."""
    chunk = turn * 1000
    offset = per_context * turn
    due = per_context - held
    while due > 0:
        count = min(due, SEEDS_PER_REQUEST)
        yield context, chunk, count, offset
        chunk, offset, due = chunk + 1, offset + count, due - count


def _collect(ask: Callable[[int], list[str]], count: int, too_few: str) -> list[str]:
    """Ask until `count` different texts are there, or the rounds are over."""
    found: dict[str, None] = {}
    reason = ""
    for sample in range(ROUNDS):
        try:
            found |= dict.fromkeys(ask(sample))
        except Unreadable as error:
            reason = f" ({error})"
        if len(found) >= count:
            return list(found)[:count]
    raise UserError(too_few.format(got=len(found)) + reason)
