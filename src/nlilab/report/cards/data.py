"""The card of a dataset: what a stranger must know before using its rows."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import yaml

from nlilab.core.files import digest
from nlilab.core.schema import THREE_WAY, TWO_WAY
from nlilab.report.cards.analysed import figures
from nlilab.report.cards.lock import made
from nlilab.report.cards.origin import METRICS, Origin, found, identifiers, origins
from nlilab.report.cards.render import rendered, table
from nlilab.report.cards.sets import COLUMNS, Shared
from nlilab.report.numbers import listed, percent

EXAMPLES, LETTERS = 3, 300  # rows for each label, letters of a text
REASONS = 10  # of refused answers
SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"))


def dataset_card(shared: Shared, suffix: str = "parquet") -> str:
    """The card (README.md) of a set as `nlilab export` writes it, with data files data/<split>.<suffix>."""
    sources = origins(shared)
    body = rendered(
        "dataset.md.j2",
        shared=shared,
        title=f"nlilab: {shared.name}",
        origins=sources,
        control=_control(shared),
        counts=_counts(shared),
        columns=[(name, COLUMNS[name]) for name in shared.rows if name in COLUMNS],
        splits=shared.splits,
        cost=_cost(shared.rows),
        analyses=_analyses(shared, sources),
        grades=_grades(sources),
        limits=_limits(shared, sources),
        examples=_examples(shared),
        made=_made(shared),
        whole=" (of the whole source)" if shared.kind == "arms" else "",
        suffix=suffix,
        reasons=REASONS,
    )
    return f"---\n{_front(shared, sources, suffix)}\n---\n\n{body}"


def _front(shared: Shared, sources: Sequence[Origin], suffix: str) -> str:
    """The YAML that the hub and `load_dataset` read."""
    from datasets import ClassLabel, DatasetInfo, Features, SplitInfo
    from datasets.info import DatasetInfosDict
    from datasets.splits import SplitDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    inference = set(shared.labels) <= {*THREE_WAY, *TWO_WAY}
    data = DatasetCardData(
        pretty_name=f"nlilab: {shared.name}",
        language="en",
        license=identifiers([source.licence for source in sources]),
        task_categories=["text-classification"],
        task_ids=["natural-language-inference"] if inference else None,
        size_categories=[next((name for most, name in SIZES if len(shared.rows) < most), "n>10M")],
        tags=["nlilab", *(["synthetic"] if any(source.settings for source in sources) else [])],
    )
    features = Features.from_arrow_schema(next(iter(shared.splits.values())).schema)
    features["label"] = ClassLabel(names=shared.labels)
    splits = SplitDict()
    for name, part in shared.splits.items():
        splits.add(SplitInfo(name, num_bytes=part.nbytes, num_examples=part.num_rows))
    DatasetInfosDict(default=DatasetInfo(features=features, splits=splits)).to_dataset_card_data(data)
    files = [{"split": name, "path": f"data/{name}.{suffix}"} for name in shared.splits]
    MetadataConfigs(default={"data_files": files}).to_dataset_card_data(data)
    return str(data)


def _certificate(shared: Shared) -> Mapping[str, Any]:
    """An arm's certificate; empty for other tables, and where it is not there."""
    return found(METRICS / "arms" / f"{shared.rest}.json") or {} if shared.kind == "arms" else {}


def _uncorrected(shared: Shared) -> bool:
    """Whether an arm has the labels that were asked for, whatever a judge said of them."""
    return _certificate(shared).get("label_kind") == "constrained"


def _control(shared: Shared) -> str:
    """What is odd about an arm on purpose."""
    arm = _certificate(shared)
    said = [
        *(["its labels were shuffled, so they mean nothing (a control)"] if arm.get("shuffled") else []),
        *([f"models see its {arm['view']} alone"] if arm.get("view", "pair") != "pair" else []),
        *(["its labels are those that were asked for, not corrected"] if _uncorrected(shared) else []),
    ]
    return "; ".join(said)


def _counts(shared: Shared) -> str:
    """Rows by label and split, as a table."""
    parts = {name: part.column("label").to_pandas() for name, part in shared.splits.items()}
    rows = [[label, *(str(int((own == label).sum())) for own in parts.values())] for label in shared.labels]
    if any(own.isna().any() for own in parts.values()):
        rows.append(["none: dropped or unjudged", *(str(int(own.isna().sum())) for own in parts.values())])
    return table(["label", *parts], [*rows, ["all", *(str(len(own)) for own in parts.values())]])


def _cost(rows: pd.DataFrame) -> float | None:
    """Dollars that the rows' own answers cost; None where nobody knows."""
    known = rows["cost_usd"].dropna() if "cost_usd" in rows else pd.Series(dtype=float)
    return float(known.sum()) if len(known) else None


def _analyses(shared: Shared, sources: Sequence[Origin]) -> list[tuple[str, list[list[str]]]]:
    """(set, its figures) for the table itself, and of an arm for the curated tables that it draws from."""
    names = [f"curated/{source.name}" for source in sources] if shared.kind == "arms" else [shared.name]
    return [(name, figures(name)) for name in names]


def _grades(sources: Sequence[Origin]) -> list[str]:
    """What people who graded a sample found, a sentence for each generator."""
    graded = (found(METRICS / "agreement.json") or {}).get("generators", {})
    return [
        f"{source.name}: people graded {entry['rows']} rows; the label that they marked is the one asked for in "
        f"{_right(entry['before'])} % and the one after correction in {_right(entry['after'])} %."
        for source in sources
        if (entry := graded.get(source.name)) and entry["rows"]
    ]


def _right(stage: Mapping[str, Any]) -> str:
    """The share of graded rows whose label was the one that people marked; a dash where none has a label."""
    return percent((stage["right"] or {}).get("value"))


def _limits(shared: Shared, sources: Sequence[Origin]) -> list[str]:
    """What these rows cannot be used for, or only with care."""
    grammars = [source.name for source in sources if source.by_grammar]
    models = [source.name for source in sources if source.by_model]
    out = []
    if grammars:
        out.append(
            f"{listed(grammars)}: written by a hand-made grammar, not by a language model. Its sentences are few in "
            "kind, and its noise is planted: they say nothing of how a language model would write."
        )
    if models:
        out.append(
            f"{listed(models)}: written by a language model. Its text may be false, biased or unpleasant, and may "
            "repeat what the model was trained on; nobody has read all of it."
        )
    if any(source.correction for source in sources) and not _uncorrected(shared):
        out.append(
            "Labels were corrected by a judge that errs as well, and that may share its generator's blind spots."
        )
    if any(source.curation for source in sources):
        out.append("Rows found in a suite were taken out for the suites of this run alone; others were not looked at.")
    if any(figures_ for _, figures_ in _analyses(shared, sources)):
        out.append(
            "Flagged rows, PVI below 0 and near neighbours are candidates, no proof. What a hypothesis alone gives "
            "away is a lower bound: a stronger model may find more."
        )
    if shared.kind == "suites":
        out.append("Made to judge models by: one that was trained on its rows is not judged by them.")
    return [*out, "English only. No text was checked for names of real people."]


def _examples(shared: Shared) -> list[dict[str, str]]:
    """The first rows of each label in hash order: text as text, on one line, cut."""
    ranked = shared.rows.assign(rank=[digest("card", row) for row in shared.rows["id"]]).sort_values("rank")
    return [
        {key: _short(str(row[key])) for key in ("label", "premise", "hypothesis")}
        for label in shared.labels
        for row in ranked[ranked["label"] == label].head(EXAMPLES).to_dict("records")
    ]


def _short(text: str) -> str:
    """One printable line of at most 300 letters: nothing can end the block of code that it stands in."""
    flat = " ".join("".join(letter for letter in text if letter.isprintable() or letter.isspace()).split())
    return flat if len(flat) <= LETTERS else flat[:LETTERS] + " …"


def _made(shared: Shared) -> dict[str, Any]:
    """How the table was made, and whether it is still the one that the pipeline wrote."""
    with shared.path.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    traced = made(shared.path.as_posix())
    return {
        "md5": md5,
        "stage": traced.stage if traced else None,
        "locked": traced.md5 if traced else None,
        "params": yaml.safe_dump(dict(traced.params), sort_keys=True, width=1000) if traced else "",
    }
