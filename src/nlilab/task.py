"""A task is data: a folder with task.yaml and one prompt file per step and label, checked when it is loaded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from nlilab.errors import UserError
from nlilab.files import digest, read_text
from nlilab.params import Settings, nearest, read_yaml, validate

TASKS = Path(__file__).parent / "tasks"
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
TURN = "\n---\n"  # in a prompt file: what stands above is the system message

# What each step fills in; {written field} and {seed field} are added by the task.
STEP_PLACEHOLDERS = {
    "contexts": {"n"},
    "seeds": {"n", "context", "genre", "length"},
    "generate": {"context"},
    "correct": {"title", "instructions", "examples", "instance", "label", "labels"},
}


class TaskFile(Settings):
    """task.yaml."""

    title: str
    fields: Annotated[list[str], Field(min_length=1)]
    seed_field: str
    written_field: str
    labels: Annotated[list[str], Field(min_length=2)]
    genres: Annotated[list[str], Field(min_length=1)]
    lengths: Annotated[list[str], Field(min_length=1)]
    instructions: str
    examples: list[dict[str, str]]


@dataclass(frozen=True)
class Prompt:
    """A prompt file: its text, and a digest that says which wording wrote a row."""

    text: str
    digest: str

    def messages(self, **values: object) -> tuple[tuple[str, str], ...]:
        """(role, content) turns with the placeholders filled in; JSON braces in the text stay."""
        filled = PLACEHOLDER.sub(lambda match: str(values[match[1]]), self.text)
        system, turn, user = filled.partition(TURN)
        return (("system", system.strip()), ("user", user.strip())) if turn else (("user", filled.strip()),)


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
        return self.file.labels

    def correction(self, instance: Mapping[str, str], label: str) -> tuple[tuple[str, str], ...]:
        """The meta-prompt of step 4 (TarGEN section 3.3), the same for all tasks, with this task plugged in."""
        examples = [
            self._instance(example) + f"\nLabel: {example['label']}\nBecause: {example['explanation']}"
            for example in self.file.examples
        ]
        return self.correct.messages(
            title=self.file.title,
            instructions=self.file.instructions.strip(),
            examples="\n\n".join(examples),
            instance=self._instance(instance),
            label=label,
            labels=", ".join(f'"{name}"' for name in self.labels),
        )

    def _instance(self, values: Mapping[str, str]) -> str:
        return "\n".join(f"{field.capitalize()}: {values[field]}" for field in self.file.fields)


def load_task(name: str, folder: Path = TASKS) -> Task:
    """Load and check a task's folder; every mistake names the file and the remedy."""
    home = folder / name
    if not (home / "task.yaml").is_file():
        known = sorted(path.parent.name for path in folder.glob("*/task.yaml"))
        raise UserError(f"unknown task {name!r}: {folder} has {', '.join(known)}{nearest(name, known)}")
    file = validate(read_yaml(home / "task.yaml"), TaskFile, str(home / "task.yaml"))
    _check_file(file, home / "task.yaml")
    return Task(
        name=name,
        file=file,
        contexts=_prompt(home / "contexts.md", "contexts", set()),
        seeds=_prompt(home / "seeds.md", "seeds", set()),
        generate={
            label: _prompt(home / "generate" / f"{label}.md", "generate", {file.seed_field}) for label in file.labels
        },
        correct=_prompt(folder / "correct.md", "correct", set()),
    )


def _check_file(file: TaskFile, path: Path) -> None:
    for field in (file.seed_field, file.written_field):
        if field not in file.fields:
            raise UserError(f"{path}: {field!r} is not one of fields {file.fields}")
    for number, example in enumerate(file.examples, start=1):
        for key in (*file.fields, "label", "explanation"):
            if key not in example:
                raise UserError(f"{path}: example {number} lacks {key!r}")
        if example["label"] not in file.labels:
            raise UserError(f"{path}: example {number} has the label {example['label']!r}, not one of {file.labels}")


def _prompt(path: Path, step: str, fields: set[str]) -> Prompt:
    if not path.is_file():
        raise UserError(
            f"{path} is missing: a task has one prompt file for each step, and for `generate` for each label"
        )
    text = read_text(path)
    allowed = STEP_PLACEHOLDERS[step] | fields
    for number, line in enumerate(text.splitlines(), start=1):
        for name in PLACEHOLDER.findall(line):
            if name not in allowed:
                raise UserError(
                    f"{path}:{number}: unknown placeholder {{{name}}}{nearest(name, allowed)}; "
                    f"this step fills {', '.join(sorted(allowed))}"
                )
    for name in fields:
        if f"{{{name}}}" not in text:
            raise UserError(f"{path}: does not use {{{name}}}, so every prompt would be the same; add it")
    return Prompt(text, digest(text))


def answer_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of an answer: these properties, all required, and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
