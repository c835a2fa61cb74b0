"""Which words matter to a model: gradients at the input embeddings, batched, summed up by word."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from nlilab.attack.edits import Span, rewrite, words
from nlilab.attack.recipes import Recipe
from nlilab.core.errors import UserError
from nlilab.core.schema import CONTRADICTION, NEUTRAL, NON_ENTAILMENT
from nlilab.model.checkpoint import load_trained
from nlilab.model.classifier import answers, encode, input_embeddings
from nlilab.model.heads import Classifier

Scores = npt.NDArray[np.float64]  # one for each word of a hypothesis; -inf where the word is not in the window

FINER = {NON_ENTAILMENT: (NEUTRAL, CONTRADICTION)}


class Row(NamedTuple):
    """What is asked of a model: two texts, the task as which they are read, and the right label."""

    premise: str
    hypothesis: str
    task: str
    gold: str


@dataclass(frozen=True)
class Pair:
    """A tokenised row: the model's inputs, the hypothesis' candidate spans, and which one each token belongs to."""

    row: Row
    inputs: dict[str, list[int]]
    spans: list[Span]
    owner: list[int]  # token -> index of its span, -1 for special tokens, the premise and punctuation at word edges

    @property
    def hypothesis(self) -> str:
        """The text that is attacked."""
        return self.row.hypothesis

    def having(self, replaced: dict[Span, str]) -> Row:
        """The row with spans of its hypothesis replaced."""
        return self.row._replace(hypothesis=rewrite(self.hypothesis, replaced)[0])


def means(gold: str, labels: Sequence[str]) -> list[str]:
    """Those of a model's labels that mean a gold label, which may be coarser: right is whatever it is divided into."""
    found = [gold] if gold in labels else [label for label in FINER.get(gold, ()) if label in labels]
    if not found:
        raise UserError(f"a row is labelled {gold!r}, which no answer of the model means ({', '.join(labels)})")
    return found


@dataclass(frozen=True)
class Slopes:
    """A batch's loss against the gold labels [rows], and its gradient at the embeddings [rows, tokens, dimensions]."""

    loss: torch.Tensor
    gradient: torch.Tensor
    embedding: torch.Tensor


class Victim:
    """A trained model as the attack sees it: in eval mode, in fp32, its weights fixed."""

    def __init__(self, classifier: Classifier, max_length: int) -> None:
        tokenizer = classifier.tokenizer
        if not tokenizer.is_fast:
            raise UserError(
                f"{type(tokenizer).__name__} does not say which characters a token stands for; "
                "the attack needs a model with a fast tokenizer (tokenizer.json)"
            )
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        tokenizer.padding_side = "right"  # a token keeps its place whatever it is batched with
        self.classifier, self.tokenizer, self.max_length = classifier, tokenizer, max_length
        self.reading = classifier.reading
        self.model = classifier.model.to(self.device, torch.float32).train(False).requires_grad_(False)
        self.embeddings = input_embeddings(self.model)

    @classmethod
    def open(cls, folder: Path, max_length: int) -> "Victim":
        """The model that a stage wrote to `folder`."""
        return cls(load_trained(folder), max_length)

    def pairs(self, rows: Sequence[Row], unit: str) -> list[Pair]:
        """Tokenise rows as training does; a word beyond the model's window, or out of its view, owns no token."""
        special = set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        encoded = encode(pd.DataFrame(rows, columns=Row._fields), self.classifier, self.max_length, places=True)
        out = []
        for row, inputs, places in zip(rows, encoded.inputs, encoded.places, strict=True):
            offsets = [
                _stripped(row.hypothesis, *place) if place is not None and number not in special else None
                for number, place in zip(inputs["input_ids"], places, strict=True)
            ]
            spans = words(row.hypothesis)
            if unit == "token":
                spans = sorted({offset for offset in offsets if offset is not None and _inside(offset, spans) >= 0})
            owner = [-1 if offset is None else _inside(offset, spans) for offset in offsets]
            out.append(Pair(row, inputs, spans, owner))
        return out

    def padded(self, pairs: Sequence[Pair]) -> dict[str, torch.Tensor]:
        """The model's inputs for a batch."""
        batch = self.tokenizer.pad({name: [p.inputs[name] for p in pairs] for name in pairs[0].inputs})
        return {name: torch.tensor(values, device=self.device) for name, values in batch.items()}

    def loss(self, logits: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
        """Cross-entropy in nats [rows], among the labels of each row's task; a coarse gold label sums what it means."""
        names = self.reading.labels
        right = [[name in means(row.gold, self.reading.tasks[row.task]) for name in names] for row in rows]
        allowed = torch.tensor(right, device=logits.device)
        return self._among(logits, rows).logsumexp(-1) - logits.masked_fill(~allowed, -torch.inf).logsumexp(-1)

    def logits(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """The logits [rows, labels], without gradients."""
        with torch.inference_mode():
            logits: torch.Tensor = self.model(**self.padded(pairs)).logits
        return logits

    def losses(self, rows: Sequence[Row], size: int) -> Scores:
        """The loss of any number of rows [rows], in batches of `size` of like length."""
        pairs = self.pairs(rows, "word")
        out = np.zeros(len(pairs))
        for chosen in by_length(pairs, size):
            part = [pairs[row] for row in chosen]
            out[chosen] = self.loss(self.logits(part), [pair.row for pair in part]).cpu().numpy()
        return out

    def wrong(self, pairs: Sequence[Pair]) -> npt.NDArray[np.bool_]:
        """Whether the model's answer (the likeliest label of the row's task) is not what gold means [rows]."""
        rows, names = [pair.row for pair in pairs], self.reading.labels
        best = self._among(self.logits(pairs), rows).argmax(-1).tolist()
        said = zip(best, rows, strict=True)
        return np.array([names[label] not in means(row.gold, self.reading.tasks[row.task]) for label, row in said])

    def _among(self, logits: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
        """The logits, those of labels that a row's task does not know at minus infinity."""
        return logits.masked_fill(~answers(self.reading, [row.task for row in rows], logits.device), -torch.inf)

    def slopes(self, pairs: Sequence[Pair], scale: float = 1.0) -> Slopes:
        """One forward and one backward pass for the whole batch: the losses' sum gives each row its own gradient.

        `scale` shrinks the hypothesis' embeddings towards zero (the path of integrated gradients).
        """
        own = torch.tensor(_grid([[o >= 0 for o in pair.owner] for pair in pairs], False), device=self.device)
        with _watched(self.embeddings, lambda output: torch.where(own[..., None], scale * output, output)) as seen:
            logits = self.model(**self.padded(pairs)).logits
            loss = self.loss(logits, [pair.row for pair in pairs])
            (gradient,) = torch.autograd.grad(loss.sum(), seen[0])
        return Slopes(loss.detach(), gradient, seen[0].detach())


def by_length(pairs: Sequence[Pair], size: int) -> Iterator[list[int]]:
    """Batches of row numbers, the longest pairs first: little padding is computed, and too little memory shows soon."""
    order = sorted(range(len(pairs)), key=lambda row: -len(pairs[row].owner))
    for start in range(0, len(order), size):
        yield order[start : start + size]


class Ranked(NamedTuple):
    """Scores of each pair's spans; and the gradients of the pairs as they are, where the ranking took them."""

    scores: list[Scores]
    slopes: Slopes | None


def rank(victim: Victim, pairs: Sequence[Pair], recipe: Recipe, ids: Sequence[str], seed: int) -> Ranked:
    """Scores of each pair's spans, highest first to be perturbed.

    l1: the sum over a word's tokens and dimensions of the absolute gradient (Khan, section 4.2); l2: its norm;
    grad_x_input: |gradient . embedding|; integrated_gradients: the same with the mean gradient on the way from zero
    (Sundararajan et al. 2017, equation 3, by the midpoint rule); leave_one_out: the loss without the word; lowest: the
    negative of l1; random: by `seed` and the row's id alone, whatever else is in the batch.
    """
    if recipe.ranking == "random":
        dice = zip(pairs, ids, strict=True)
        return Ranked([_in_window(pair, _dice(seed, name, len(pair.spans))) for pair, name in dice], None)
    if recipe.ranking == "leave_one_out":
        return Ranked(_leave_one_out(victim, pairs), None)
    slopes = None
    if recipe.ranking == "integrated_gradients":
        summed = _by_span(pairs, _integrated(victim, pairs, recipe.integration_steps)).abs()
    else:
        slopes = victim.slopes(pairs)
        if recipe.ranking == "grad_x_input":
            summed = _by_span(pairs, (slopes.gradient * slopes.embedding).sum(-1)).abs()
        elif recipe.ranking == "l2":
            summed = _by_span(pairs, slopes.gradient.square().sum(-1)).sqrt()
        else:
            summed = _by_span(pairs, slopes.gradient.abs().sum(-1)) * (-1 if recipe.ranking == "lowest" else 1)
    rows = summed.double().cpu().numpy()
    return Ranked([_in_window(pair, row[: len(pair.spans)]) for pair, row in zip(pairs, rows, strict=True)], slopes)


def _integrated(victim: Victim, pairs: Sequence[Pair], steps: int) -> torch.Tensor:
    """The mean gradient on the way from zero, times the embedding [rows, tokens]; of use for the hypothesis alone."""
    scales = [(step + 0.5) / steps for step in range(steps)]
    gradient = torch.zeros(())
    for scale in scales:
        slopes = victim.slopes(pairs, scale)
        gradient = gradient.to(slopes.gradient.device) + slopes.gradient / steps
    return (gradient * slopes.embedding / scales[-1]).sum(-1)  # what the last pass saw, at its full size again


def _by_span(pairs: Sequence[Pair], token: torch.Tensor) -> torch.Tensor:
    """Sums of the tokens' values [rows, tokens] over each span [rows, most spans]."""
    most = max(len(pair.spans) for pair in pairs)
    owner = torch.tensor(_grid([[o if o >= 0 else most for o in pair.owner] for pair in pairs], most))
    total = torch.zeros(len(pairs), most + 1, device=token.device, dtype=token.dtype)
    return total.scatter_add(1, owner.to(token.device), token)[:, :most]


def _leave_one_out(victim: Victim, pairs: Sequence[Pair]) -> list[Scores]:
    """The loss without each word, in batches of this one's size."""
    loss = victim.losses([pair.having({span: ""}) for pair in pairs for span in pair.spans], len(pairs))
    ends = np.cumsum([len(pair.spans) for pair in pairs])
    return [_in_window(pair, part) for pair, part in zip(pairs, np.split(loss, ends[:-1]), strict=True)]


def _in_window(pair: Pair, scores: Scores) -> Scores:
    inside = np.isin(np.arange(len(pair.spans)), pair.owner)
    return np.where(inside, scores, -np.inf)


def _dice(seed: int, name: str, count: int) -> Scores:
    number = int.from_bytes(hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()[:8])
    return np.random.default_rng(number).random(count)


def _stripped(text: str, start: int, end: int) -> Span | None:
    """A token's span without the blanks that some tokenizers count to it; None where nothing is left."""
    part = text[start:end]
    start, end = start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())
    return (start, end) if start < end else None


def _inside(offset: Span, spans: Sequence[Span]) -> int:
    """The span that shares characters with the token, the first one of several; -1 where none does."""
    for number, (start, end) in enumerate(spans):
        if offset[0] < end and start < offset[1]:
            return number
    return -1


def _grid(rows: list[list[Any]], fill: Any) -> list[list[Any]]:
    width = max(map(len, rows))
    return [row + [fill] * (width - len(row)) for row in rows]


@contextmanager
def _watched(module: torch.nn.Module, change: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Record a module's outputs, changed, as leaves at which a gradient can be taken."""
    seen: list[torch.Tensor] = []

    def hook(_: torch.nn.Module, __: object, output: torch.Tensor) -> torch.Tensor:
        seen.append(change(output.detach()).requires_grad_(True))
        return seen[-1]

    handle = module.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()
