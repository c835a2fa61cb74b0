"""Stage correct: TarGEN's step 4, by a judge's meta-prompt, by confident learning, by both, or not at all."""

from pathlib import Path

import pandas as pd

from nlilab.core.command import run
from nlilab.core.files import digest, read_table, write_json, write_table
from nlilab.core.params import section
from nlilab.core.progress import progress
from nlilab.llm.writer import UNANSWERED, open_writer
from nlilab.tasks.definition import Task, load_task
from nlilab.tasks.reading import Reading
from nlilab.writing.correct import (
    DROPPED,
    KEPT,
    SELF,
    CorrectSettings,
    Verdicts,
    confident,
    corrected_examples,
    flip_matrix,
    judge,
    total,
    untouched,
)


def main(task: str, generator: str, rows: Path, rejects: Path, out: Path, reading: Path, metrics: Path) -> None:
    """Correct a generator's labels; keep the constrained label, the corrected one and the explanation.

    Rows leave as pairs, with how a small model reads them beside. What was paid for the rows, for answers that could
    not be read and for the judge goes into the metrics; so do the answers that never came, where there are any.
    """
    settings = section("correct", CorrectSettings)
    loaded = load_task(task)
    table = read_table(rows)
    verdicts = untouched(table)
    judged = table
    holes = {"generate": _unanswered(read_table(rejects))}
    name = generator if settings.judge == SELF else settings.judge
    if settings.method in ("llm", "both"):
        with progress(f"correct {task}/{generator} by {name}") as report:
            verdicts = judge(open_writer(name), loaded, table, settings.attempts, report)
        holes["correct"] = sum(verdicts.unanswered())
    if settings.method in ("confident", "both"):
        judged = verdicts.onto(table)
        judged = judged[judged["corrected_label"].notna()].assign(label=lambda kept: kept["corrected_label"])
        found = _confident(judged, settings, loaded)
        verdicts = found if settings.method == "confident" else _both(table, verdicts, judged, found)
    corrected = verdicts.onto(table).assign(judge=name if settings.method in ("llm", "both") else settings.method)
    matrix = flip_matrix(corrected, loaded.labels)
    pairs = loaded.pairs(corrected).assign(task=task)
    write_table(out, pairs)
    write_json(reading, Reading(tasks={task: loaded.labels}, words=loaded.words()).model_dump())
    cost = {
        "generate_usd": total(table["cost_usd"]),
        "rejected_usd": total(read_table(rejects)["cost_usd"]),
        "judge_usd": total(corrected["judge_cost_usd"]),
    }
    shown = {"cost": cost, "examples": corrected_examples(corrected, pairs)}
    write_json(metrics, matrix | shown | ({"holes": holes} if any(holes.values()) else {}))
    print(f"{task}/{generator}: {matrix['verdicts']} of {matrix['rows']} rows")
    if any(holes.values()):
        print(f"{task}/{generator}: requests that stayed unanswered, by step: {holes}")


def _unanswered(rejects: pd.DataFrame) -> int:
    """The cells that have no row because the generator's provider gave no answer at all."""
    reasons = rejects.get("reason", pd.Series(dtype=str))
    return int(reasons.astype(str).str.startswith(UNANSWERED).sum())


def _confident(rows: pd.DataFrame, settings: CorrectSettings, task: Task) -> Verdicts:
    """Out-of-fold predictions of the small model (imported here: other methods need no model), then cleanlab."""
    from nlilab.model.trainer import out_of_fold

    pairs = task.pairs(rows)
    grouped = pairs.assign(group=[digest(premise) for premise in pairs["premise"]], task=task.name)
    reading = Reading(tasks={task.name: task.labels}, words=task.words())
    with progress("correct: out-of-fold training", "folds") as report:
        probabilities = out_of_fold(grouped, settings.classifier, settings.folds, 0, reading, report)
    return confident(grouped, probabilities, task.labels)


def _both(table: pd.DataFrame, judged: Verdicts, kept: pd.DataFrame, found: Verdicts) -> Verdicts:
    """The judge's labels, less the rows on which the small model, trained on them, finds them wrong."""
    doubted = {
        row: note
        for row, verdict, note in zip(kept.index, found.verdict, found.explanation, strict=True)
        if verdict != KEPT
    }
    places = list(table.index)
    return Verdicts(
        [None if row in doubted else label for row, label in zip(places, judged.label, strict=True)],
        [DROPPED if row in doubted else verdict for row, verdict in zip(places, judged.verdict, strict=True)],
        [doubted.get(row, text) for row, text in zip(places, judged.explanation, strict=True)],
        judged.cost_usd,
    )


if __name__ == "__main__":
    run(main)
