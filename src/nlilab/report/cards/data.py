"""The card of a dataset: what a stranger must know before using its rows."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nlilab.core.files import digest
from nlilab.core.schema import THREE_WAY, TWO_WAY
from nlilab.report.cards.lock import as_yaml, made
from nlilab.report.cards.origin import METRICS, Origin, found, identifiers, origins
from nlilab.report.cards.render import rendered
from nlilab.report.cards.sets import Shared
from nlilab.report.markdown import flat, table
from nlilab.report.numbers import NONE, tenth
from nlilab.report.sets import ALL, DIFFICULTY, FIELDS, DataSet, alone, cosines, measure, read_set
from nlilab.report.texts import raw

EXAMPLES, LETTERS = 3, 300  # rows for each label, letters of a text
SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"))
LEAKS = {"exact": "exactly", "grams": "by 8-grams", "near": "nearly", "embedding": "by embeddings (candidates)"}
WORDS = 3  # words that lean to a label, for each label


def dataset_card(shared: Shared, suffix: str = "parquet") -> str:
    """The card (README.md) of a set as `nlilab export` writes it, with data files data/<split>.<suffix>."""
    sources, mixed, said = origins(shared), shared.kind == "arms", raw("columns")
    names = [f"curated/{source.name}" for source in sources] if mixed else [shared.name]
    known = shared.rows["cost_usd"].dropna() if "cost_usd" in shared.rows else pd.Series(dtype=float)
    body = rendered(
        "dataset.md.j2",
        shared=shared,
        origins=sources,
        arm=(found(METRICS / "arms" / f"{shared.rest}.json") if mixed else None) or {},
        counts=_counts(shared),
        columns=[(name, said[name]) for name in shared.rows if name in said],
        cost=float(known.sum()) if len(known) else None,
        analyses={name: figures(one) if (one := read_set(METRICS, name)) else [] for name in names},
        graded=(found(METRICS / "agreement.json") or {}).get("generators", {}),
        examples=_examples(shared),
        made=_made(shared),
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


def _counts(shared: Shared) -> str:
    """Rows by label and split, as a table."""
    parts = {name: part.column("label").to_pandas() for name, part in shared.splits.items()}
    rows = [[label, *(int((own == label).sum()) for own in parts.values())] for label in shared.labels]
    if any(own.isna().any() for own in parts.values()):
        rows.append(["none: dropped or unjudged", *(int(own.isna().sum()) for own in parts.values())])
    return table(["label", *parts], [*rows, ["all", *map(len, parts.values())]])


def figures(one: DataSet) -> list[list[str]]:
    """(figure, value with its interval) of a set's analyses and its difficulty; what was not analysed is left out."""
    lengths = [measure("MTLD", tenth, f"lexical/{field}/mtld", name) for field, name in FIELDS.items()]
    every = [*alone(ALL, "right, %"), *lengths, *cosines(()), *DIFFICULTY]
    rows = [[str(column), str(cell)] for column, get in every if (cell := get(one)).text != NONE]
    telling = {label: words[:WORDS] for label, words in one.found("artefacts", "pmi").items() if words}
    for label, words in telling.items():
        rows.append([f"words that lean to {label} (PMI)", ", ".join(word["word"] for word in words)])
    for suite, counts in one.found("leakage").items():
        rows.append([f"rows found in {suite}", ", ".join(f"{LEAKS[key]} {counts[key]}" for key in LEAKS)])
    return rows


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
    line = flat(text)
    return line if len(line) <= LETTERS else line[:LETTERS] + " …"


def _made(shared: Shared) -> Mapping[str, Any]:
    """How the table was made, and whether it is still the one that the pipeline wrote."""
    with shared.path.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    traced = made(shared.path.as_posix())
    locked = {"stage": traced.stage, "locked": traced.md5} if traced else {"stage": None, "locked": None}
    return {"md5": md5, **locked, "params": as_yaml(traced)}
