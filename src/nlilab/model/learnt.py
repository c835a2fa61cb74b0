"""Whether a training left chance: its loss at the end against what knowing the labels' frequencies alone would give."""

import math
from collections.abc import Sequence

import pandas as pd

END = 0.1  # the last share of the steps: the loss at the end is the mean over it
# As a share of chance, since that mean varies for a model that knows nothing (by a third of this after 90 steps of 32
# rows). To pass, a model must be right in 41 % of the rows where 33 are chance, and know how sure it can be.
MARGIN = 0.01


def chance(rows: pd.DataFrame) -> float:
    """H(label | task) of rows (task, label), in nats: the loss of giving each task's labels their frequencies."""
    counts = rows.groupby(["task", "label"], sort=False).size()
    within = counts / counts.groupby("task", sort=False).transform("sum")
    return -sum(int(count) * math.log(share) for count, share in zip(counts, within, strict=True)) / len(rows)


def at_end(losses: Sequence[dict[str, float]], steps: int) -> float | None:
    """The mean training loss over the last tenth of the steps, in nats; None where there were no steps."""
    last = [entry["loss"] for entry in losses if entry["step"] > (1 - END) * steps]
    return round(sum(last) / len(last), 6) if last else None


def left_chance(loss: float | None, by_chance: float | None) -> bool | None:
    """Whether the loss at the end is below chance by more than it varies (one that is no number is not).

    None where there is nothing to judge: no steps, no such chance, or rows of one label alone.
    """
    if loss is None or not by_chance:
        return None
    return loss < by_chance * (1 - MARGIN)
