"""A suite under attack: what the perturbed rows did to each victim, whether the judge lets them count, transfer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nlilab.attack import edits
from nlilab.tasks.reading import scheme_of
from nlilab.verdict.suites import Answers, score

Bools = npt.NDArray[np.bool_]

SHOWN = 8  # pairs of the gallery for each victim, recipe and suite
CLEAN = "clean"


def under(suite: str, recipe: str) -> str:
    """The name of a suite under a recipe; `clean`: the same rows as they were."""
    return f"{suite}@{recipe}"


@dataclass(frozen=True)
class Attacked:
    """One suite's sample under one recipe; answers are in the order of the rows.

    `clean` is by (model, seed): every model on the rows as they were; `own` by (victim, seed): each victim on the rows
    perturbed against it; `read` by (victim, reader, seed): models, of equal seed, on the rows perturbed against the
    victim.
    """

    suite: str
    recipe: str
    rows: pd.DataFrame  # id, premise, hypothesis, label, group, cell
    sides: pd.DataFrame
    texts: Mapping[tuple[str, int], pd.DataFrame]  # hypothesis, original, changes as perturbed
    clean: Mapping[tuple[str, int], Answers]
    own: Mapping[tuple[str, int], Answers]
    read: Mapping[tuple[str, str, int], Answers]
    judge: str

    @property
    def gold(self) -> npt.NDArray[np.str_]:
        """The rows' labels."""
        return self.rows["label"].to_numpy(dtype=str)

    def right(self, answers: Answers) -> Bools:
        """Which rows are answered well [rows]."""
        found: Bools = answers.named(scheme_of(self.rows)) == self.gold
        return found

    def holds(self, victim: str, seed: int) -> Bools:
        """On which perturbed rows the judge still finds the gold label [rows]; all, where no judge read them."""
        read = self.read.get((victim, self.judge, seed))
        return np.ones(len(self.rows), dtype=bool) if read is None else self.right(read)

    def counted(self, victim: str, seed: int, validate: bool) -> Answers:
        """The victim's answers under attack; with `validate` a perturbation that the judge refuses does not count."""
        own, clean = self.own[victim, seed], self.clean[victim, seed]
        if not validate:
            return own
        held = self.holds(victim, seed)[:, None]
        return Answers(np.where(held, own.probabilities, clean.probabilities), own.labels)


def facts(attacked: Attacked, victims: Sequence[str], readers: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    """What the attack did, by victim and seed; and the accuracy of every reader on every victim's rows.

    `success`: of the rows that were right before, the share that is wrong after; `success_judged` counts only
    perturbations that the judge accepts. `kept`: the share of perturbed rows in which the judge finds the gold label;
    `kept_originals`: the same for the rows as they were, which is the most that this judge could say.
    """
    by_victim: dict[str, dict[str, Any]] = {}
    for victim in victims:
        for seed in seeds:
            before = attacked.right(attacked.clean[victim, seed])
            after = attacked.right(attacked.own[victim, seed])
            holds = attacked.holds(victim, seed)
            judged = (victim, attacked.judge, seed) in attacked.read
            judge_before = attacked.clean.get((attacked.judge, seed))
            by_victim.setdefault(victim, {})[str(seed)] = {
                "clean": float(before.mean()),
                "attacked": float(after.mean()),
                "attacked_judged": float(np.where(holds, after, before).mean()) if judged else None,
                "success": _share(before & ~after, before),
                "success_judged": _share(before & ~after & holds, before) if judged else None,
                "kept": float(holds.mean()) if judged else None,
                "kept_originals": None if judge_before is None else float(attacked.right(judge_before).mean()),
            }
    transfer = {
        victim: {
            reader: float(np.mean([attacked.right(attacked.read[victim, reader, seed]).mean() for seed in seeds]))
            for reader in readers
        }
        for victim in victims
    }
    return {
        "suite": attacked.suite,
        "recipe": attacked.recipe,
        "rows": len(attacked.rows),
        "victims": by_victim,
        "transfer": transfer,
    }


def scored(
    attacked: Attacked, victims: Sequence[str], seeds: Sequence[int], validate: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All metrics of the victims on the same rows: as they were, and under attack."""

    def all_of(answers: Mapping[tuple[str, int], Answers]) -> dict[str, Any]:
        return {
            victim: {str(seed): score(attacked.rows, answers[victim, seed], attacked.sides) for seed in seeds}
            for victim in victims
        }

    counted = {(victim, seed): attacked.counted(victim, seed, validate) for victim in victims for seed in seeds}
    return all_of(attacked.clean), all_of(counted)


def gallery(attacked: Attacked, victims: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """Pairs that the victim (of one seed) answered well before and badly after, the surest before first."""
    out = []
    for victim in victims:
        clean, own = attacked.clean[victim, seed], attacked.own[victim, seed]
        fooled = attacked.right(clean) & ~attacked.right(own)
        order = [row for row in np.argsort(-clean.probabilities.max(axis=1), kind="stable") if fooled[row]][:SHOWN]
        texts, holds = attacked.texts[victim, seed], attacked.holds(victim, seed)
        for row in order:
            out.append(
                {
                    "suite": attacked.suite,
                    "recipe": attacked.recipe,
                    "victim": victim,
                    "seed": seed,
                    "premise": str(attacked.rows["premise"].iloc[row]),
                    "hypothesis": str(texts["hypothesis"].iloc[row]),
                    "original": str(texts["original"].iloc[row]),
                    "changes": [[c.start, c.end, c.was] for c in edits.load(texts["changes"].iloc[row])],
                    "label": str(attacked.gold[row]),
                    "before": _shown(clean, row),
                    "after": _shown(own, row),
                    "judge_agrees": bool(holds[row]) if (victim, attacked.judge, seed) in attacked.read else None,
                }
            )
    return out


def _shown(answers: Answers, row: int) -> dict[str, float]:
    return {label: round(float(p), 3) for label, p in zip(answers.labels, answers.probabilities[row], strict=True)}


def _share(part: Bools, of: Bools) -> float | None:
    return float(part.sum() / of.sum()) if of.any() else None
