"""How a generator is asked for an instance: TarGEN's label prompts on seeds, or a method it is compared with.

All strategies answer the same plan cells, so under the same number of requests: TarGEN (Gupta et al. 2024);
`zero-shot`, the task and the label alone (as ZeroGen, Ye et al. 2022, prompts); `attributes`, also the cell's setting,
genre and length (AttrPrompt, Yu et al. 2023); `few-shot`, also examples (Self-Instruct, Wang et al. 2023, with the
task's own examples as its pool).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nlilab.core.files import digest
from nlilab.llm.answers import texts_shown
from nlilab.llm.writer import Strategy
from nlilab.tasks.definition import Prompt, Task, load_strategy

EXAMPLES = 3

Messages = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Asked:
    """A task as a strategy asks for it: which fields the model writes, and its prompts."""

    task: Task
    prompt: Prompt | None  # None: TarGEN's own, one for each label

    @property
    def fields(self) -> list[str]:
        """The fields that the model writes: without a seed, all of them but those that the plan gives in turn."""
        file = self.task.file
        return file.writes if self.prompt is None else [field for field in file.fields if field not in file.turns]

    def wording(self, label: str) -> str:
        """The digest of the prompt that asks for a label."""
        return (self.prompt or self.task.generate[label]).digest

    def shown(self, label: str) -> set[str]:
        """The texts that the prompt of a label shows to be filled in: an answer of them alone is none."""
        return texts_shown((self.prompt or self.task.generate[label]).text)

    def messages(self, cell: Mapping[str, Any]) -> Messages:
        """The prompt of a plan cell."""
        file, label = self.task.file, cell["label"]
        means = file.labels[label].means
        if self.prompt is None:
            given = {field: cell[field] for field in (*file.seeds, *file.turns)}
            return self.task.generate[label].messages(context=cell["context"], label=label, means=means, **given)
        if file.turns:
            means += "; " + "; ".join(f"{name}: {cell[name]}" for name in file.turns)
        return self.prompt.messages(
            title=file.title,
            instructions=file.instructions.strip(),
            label=label,
            means=means,
            fields=", ".join(self.fields),
            attributes="\n".join(f"- {name}: {cell[name]}" for name in self._attributes),
            examples="\n\n".join(self.task.shown(example) for example in self._examples(str(cell["id"]))),
            answer=json.dumps(dict.fromkeys(self.fields, "...")),
        )

    @property
    def _attributes(self) -> list[str]:
        """What AttrPrompt may know of a cell: where a task's seeds are a list, they are attributes too."""
        return ["context", *self.task.file.shapes, *(self.task.file.seeds if self.task.seeds.items else ())]

    def _examples(self, cell: str) -> list[dict[str, str]]:
        """A few of the task's examples, others for another cell."""
        numbered = sorted(enumerate(self.task.file.examples), key=lambda item: digest(cell, item[0]))
        return [example for _, example in numbered[:EXAMPLES]]


def asked(task: Task, strategy: Strategy) -> Asked:
    """The task as `strategy` asks for it."""
    return Asked(task, None if strategy == "targen" else load_strategy(strategy))
