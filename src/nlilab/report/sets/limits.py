"""What the analyses of data sets cannot show."""

from collections.abc import Iterable, Sequence

from nlilab.report.sets.dataset import DataSet


def set_limits(sets: Iterable[DataSet]) -> list[str]:
    """What the analyses of this run cannot show."""
    every: Sequence[DataSet] = list(sets)
    analysed = [one for one in every if one.analysis]
    out = []
    if analysed:
        out.append(
            "What the hypothesis alone gives away is seen by a linear model of words: a lower bound. A larger model, "
            "or more rows, may find more."
        )
        out.append(
            "Likeness in meaning is that of one encoder's sentence vectors. It is lower for texts of many topics, "
            "which is not the same as better ones."
        )
    backends = {one.analysis["entities"]["backend"] for one in analysed if "entities" in one.analysis}
    if any(backend.startswith("gazetteer") for backend in backends):
        out.append(
            "Entities are those of a list of names: a name that it lacks is not seen, and a word that is a name "
            "elsewhere may be taken for one. spaCy's models see more, and err differently."
        )
    if any(one.analysis.get("entities", {}).get("jsd") for one in analysed):
        out.append(
            "With few mentions two samples of one source already differ: a Jensen-Shannon divergence says something "
            "only where its interval lies above what chance gives."
        )
    if any(one.analysis.get("leakage") for one in analysed):
        out.append(
            "Leakage is found by equal words, shared 8-grams and near-equal word sets, at the thresholds of "
            "params.yaml; a paraphrase in other words passes them. Rows near in meaning are candidates, by one "
            "encoder."
        )
    if any(one.difficulty for one in every):
        out.append(
            "V-information and PVI are those of one small model, trained on this many rows: another model can use "
            "more or less of the same rows. A PVI below 0, a flag of label noise or a place among the hard rows "
            "makes a candidate for rereading; it proves no mislabel."
        )
    return out
