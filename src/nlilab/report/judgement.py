"""What people said of sampled rows: how far they agree, and whether correction brings labels nearer to theirs."""

from collections.abc import Iterable, Mapping
from typing import Any

from nlilab.report.figures import Figure, figure
from nlilab.report.published import Analysed, Document
from nlilab.report.words import listed, whole

GRADES = ("A", "B", "C", "D")


def judged_by_people(found: Mapping[str, Any]) -> list[str]:
    """Sentences: who graded how much, how far each two agree, and what correction changed."""
    graders = {name: one["graded"] for name, one in found["graders"].items() if one["graded"]}
    if not graders:
        return [
            "Nobody has graded any rows yet, so nothing here rests on what people say of them. `nlilab grade` shows a "
            "sample of them on a local page, blind to who wrote them; two or more people should."
        ]
    names = listed([f"{name} ({whole(count)})" for name, count in graders.items()])
    out = [f"Of {whole(found['rows'])} sampled rows, graded by {names}."]
    for pair in found["pairs"]:
        grade = pair["grade"]
        out.append(
            f"{listed(pair['graders'])} give the same grade to {figure(grade['raw']).value} % of the "
            f"{whole(pair['rows'])} rows that both graded: Cohen's kappa {_two(grade['kappa'])}, weighted "
            f"{_two(grade['weighted_kappa'])}, Spearman {_two(grade['spearman'])}; on the right label: kappa "
            f"{_two(pair['label']['kappa'])}."
        )
    if len(graders) < 2:
        out.append("One person's word: how far another would agree is not known.")
    return out


def written_by(found: Mapping[str, Any]) -> list[tuple[str, int, dict[str, Figure]]]:
    """Each generator's rows: how many of its labels are those that people give, before and after correction, in %."""
    out = []
    for name, one in found["generators"].items():
        said = {
            "before": figure(one["before"]["right"]),
            "after": figure(one["after"]["right"]),
            "difference": figure(one["difference"], "points"),
            "kappa_before": figure(one["before"]["kappa"], "two"),
            "kappa_after": figure(one["after"]["kappa"], "two"),
            "graders": figure(one.get("pairs"), "two"),
        }
        out.append((name, one["rows"], said))
    return out


def agreed(documents: Iterable[Document]) -> list[tuple[Document, Analysed]]:
    """Published agreement of graders."""
    every = [(document, found) for document in documents for found in document.analyses]
    return [(document, found) for document, found in every if found.measure in ("kappa", "spearman")]


def _two(found: Any) -> str:
    return str(figure(found, "two"))
