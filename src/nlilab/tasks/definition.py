"""A task is data: a folder with task.yaml and one prompt file per step and label, checked when it is loaded."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import pandas as pd
from pydantic import Field, model_validator

from nlilab.core.errors import UserError
from nlilab.core.files import digest, read_text
from nlilab.core.params import Settings, nearest, read_yaml, validate
from nlilab.core.schema import THREE_WAY, TWO_WAY

TASKS = Path("tasks")
STRATEGIES = TASKS / "strategies"
PLACEHOLDER = re.compile(r"\{([a-z_0-9]+)\}")
FIELD = re.compile(r"\{\w+\}")  # of a dataset's file, whose columns may have any name
TURN = "\n---\n"  # in a prompt file: what stands above is the system message
ITEM = "- "  # a contexts.md or seeds.md of such lines alone is no prompt but the list itself
RESERVED = {
    *("id", "context", "label", "means", "sample", "seed_id", "n", "generator", "model", "prompt", "request"),
    *("cost_usd", "task", "group", "split", "source", "verdict", "explanation", "corrected_label", "judge", "answer"),
    *("attempt", "reason", "final", "evidence", "step", "writes", "offset"),
}
OTHER = "other"  # generate/other.md serves every label without a file of its own

# What each step fills in, beside the task's own fields.
STEP_PLACEHOLDERS = {
    "contexts": {"n"},
    "seeds": {"n", "context"},
    "generate": {"context", "label", "means"},
    "correct": {"title", "instructions", "examples", "instance", "label", "labels"},
}

Texts = Annotated[list[str], Field(min_length=1)]


class Label(Settings):
    """What a label means, in one clause; and the word by which a language model scores it (its name by default)."""

    means: str
    word: str | None = None


class Pair(Settings):
    """What a small model reads: two texts, with the instance's fields in braces."""

    premise: str
    hypothesis: str


class TaskFile(Settings):
    """task.yaml.

    An instance is its `fields`: step 2 writes those under `seeds` (which may name others that only step 3 needs),
    `turns` gives each cell one of its values, one after the other, and step 3 writes those under `writes`, for a label
    that is fixed first. `shapes` are values that step 2's prompt takes in turn.
    """

    title: str
    source: str
    fields: Texts
    seeds: Texts
    writes: Texts
    labels: Annotated[dict[str, Label], Field(min_length=2)]
    shapes: dict[str, Texts] = {}
    turns: dict[str, Texts] = {}
    pair: Pair = Pair(premise="{premise}", hypothesis="{hypothesis}")
    instructions: str
    examples: list[dict[str, str]]

    @model_validator(mode="after")
    def _known_fields(self) -> Self:
        made = [*self.seeds, *self.turns, *self.writes]
        if taken := [name for name in (*made, *self.shapes) if name in RESERVED]:
            raise ValueError(f"{', '.join(taken)}: the tables have columns of that name already; rename the field")
        for field in self.fields:
            if field not in made:
                raise ValueError(f"nobody writes the field {field!r}: name it in seeds, turns or writes")
        for field in self.writes:
            if field not in self.fields:
                raise ValueError(f"writes: {field!r} is not one of fields {self.fields}")
        for side in (self.pair.premise, self.pair.hypothesis):
            for name in PLACEHOLDER.findall(side):
                if name not in self.fields:
                    raise ValueError(f"pair: unknown placeholder {{{name}}}{nearest(name, self.fields)}")
        return self


@dataclass(frozen=True)
class Prompt:
    """A prompt file: its text, and a digest that says which wording wrote a row."""

    text: str
    digest: str

    def messages(self, **values: object) -> tuple[tuple[str, str], ...]:
        """(role, content) turns with the placeholders filled in; JSON braces in the text stay."""
        filled = _fill(self.text, values)
        system, turn, user = filled.partition(TURN)
        return (("system", system.strip()), ("user", user.strip())) if turn else (("user", filled.strip()),)

    @property
    def items(self) -> list[str]:
        """The entries of a file that is a list instead of a prompt; empty for a prompt."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return [line.removeprefix(ITEM) for line in lines] if all(line.startswith(ITEM) for line in lines) else []


@dataclass(frozen=True)
class Task:
    """A loaded task: `generate` has one prompt per label."""

    name: str
    file: TaskFile
    contexts: Prompt
    seeds: Prompt
    generate: Mapping[str, Prompt]
    correct: Prompt

    @property
    def labels(self) -> list[str]:
        """The label names, in the task's order."""
        return list(self.file.labels)

    def correction(self, instance: Mapping[str, str], label: str) -> tuple[tuple[str, str], ...]:
        """The meta-prompt of step 4 (TarGEN section 3.3), the same for all tasks, with this task plugged in."""
        return self.correct.messages(
            title=self.file.title,
            instructions=self.file.instructions.strip(),
            examples="\n\n".join(self.shown(example) for example in self.file.examples),
            instance=self._instance(instance),
            label=label,
            labels=", ".join(f'"{name}"' for name in self.labels),
        )

    def pair(self, instance: Mapping[Any, Any]) -> dict[str, str]:
        """The premise and the hypothesis that a small model reads of an instance."""
        shown = self.file.pair
        return {"premise": _fill(shown.premise, instance), "hypothesis": _fill(shown.hypothesis, instance)}

    def pairs(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with premise and hypothesis as a small model reads them, of each instance."""
        read = pd.DataFrame([self.pair(row) for row in rows.to_dict("records")], index=rows.index)
        return rows.assign(premise=read["premise"], hypothesis=read["hypothesis"])

    def instruction(self) -> str:
        """What a model that is tuned on instructions reads before the instance (TarGEN appendix E)."""
        return " ".join(self.file.instructions.split())

    def words(self) -> dict[str, str]:
        """Label -> the word by which a language model scores it."""
        return {name: label.word or name for name, label in self.file.labels.items()}

    def shapes(self) -> list[dict[str, str]]:
        """Every combination of the values that step 2's prompt takes in turn, the first name's changing fastest."""
        names = list(self.file.shapes)
        products = itertools.product(*(self.file.shapes[name] for name in reversed(names)))
        return [dict(zip(names, reversed(values), strict=True)) for values in products]

    def shown(self, example: Mapping[str, str]) -> str:
        """An example with its label and the reason for it."""
        return self._instance(example) + f"\nLabel: {example['label']}\nBecause: {example['explanation']}"

    def _instance(self, values: Mapping[str, str]) -> str:
        return "\n".join(f"{field.capitalize().replace('_', ' ')}: {values[field]}" for field in self.file.fields)


def load_task(name: str, folder: Path = TASKS, prompts: str | None = None) -> Task:
    """Load and check a task's folder; every mistake names the file and the remedy.

    `prompts` names another wording of step 3: the folder generate/<prompts> instead of generate.
    """
    home = folder / name
    if not (home / "task.yaml").is_file():
        known = sorted(path.parent.name for path in folder.glob("*/task.yaml"))
        raise UserError(f"unknown task {name!r}: {folder} has {', '.join(known)}{nearest(name, known)}")
    file = validate(read_yaml(home / "task.yaml"), TaskFile, str(home / "task.yaml"))
    _check_examples(file, home / "task.yaml")
    cell = {*file.seeds, *file.turns}
    wording = home / "generate" / prompts if prompts else home / "generate"
    if not wording.is_dir():
        known = sorted(path.name for path in (home / "generate").iterdir() if path.is_dir())
        raise UserError(f"{wording} is missing: the task {name!r} has the wordings {', '.join(known) or '(one only)'}")
    _check_strays(file, wording)
    return Task(
        name=name,
        file=file,
        contexts=_prompt(home / "contexts.md", "contexts", set()),
        seeds=_prompt(home / "seeds.md", "seeds", set(file.shapes)),
        generate={label: _label_prompt(wording, label, file.seeds, cell) for label in file.labels},
        correct=_prompt(folder / "correct.md", "correct", set()),
    )


def check_match(place: str, task: Task, columns: Mapping[str, str], labels: Sequence[str]) -> None:
    """Refuse a dataset (its entry's place, columns and label names) that does not fit the task it says to be of."""
    collapsed = set(task.labels) == set(THREE_WAY) and set(labels) == set(TWO_WAY)
    if (strange := sorted(set(labels) - set(task.labels))) and not collapsed:
        raise UserError(
            f"{place}: its labels {', '.join(strange)} are none of the task {task.name!r}, which has "
            f"{', '.join(task.labels)}: correct `labels` (or `task`)"
        )
    for side, wanted in (("premise", task.file.pair.premise), ("hypothesis", task.file.pair.hypothesis)):
        shown = columns.get(side, f"{{{side}}}")
        shown = shown if "{" in shown else f"{{{shown}}}"
        if FIELD.sub("{}", shown) != FIELD.sub("{}", wanted):
            raise UserError(
                f"{place}: its {side} reads {shown!r}, but tasks/{task.name}/task.yaml says {wanted!r}, so "
                f"models would be trained on one form and judged on another: say it alike in `columns: {{{side}: ...}}`"
            )


def load_strategy(name: str) -> Prompt:
    """The prompt of a generation strategy that stands beside TarGEN's, the same for all tasks and labels."""
    path = STRATEGIES / f"{name}.md"
    allowed = {"title", "instructions", "label", "means", "fields", "attributes", "examples", "answer"}
    return _checked(path, allowed, {"label"})


def _check_examples(file: TaskFile, path: Path) -> None:
    for number, example in enumerate(file.examples, start=1):
        for key in (*file.fields, "label", "explanation"):
            if key not in example:
                raise UserError(f"{path}: example {number} lacks {key!r}")
        if example["label"] not in file.labels:
            raise UserError(
                f"{path}: example {number} has the label {example['label']!r}, not one of {list(file.labels)}"
            )


def _check_strays(file: TaskFile, folder: Path) -> None:
    """A prompt whose label task.yaml does not know is a typo on one of the two sides."""
    for path in sorted(folder.glob("*.md")):
        if path.stem not in (*file.labels, OTHER):
            raise UserError(
                f"{path}: {folder.parent.name}/task.yaml has no label {path.stem!r}{nearest(path.stem, file.labels)}; "
                f"its labels are {', '.join(file.labels)}"
            )


def _label_prompt(folder: Path, label: str, seeds: list[str], cell: set[str]) -> Prompt:
    """A label's own prompt, else the one for all others, which has to tell the labels apart."""
    path = folder / f"{label}.md"
    if path.is_file() or not (folder / f"{OTHER}.md").is_file():
        return _prompt(path, "generate", cell, needed=set(seeds[:1]))
    return _prompt(folder / f"{OTHER}.md", "generate", cell, needed={*seeds[:1], "label"})


def _prompt(path: Path, step: str, fields: set[str], needed: set[str] = frozenset()) -> Prompt:  # type: ignore[assignment]
    return _checked(path, STEP_PLACEHOLDERS[step] | fields, needed)


def _checked(path: Path, allowed: set[str], needed: set[str]) -> Prompt:
    if not path.is_file():
        raise UserError(
            f"{path} is missing: a task has one prompt file for each step, and for `generate` for each label "
            f"(or {OTHER}.md for those without)"
        )
    text = read_text(path)
    for number, line in enumerate(text.splitlines(), start=1):
        for name in PLACEHOLDER.findall(line):
            if name not in allowed:
                raise UserError(
                    f"{path}:{number}: unknown placeholder {{{name}}}{nearest(name, allowed)}; "
                    f"this step fills {', '.join(sorted(allowed))}"
                )
    for name in sorted(needed):
        if f"{{{name}}}" not in text:
            raise UserError(f"{path}: does not use {{{name}}}, so every prompt would be the same; add it")
    return Prompt(text, digest(text))


def _fill(text: str, values: Mapping[Any, object]) -> str:
    return PLACEHOLDER.sub(lambda match: str(values[match[1]]), text)


def answer_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of an answer: these properties, all required, and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
