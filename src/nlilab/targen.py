"""TarGEN's steps 1-3 (Gupta et al. 2024, section 3.1): contexts, instance seeds, label-constrained instances."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from nlilab.answers import Unreadable, read_fields, read_list
from nlilab.asking import Failed, Read, ask_until_read
from nlilab.errors import UserError
from nlilab.files import digest
from nlilab.llm.request import Request
from nlilab.llm.writer import Writer, text_of
from nlilab.params import Name, Settings
from nlilab.progress import Report
from nlilab.task import Task, answer_schema

SEEDS_PER_REQUEST = 10
ROUNDS = 4  # how often a list that came back too short is asked for again
EVIDENCE = 500  # characters of an unreadable answer that a reject keeps


class PlanSettings(Settings):
    """The plan that all generators share: who writes contexts and premises, and how many."""

    generator: Name
    contexts: Annotated[int, Field(ge=1, le=1000)]
    premises_per_context: Annotated[int, Field(ge=1)]


class GenerateSettings(Settings):
    """How many hypotheses each (premise, label) gets, and how often an unreadable one is asked for again."""

    samples: Annotated[int, Field(ge=1, le=1000)] = 1
    attempts: Annotated[int, Field(ge=1, le=10)] = 3


def write_contexts(writer: Writer, task: Task, count: int) -> list[str]:
    """Step 1: `count` different contexts."""
    schema = answer_schema({"contexts": {"type": "array", "items": {"type": "string"}}})

    def ask(sample: int) -> list[str]:
        meta = {"task": task.name, "step": "contexts", "n": str(count)}
        request = writer.request(task.contexts.messages(n=count), schema, sample, meta)
        return read_list(text_of(writer.ask([request])[0]), "contexts")

    return _collect(ask, count, f"{writer.name} wrote {{got}} different contexts of {count}; lower plan.contexts")


def write_premises(writer: Writer, task: Task, contexts: list[str], per_context: int, report: Report) -> pd.DataFrame:
    """Step 2: rows id, context, genre, length, <seed field>; distinct within the whole plan."""
    schema = answer_schema({"premises": {"type": "array", "items": {"type": "string"}}})
    shapes = [(genre, length) for length in task.file.lengths for genre in task.file.genres]
    rows: list[dict[str, str]] = []
    seen: set[str] = set()
    held = dict.fromkeys(contexts, 0)
    reason = ""
    for turn in range(ROUNDS):
        slots = [slot for context in contexts for slot in _slots(context, per_context, held[context], turn)]
        requests = []
        for context, chunk, count, offset in slots:
            genre, length = shapes[(contexts.index(context) + chunk) % len(shapes)]
            meta = {"task": task.name, "step": "seeds", "context": context, "n": str(count), "offset": str(offset)}
            messages = task.seeds.messages(n=count, context=context, genre=genre, length=length)
            requests.append(writer.request(messages, schema, chunk, meta | {"genre": genre, "length": length}))
        for request, answer in zip(requests, writer.ask(requests, report), strict=True):
            context = request.meta["context"]
            try:
                texts = read_list(text_of(answer), "premises")
            except Unreadable as error:
                texts, reason = [], f" (an answer was unreadable: {error})"
            for text in texts:
                if held[context] < per_context and text not in seen:
                    seen.add(text)
                    held[context] += 1
                    rows.append(
                        {
                            "id": digest(task.name, context, text),
                            "context": context,
                            "genre": request.meta["genre"],
                            "length": request.meta["length"],
                            task.file.seed_field: text,
                        }
                    )
        if all(count == per_context for count in held.values()):
            break
    if short := {context: count for context, count in held.items() if count < per_context}:
        context, count = next(iter(short.items()))
        raise UserError(
            f"{writer.name} wrote {count} different premises of {per_context} for {context!r} after {ROUNDS} rounds"
            f"{reason}; lower plan.premises_per_context, or see to the generator"
        )
    order = {context: number for number, context in enumerate(contexts)}
    rows.sort(key=lambda row: order[row["context"]])
    return pd.DataFrame(rows)


def plan_cells(task: Task, premises: pd.DataFrame, samples: int) -> pd.DataFrame:
    """The (seed, label, sample) cells, exactly balanced and the same for every generator; the id is the cell's."""
    field = task.file.seed_field
    return pd.DataFrame(
        {
            "id": digest(task.name, seed["id"], label, sample),
            "context": seed["context"],
            "seed_id": seed["id"],
            field: seed[field],
            "label": label,
            "sample": sample,
        }
        for seed in premises.to_dict("records")
        for label in task.labels
        for sample in range(samples)
    )


def write_instances(
    writer: Writer, task: Task, cells: pd.DataFrame, attempts: int, report: Report
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Step 3: one instance for each cell, label first; unreadable answers are asked for again, within `attempts`.

    Returns (rows, rejects): every cell is in rows or, with its last attempt marked final, in rejects; earlier
    attempts that failed are in rejects too.
    """
    field = task.file.written_field
    schema = answer_schema({field: {"type": "string"}})
    records: list[dict[str, Any]] = [
        {str(key): value for key, value in row.items()} for row in cells.to_dict("records")
    ]
    found, failed = ask_until_read(
        records,
        lambda cell, further: _instance_request(writer, task, schema, cell, further),
        lambda text: read_fields(text, [field])[field],
        lambda requests: writer.ask(requests, report),
        attempts,
    )
    rows = [_instance_row(writer, task, cell, found[place]) for place, cell in enumerate(records) if place in found]
    rejects = [_instance_reject(records[failure.place], failure) for failure in failed]
    _check_whole(cells, rows, rejects)
    if not rows:
        raise UserError(
            f"{writer.name} gave no readable answer to {len(cells)} cells; the last one: {rejects[-1]['reason']}"
        )
    columns = [*cells.columns, "attempt", "reason", "answer", "final"]
    return pd.DataFrame(rows), pd.DataFrame(rejects, columns=columns)


def _instance_request(
    writer: Writer, task: Task, schema: dict[str, Any], cell: dict[str, Any], further: int
) -> Request:
    field = task.file.seed_field
    values = {"context": cell["context"], field: cell[field]}
    meta = {"task": task.name, "step": "generate", "label": cell["label"], **values}
    return writer.request(task.generate[cell["label"]].messages(**values), schema, cell["sample"] + further, meta)


def _instance_row(writer: Writer, task: Task, cell: dict[str, Any], read: Read[str]) -> dict[str, Any]:
    """The cell with what was written for it, and by whom on which prompt."""
    return {
        **cell,
        task.file.written_field: read.value,
        "generator": writer.name,
        "model": read.model,
        "prompt": task.generate[cell["label"]].digest,
        "request": read.request.key,
    }


def _instance_reject(cell: dict[str, Any], failed: Failed) -> dict[str, Any]:
    evidence = {"reason": failed.reason, "answer": failed.answer[:EVIDENCE]}
    return {**cell, "attempt": failed.attempt, **evidence, "final": failed.final}


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
