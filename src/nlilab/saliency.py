"""Which words matter to a model: gradients at the input embeddings, batched, summed up by word."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from nlilab.classifier import load_trained
from nlilab.edits import Span, rewrite, words
from nlilab.errors import UserError
from nlilab.recipes import Recipe
from nlilab.schema import CONTRADICTION, NEUTRAL, NON_ENTAILMENT, THREE_WAY

Scores = npt.NDArray[np.float64]  # one for each word of a hypothesis; -inf where the word is not in the window

MEANS = {
    **{label: (label,) for label in THREE_WAY},
    NON_ENTAILMENT: (NEUTRAL, CONTRADICTION),
}  # a two-way label is right where either of its two is


@dataclass(frozen=True)
class Pair:
    """A tokenised pair: the model's inputs, the hypothesis' candidate spans, and which one each token belongs to."""

    premise: str
    hypothesis: str
    gold: str
    inputs: dict[str, list[int]]
    spans: list[Span]
    owner: list[int]  # token -> index of its span, -1 for special tokens, the premise and punctuation at word edges


@dataclass(frozen=True)
class Slopes:
    """A batch's loss against the gold labels [rows], and its gradient at the embeddings [rows, tokens, dimensions]."""

    loss: torch.Tensor
    gradient: torch.Tensor
    embedding: torch.Tensor


class Victim:
    """A trained model as the attack sees it: in eval mode, in fp32, its weights fixed."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        if not tokenizer.is_fast:
            raise UserError(
                f"{type(tokenizer).__name__} does not say which characters a token stands for; "
                "the attack needs a model with a fast tokenizer (tokenizer.json)"
            )
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        tokenizer.padding_side = "right"  # a token keeps its place whatever it is batched with
        self.tokenizer, self.max_length = tokenizer, max_length
        self.model = torch.nn.Module.to(model, self.device, torch.float32).train(False).requires_grad_(False)
        self.embeddings = input_embeddings(model)

    @classmethod
    def open(cls, folder: Path, max_length: int) -> "Victim":
        """The model that a stage wrote to `folder`."""
        return cls(*load_trained(folder), max_length)

    def pairs(self, premises: Sequence[str], hypotheses: Sequence[str], gold: Sequence[str], unit: str) -> list[Pair]:
        """Tokenise pairs as training does; a word beyond the model's window owns no token."""
        if not hypotheses:
            return []
        special = set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        batch = self.tokenizer(
            list(premises), list(hypotheses), truncation=True, max_length=self.max_length, return_offsets_mapping=True
        )
        names = [name for name in batch if name != "offset_mapping"]
        out = []
        for row, hypothesis in enumerate(hypotheses):
            tokens = zip(batch.sequence_ids(row), batch["input_ids"][row], batch["offset_mapping"][row], strict=True)
            offsets = [
                _stripped(hypothesis, *offset) if side == 1 and number not in special else None
                for side, number, offset in tokens
            ]
            spans = words(hypothesis)
            if unit == "token":
                spans = sorted({offset for offset in offsets if offset is not None and _inside(offset, spans) >= 0})
            owner = [-1 if offset is None else _inside(offset, spans) for offset in offsets]
            inputs = {name: batch[name][row] for name in names}
            out.append(Pair(premises[row], hypothesis, gold[row], inputs, spans, owner))
        return out

    def padded(self, pairs: Sequence[Pair]) -> dict[str, torch.Tensor]:
        """The model's inputs for a batch."""
        batch = self.tokenizer.pad({name: [p.inputs[name] for p in pairs] for name in pairs[0].inputs})
        return {name: torch.tensor(values, device=self.device) for name, values in batch.items()}

    def loss(self, logits: torch.Tensor, gold: Sequence[str]) -> torch.Tensor:
        """Cross-entropy against the gold labels in nats [rows]; a two-way label sums its two."""
        allowed = torch.tensor([[name in MEANS[label] for name in THREE_WAY] for label in gold], device=logits.device)
        return logits.logsumexp(-1) - logits.masked_fill(~allowed, -torch.inf).logsumexp(-1)

    def logits(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """The three-way logits [rows, 3], without gradients."""
        with torch.inference_mode():
            logits: torch.Tensor = self.model(**self.padded(pairs)).logits
        return logits

    def losses(self, premises: Sequence[str], hypotheses: Sequence[str], gold: Sequence[str], size: int) -> Scores:
        """The loss of any number of pairs [rows], in batches of `size` of like length."""
        pairs = self.pairs(premises, hypotheses, gold, "word")
        out = np.zeros(len(pairs))
        for chosen in by_length(pairs, size):
            part = [pairs[row] for row in chosen]
            out[chosen] = self.loss(self.logits(part), [pair.gold for pair in part]).cpu().numpy()
        return out

    def wrong(self, pairs: Sequence[Pair]) -> npt.NDArray[np.bool_]:
        """Whether the model's answer (the argmax of three labels) is not what gold means [rows]."""
        best = self.logits(pairs).argmax(-1).tolist()
        return np.array([THREE_WAY[label] not in MEANS[pair.gold] for label, pair in zip(best, pairs, strict=True)])

    def slopes(self, pairs: Sequence[Pair], scale: float = 1.0) -> Slopes:
        """One forward and one backward pass for the whole batch: the losses' sum gives each row its own gradient.

        `scale` shrinks the hypothesis' embeddings towards zero (the path of integrated gradients).
        """
        own = torch.tensor(_grid([[o >= 0 for o in pair.owner] for pair in pairs], False), device=self.device)
        with _watched(self.embeddings, lambda output: torch.where(own[..., None], scale * output, output)) as seen:
            logits = self.model(**self.padded(pairs)).logits
            loss = self.loss(logits, [pair.gold for pair in pairs])
            (gradient,) = torch.autograd.grad(loss.sum(), seen[0])
        return Slopes(loss.detach(), gradient, seen[0].detach())


def input_embeddings(model: PreTrainedModel) -> torch.nn.Module:
    """Where a model's input becomes vectors; an encoder-decoder reads it twice, and its encoder counts."""
    reader = model.get_encoder() if model.config.is_encoder_decoder else model
    found: torch.nn.Module = reader.get_input_embeddings()
    return found


def by_length(pairs: Sequence[Pair], size: int) -> Iterator[list[int]]:
    """Batches of row numbers, the longest pairs first: little padding is computed, and too little memory shows soon."""
    order = sorted(range(len(pairs)), key=lambda row: -len(pairs[row].owner))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def rank(victim: Victim, pairs: Sequence[Pair], recipe: Recipe, ids: Sequence[str], seed: int) -> list[Scores]:
    """Scores of each pair's spans, highest first to be perturbed.

    l1: the sum over a word's tokens and dimensions of the absolute gradient (Khan, section 4.2); l2: its norm;
    grad_x_input: |gradient . embedding|; integrated_gradients: the same with the mean gradient on the way from zero
    (Sundararajan et al. 2017, equation 3, by the midpoint rule); leave_one_out: the loss without the word; lowest: the
    negative of l1; random: by `seed` and the row's id alone, whatever else is in the batch.
    """
    if recipe.ranking == "random":
        return [_in_window(pair, _dice(seed, name, len(pair.spans))) for pair, name in zip(pairs, ids, strict=True)]
    if recipe.ranking == "leave_one_out":
        return _leave_one_out(victim, pairs)
    if recipe.ranking == "integrated_gradients":
        steps = recipe.integration_steps
        mean = sum(victim.slopes(pairs, (step + 0.5) / steps).gradient for step in range(steps)) / steps
        token = (mean * victim.slopes(pairs).embedding).sum(-1)
        summed = _by_span(pairs, token).abs()
    else:
        slopes = victim.slopes(pairs)
        if recipe.ranking == "grad_x_input":
            summed = _by_span(pairs, (slopes.gradient * slopes.embedding).sum(-1)).abs()
        elif recipe.ranking == "l2":
            summed = _by_span(pairs, slopes.gradient.square().sum(-1)).sqrt()
        else:
            summed = _by_span(pairs, slopes.gradient.abs().sum(-1)) * (-1 if recipe.ranking == "lowest" else 1)
    rows = summed.double().cpu().numpy()
    return [_in_window(pair, row[: len(pair.spans)]) for pair, row in zip(pairs, rows, strict=True)]


def _by_span(pairs: Sequence[Pair], token: torch.Tensor) -> torch.Tensor:
    """Sums of the tokens' values [rows, tokens] over each span [rows, most spans]."""
    most = max(len(pair.spans) for pair in pairs)
    owner = torch.tensor(_grid([[o if o >= 0 else most for o in pair.owner] for pair in pairs], most))
    total = torch.zeros(len(pairs), most + 1, device=token.device, dtype=token.dtype)
    return total.scatter_add(1, owner.to(token.device), token)[:, :most]


def _leave_one_out(victim: Victim, pairs: Sequence[Pair]) -> list[Scores]:
    """The loss without each word, in batches of this one's size."""
    shorter = [(pair, rewrite(pair.hypothesis, {span: ""})[0]) for pair in pairs for span in pair.spans]
    loss = victim.losses(
        [pair.premise for pair, _ in shorter],
        [text for _, text in shorter],
        [pair.gold for pair, _ in shorter],
        len(pairs),
    )
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
