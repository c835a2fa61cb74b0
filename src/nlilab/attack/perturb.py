"""The attack: gradient-ranked perturbations of the hypothesis (Khan, section 4), with controls.

Rows are taken in batches of like length; for ranking l1 and a budget of one word a batch costs one forward and one
backward pass. What a row becomes depends on the row, the model and the recipe alone, never on its neighbours.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedTokenizerBase

from nlilab.attack.edits import Change, Span, dump, rewrite
from nlilab.attack.recipes import Recipe
from nlilab.attack.saliency import Pair, Row, Slopes, Victim, by_length, rank
from nlilab.core.errors import UserError
from nlilab.core.files import digest
from nlilab.core.progress import Report
from nlilab.core.words import NEGATION
from nlilab.model.checkpoint import loading, resolve
from nlilab.model.memory import memory_explained

CHUNK = 4096  # rows that are tokenised at once: memory does not grow with the table

MARKS = ("\u0120", "\u2581")  # how byte-level and metaspace vocabularies mark the beginning of a word
SPELLINGS = 8  # of one word in a vocabulary: dog, Dog, DOG

NO_WORD = "no word of the hypothesis may be changed: none lies in the model's window, or a constraint keeps all"
NO_TEXT = "nothing would be left of the hypothesis"
NO_CANDIDATE = "no other word satisfies the recipe's constraints"


def pick(rows: pd.DataFrame, labels: Sequence[str], per_class: int, seed: int) -> pd.DataFrame:
    """At most `per_class` rows of each label, equally many of each, in the rows' order.

    Which ones is decided by a hash of seed and id: a larger sample holds the smaller one.
    """
    ranked = rows.assign(rank=rows["id"].map(lambda name: digest(seed, name))).sort_values("rank")
    place = ranked.groupby("label", sort=False).cumcount().reindex(rows.index)
    present = [label for label in labels if (rows["label"] == label).any()]
    count = min([per_class, *(int((rows["label"] == label).sum()) for label in present)])
    return rows[place < count].reset_index(drop=True)


def attack(
    rows: pd.DataFrame, victim: Victim, recipe: Recipe, batch_size: int, seed: int, report: Report | None = None
) -> pd.DataFrame:
    """Perturb each row's hypothesis against the victim.

    Args:
        rows: id, premise, hypothesis, task (one of the victim's), label (which may be coarser than the victim's own:
            two-way for three) and anything else.
    Returns:
        The same rows in the same order with `hypothesis` perturbed, and the columns `original` (the hypothesis as it
        was), `changes` (`edits.dump`) and `reason`: empty, or why the row could not be perturbed and is as it was.
    """
    perturb = PERTURBATIONS[recipe.perturbation](victim, recipe)
    parts = []
    for start in range(0, len(rows), CHUNK):
        part = rows.iloc[start : start + CHUNK]
        ids = part["id"].tolist()
        asked = [Row(*row) for row in part[["premise", "hypothesis", "task", "label"]].itertuples(index=False)]
        pairs = victim.pairs(asked, recipe.unit)
        found: list[_Outcome] = [_Outcome(pair.hypothesis, [], "") for pair in pairs]
        done = start
        for chosen in by_length(pairs, batch_size):
            batch = _Batch([pairs[row] for row in chosen], [ids[row] for row in chosen])
            with memory_explained(f"attack {batch_size} rows at once"):
                outcome = _attack_batch(victim, recipe, perturb, batch, seed)
            for row, one in zip(chosen, outcome, strict=True):
                found[row] = one
            done += len(chosen)
            if report:
                report(done, len(rows))
        parts.append(
            part.assign(
                original=part["hypothesis"],
                hypothesis=[one.text for one in found],
                changes=[dump(one.changes) for one in found],
                reason=[one.reason for one in found],
            )
        )
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class _Outcome:
    text: str
    changes: list[Change]
    reason: str


class _Batch:
    """Pairs that share their passes, their rows' ids, and their gradients once someone has asked for them."""

    def __init__(self, pairs: list[Pair], ids: list[str]) -> None:
        self.pairs, self.ids = pairs, ids
        self.known: Slopes | None = None

    def slopes(self, victim: Victim) -> Slopes:
        """The gradients of all pairs as they are."""
        if self.known is None:
            self.known = victim.slopes(self.pairs)
        return self.known


class Perturbation(Protocol):
    """What stands in a word's stead: for rows of a batch and the number of each one's span, a text, or None."""

    def __call__(self, batch: _Batch, rows: Sequence[int], spans: Sequence[int]) -> list[str | None]: ...


def _attack_batch(victim: Victim, recipe: Recipe, perturb: Perturbation, batch: _Batch, seed: int) -> list[_Outcome]:
    """Replace each pair's words in the order of their rank, until the budget is spent or the model is wrong.

    Words are ranked once, on the row as it was (as TextAttack's GreedyWordSwapWIR does); at least one is replaced.
    """
    pairs = batch.pairs
    if recipe.perturbation == "none":
        return [_Outcome(pair.hypothesis, [], "") for pair in pairs]
    ranked = rank(victim, pairs, recipe, batch.ids, seed)
    batch.known = ranked.slopes
    queues = [
        [int(span) for span in np.argsort(-scores, kind="stable") if _may_change(recipe, pair, int(span), scores)]
        for pair, scores in zip(pairs, ranked.scores, strict=True)
    ]
    reasons = [NO_CANDIDATE if queue else NO_WORD for queue in queues]  # of rows in which nothing gets replaced
    replaced: list[dict[Span, str]] = [{} for _ in pairs]
    open_rows = [row for row, queue in enumerate(queues) if queue]
    while open_rows:
        heads = [queues[row].pop(0) for row in open_rows]
        texts = perturb(batch, open_rows, heads)
        for row, head, text in zip(open_rows, heads, texts, strict=True):
            if text is not None:  # else the next word's turn comes, at no cost to the budget
                replaced[row][pairs[row].spans[head]] = text
        if recipe.until == "wrong":
            wrong = victim.wrong(victim.pairs([pairs[row].having(replaced[row]) for row in open_rows], recipe.unit))
            open_rows = [row for row, done in zip(open_rows, wrong, strict=True) if not (done and replaced[row])]
        open_rows = [row for row in open_rows if queues[row] and len(replaced[row]) < recipe.max_words]
    return [_outcome(*one) for one in zip(pairs, replaced, reasons, strict=True)]


def _outcome(pair: Pair, replaced: Mapping[Span, str], reason: str) -> _Outcome:
    if not replaced:
        return _Outcome(pair.hypothesis, [], reason)
    text, changes = rewrite(pair.hypothesis, replaced)
    if not text.strip():
        return _Outcome(pair.hypothesis, [], NO_TEXT)
    return _Outcome(text, changes, "")


def _may_change(recipe: Recipe, pair: Pair, span: int, scores: npt.NDArray[np.float64]) -> bool:
    return bool(scores[span] > -np.inf) and _allowed(recipe, pair, span)


def _allowed(recipe: Recipe, pair: Pair, span: int) -> bool:
    start, end = pair.spans[span]
    kept = NEGATION.finditer(pair.hypothesis) if recipe.keep_negation else ()
    return not any(found.start() < end and start < found.end() for found in kept)


def _mask(victim: Victim, recipe: Recipe) -> Perturbation:
    """The tokenizer's mask token; a model that has none loses the word instead."""
    mask = victim.tokenizer.mask_token or ""
    return _always(mask)


def _delete(victim: Victim, recipe: Recipe) -> Perturbation:
    return _always("")


def _nothing(victim: Victim, recipe: Recipe) -> Perturbation:
    return _always(None)


def _always(text: str | None) -> Perturbation:
    def perturb(batch: _Batch, rows: Sequence[int], spans: Sequence[int]) -> list[str | None]:
        return [text] * len(spans)

    return perturb


def whole_words(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """The words of more than one letter that are one token of the vocabulary, by its number."""
    names = cast(list[str], tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))))
    marked = any(name[:1] in MARKS and name[1:].isalpha() for name in names)
    texts = {token: str(tokenizer.decode([token])).strip() for token in range(len(names))}
    return {
        token: text
        for token, text in texts.items()
        if text.isalpha() and len(text) > 1 and (names[token][:1] in MARKS if marked else names[token] == text)
    }


class _HotFlip:
    """The word whose embedding, in the place of the first piece, raises the loss most to first order.

    argmax over the vocabulary of (e_v - e_i) . gradient (Ebrahimi et al. 2018, section 3), among whole words.
    """

    def __init__(self, victim: Victim, recipe: Recipe) -> None:
        self.victim = victim
        tokenizer = victim.tokenizer
        texts = {
            token: text
            for token, text in whole_words(tokenizer).items()
            if not (recipe.keep_negation and NEGATION.search(text))
        }
        if not texts:
            raise UserError("hotflip: the tokenizer's vocabulary has no whole words")
        keep = list(texts)
        self.texts = [texts[token] for token in keep]
        weight = next(victim.embeddings.parameters()).detach()
        self.vectors = weight[torch.tensor(keep, device=weight.device)]
        self.least = recipe.min_similarity

    def __call__(self, batch: _Batch, rows: Sequence[int], spans: Sequence[int]) -> list[str | None]:
        slopes, chosen = batch.slopes(self.victim), list(rows)
        asked = [(batch.pairs[row], span) for row, span in zip(rows, spans, strict=True)]
        place = [pair.owner.index(span) for pair, span in asked]
        gain = slopes.gradient[chosen, place] @ self.vectors.T
        if self.least is not None:
            own = torch.nn.functional.normalize(slopes.embedding[chosen, place], dim=-1)
            gain[own @ torch.nn.functional.normalize(self.vectors, dim=-1).T < self.least] = -torch.inf
        best = gain.topk(min(SPELLINGS, gain.shape[1]), dim=-1)
        return [
            self._other(pair.hypothesis[slice(*pair.spans[span])], ranked, values)
            for (pair, span), ranked, values in zip(asked, best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def _other(self, word: str, ranked: list[int], values: list[float]) -> str | None:
        for number, value in zip(ranked, values, strict=True):
            if self.texts[number].lower() != word.lower() and value > -np.inf:
                return self.texts[number]
        return None


class _MlmFill:
    """What a masked language model would say in the word's place, and of that what raises the victim's loss most."""

    def __init__(self, victim: Victim, recipe: Recipe) -> None:
        assert recipe.filler is not None
        place = resolve(recipe.filler)
        with loading(recipe.filler):
            model, info = AutoModelForMaskedLM.from_pretrained(place, output_loading_info=True)
            self.tokenizer = AutoTokenizer.from_pretrained(place)
        if info["missing_keys"] or self.tokenizer.mask_token is None:
            raise UserError(
                f"filler {recipe.filler}: not a masked language model with its head and a mask token; "
                "name one, such as google-bert/bert-base-uncased"
            )
        self.words = whole_words(self.tokenizer)
        self.model = model.to(victim.device).eval().requires_grad_(False)
        self.victim, self.recipe = victim, recipe

    def __call__(self, batch: _Batch, rows: Sequence[int], spans: Sequence[int]) -> list[str | None]:
        pairs = [batch.pairs[row] for row in rows]
        options = [
            [word for word in found if self._fits(word, pair.hypothesis[slice(*pair.spans[span])])]
            for found, pair, span in zip(self._fillers(pairs, spans), pairs, spans, strict=True)
        ]
        flat = [
            pair.having({pair.spans[span]: word})
            for pair, span, words in zip(pairs, spans, options, strict=True)
            for word in words
        ]
        if not flat:
            return [None] * len(pairs)
        loss = self.victim.losses(flat, len(pairs))
        ends = np.cumsum([len(words) for words in options])
        return [
            words[int(part.argmax())] if words else None
            for words, part in zip(options, np.split(loss, ends[:-1]), strict=True)
        ]

    def _fits(self, word: str, was: str) -> bool:
        kept = self.recipe.keep_negation and NEGATION.search(word)
        return word.lower() != was.lower() and not kept

    def _fillers(self, pairs: Sequence[Pair], spans: Sequence[int]) -> list[list[str]]:
        """The most probable words in the place of the masked one, the best first."""
        mask = self.tokenizer.mask_token
        masked = [
            rewrite(pair.hypothesis, {pair.spans[span]: mask})[0] for pair, span in zip(pairs, spans, strict=True)
        ]
        starts = [pair.spans[span][0] for pair, span in zip(pairs, spans, strict=True)]
        limit = min(self.tokenizer.model_max_length, 512)
        batch = self.tokenizer(
            [pair.row.premise for pair in pairs],
            masked,
            truncation=True,
            max_length=limit,
            padding=True,
            return_tensors="pt",
            return_offsets_mapping=True,
        ).to(self.victim.device)
        offsets = batch.pop("offset_mapping")
        with torch.inference_mode():
            logits = self.model(**batch).logits
        out = []
        for number, (ids, row) in enumerate(zip(batch["input_ids"], logits, strict=True)):
            places = [
                place
                for place, (side, token) in enumerate(zip(batch.sequence_ids(number), ids.tolist(), strict=True))
                if side == 1 and token == self.tokenizer.mask_token_id and offsets[number][place][1] > starts[number]
            ]
            best = row[places[0]].topk(self.recipe.candidates).indices.tolist() if places else []
            out.append([self.words[token] for token in best if token in self.words])
        return out


PERTURBATIONS: dict[str, Callable[[Victim, Recipe], Perturbation]] = {
    "mask": _mask,
    "delete": _delete,
    "hotflip": _HotFlip,
    "mlm_fill": _MlmFill,
    "none": _nothing,
}
