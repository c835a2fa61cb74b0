"""Real datasets: from the hub at a pinned revision, a URL or a path with a sha256, to rows with named labels."""

import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import pandas as pd
import yaml
from pydantic import model_validator

from nlilab.core import schema
from nlilab.core.errors import UserError
from nlilab.core.files import digest, read_jsonl, sha256, whole
from nlilab.core.params import Name, Settings
from nlilab.datasets import superglue, templates

DOWNLOADS = Path(".cache/downloads")
TIMEOUT_S = 30
BRACES = re.compile(r"\{(\w+)\}")


class Dataset(Settings):
    """An entry of conf/datasets.yaml: one place (path, url or hub + file), how it is read, and its terms."""

    path: str | None = None
    url: str | None = None
    hub: str | None = None
    file: str | None = None
    revision: str | None = None
    sha256: str | None = None
    format: Literal["jsonl", "parquet", "tsv", "hans", "templates", "wsc", "multirc", "record", "axg"]
    task: Name = "nli"  # a folder of tasks/: what the rows are instances of
    columns: dict[str, str] = {}  # ours -> theirs (sentence1), or a text with theirs in braces ("{word}: {sentence2}")
    labels: dict[str, str] = {}  # theirs (as text) -> ours; unnamed labels must be ours already
    drop: list[str] = []  # labels (as text) whose rows are left out, e.g. SNLI's -1
    scheme: Literal["three-way", "two-way"] = "three-way"  # of inference; another task's labels are those of `labels`
    metric: Literal["accuracy", "options", "pick-one", "parity"] = (
        "accuracy"  # nlilab.verdict.questions: rows that belong together
    )
    group: str = "premise"  # the column whose values cluster the rows in a bootstrap
    adversarial: bool = False  # a sound model may be wrong on it by system: the label-map guard only warns
    licence: str
    source: str

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.path, self.url, self.hub)) != 1:
            raise ValueError("name exactly one of path, url and hub")
        if self.metric in ("options", "pick-one") and "true" not in self.label_names:
            raise ValueError(f"metric {self.metric} needs rows labelled true or false: map them by `labels`")
        if self.hub and not self.file:
            raise ValueError("a hub dataset needs `file`, the file's path in its repository")
        return self

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels that its rows may carry."""
        if not set(self.labels.values()) <= {*schema.THREE_WAY, *schema.TWO_WAY}:
            return tuple(dict.fromkeys(self.labels.values()))
        return schema.THREE_WAY if self.scheme == "three-way" else schema.TWO_WAY


def fetch(name: str, dataset: Dataset) -> pd.DataFrame:
    """Get the file, verify it, and return rows: id, premise, hypothesis, label, group, cell (HANS's heuristic), task.

    Candidates of a question (metric pick-one) also have `option`, the candidate's text.
    """
    file = locate(name, dataset)
    if dataset.hub is None:
        _verify(name, dataset, file)
    try:
        rows = READERS[dataset.format](file)
    except (KeyError, TypeError) as error:
        raise UserError(f"{name}: {file} is no {dataset.format} file (it lacks {error}); correct `format`") from error
    rows = _with_columns(name, rows, dataset.columns)
    if "label" not in rows:
        raise UserError(f"{file}: no column 'label'; it has {', '.join(map(str, rows.columns))} (map it in `columns`)")
    if "id" not in rows:
        rows["id"] = [f"{name}-{number}" for number in range(len(rows))]
    rows["label"] = [str(label).lower() if isinstance(label, bool) else str(label) for label in rows["label"]]
    rows = rows[~rows["label"].isin(dataset.drop)].copy()
    rows["label"] = rows["label"].map(lambda label: dataset.labels.get(label, label))
    rows["id"] = rows["id"].where(rows["id"].isna(), rows["id"].map(str))
    schema.check_rows(rows, dataset.label_names, f"{name} ({file})")
    if dataset.group not in rows:
        raise UserError(f"{name}: no column {dataset.group!r} to group by; it has {', '.join(map(str, rows.columns))}")
    rows["group"] = [digest(value) for value in rows["premise"]] if dataset.group == "premise" else rows[dataset.group]
    rows["cell"] = rows.get("heuristic", "")
    rows["task"] = dataset.task
    columns = ["id", "premise", "hypothesis", "label", "group", "cell", "task"]
    columns += ["option"] if dataset.metric == "pick-one" else []
    return rows[columns].astype(str).reset_index(drop=True)


def _with_columns(name: str, rows: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """The columns under our names; a text with theirs in braces is filled in row by row."""
    texts = {ours: text for ours, text in columns.items() if "{" in text}
    missing = [column for column in columns.values() if "{" not in column and column not in rows]
    missing += [field for text in texts.values() for field in BRACES.findall(text) if field not in rows]
    if missing:
        raise UserError(f"{name}: no column {', '.join(missing)}; the file has {', '.join(map(str, rows.columns))}")
    records = rows.to_dict("records")
    filled = {ours: [_filled(text, record) for record in records] for ours, text in texts.items()}
    renamed = rows.rename(columns={theirs: ours for ours, theirs in columns.items() if ours not in texts})
    return renamed.assign(**filled)


def _filled(text: str, record: Mapping[Any, Any]) -> str:
    return BRACES.sub(lambda match: str(record[match[1]]), text)


def locate(name: str, dataset: Dataset) -> Path:
    """The local file: as named, or downloaded once into the cache."""
    if dataset.path is not None:
        return _find(name, dataset.path)
    return _from_hub(name, dataset) if dataset.hub else _from_url(name, str(dataset.url))


def pin(name: str, dataset: Dataset) -> dict[str, str]:
    """What a careful user writes into conf/datasets.yaml: the sha256 or the hub's present revision."""
    if dataset.hub is None:
        return {"sha256": sha256(locate(name, dataset))}
    from huggingface_hub import HfApi

    try:
        return {"revision": str(HfApi().dataset_info(dataset.hub, timeout=TIMEOUT_S).sha)}
    except Exception as error:  # the hub's client raises a dozen kinds
        raise _hub_error(name, dataset, error) from error


def _find(name: str, path: str) -> Path:
    """Resolve a path against the project, and inside a temporary experiment against the workspace it belongs to."""
    expanded = Path(os.path.expandvars(path)).expanduser()
    root = Path.cwd()
    workspace = Path(str(root).split("/.dvc/tmp/exps/")[0])
    for candidate in (root / expanded, workspace / expanded):
        if candidate.is_file():
            return Path(os.path.relpath(candidate))
    raise UserError(f"{name}: no file {path} (looked from {root}); correct `path` in conf/datasets.yaml")


def _verify(name: str, dataset: Dataset, file: Path) -> None:
    got = sha256(file)
    if dataset.sha256 is None:
        raise UserError(f"{name}: {file} is not pinned; add `sha256: {got}` to its entry (or run `nlilab pin {name}`)")
    if got != dataset.sha256:
        raise UserError(
            f"{name}: {file} has sha256 {got}, expected {dataset.sha256}; "
            "get the right file, or pin this one if the change is meant"
        )


def _from_url(name: str, url: str) -> Path:
    target = DOWNLOADS / f"{digest(url)}-{Path(url).name}"
    if target.is_file():
        return target
    try:
        answer = urllib.request.urlopen(url, timeout=TIMEOUT_S)
        with answer, whole(target) as temporary, temporary.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise UserError(f"{name}: cannot download {url} ({error}); check the network, or give a `path`") from error
    return target


def _from_hub(name: str, dataset: Dataset) -> Path:
    if dataset.revision is None:
        raise UserError(f"{name}: {dataset.hub} is not pinned; run `nlilab pin {name}` to write its `revision`")
    from huggingface_hub import hf_hub_download

    try:
        return Path(
            hf_hub_download(
                str(dataset.hub),
                str(dataset.file),
                revision=dataset.revision,
                repo_type="dataset",
                etag_timeout=TIMEOUT_S,
            )
        )
    except Exception as error:  # the hub's client raises a dozen kinds
        raise _hub_error(name, dataset, error) from error


def _hub_error(name: str, dataset: Dataset, error: Exception) -> UserError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UserError(
        f"{name}: the hub gave no {dataset.hub} (file {dataset.file}, revision {dataset.revision}): {first}; "
        "check the network and the entry, or give a `path`"
    )


def _jsonl(file: Path) -> pd.DataFrame:
    return pd.DataFrame(row for _, row in _complete(read_jsonl(file)))


def _complete(lines: Iterable[tuple[str, dict[str, Any]]]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Refuse a line whose keys differ from the first one's: a missing field would become a silent NaN."""
    first: set[str] | None = None
    for place, row in lines:
        first = first or set(row)
        if missing := first - set(row):
            raise UserError(f"{place}: lacks {', '.join(sorted(missing))}, which the first line has")
        yield place, row


def _hans(file: Path) -> pd.DataFrame:
    """The official HANS file (McCoy et al. 2019): tab-separated, with heuristic and subcase."""
    rows = _tsv(file).rename(
        columns={"gold_label": "label", "sentence1": "premise", "sentence2": "hypothesis", "pairID": "id"}
    )
    return rows


def _tsv(file: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(file, sep="\t", quoting=3, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not a tab-separated file ({error})") from error


def _parquet(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not a parquet file ({error})") from error


def _templates(file: Path) -> pd.DataFrame:
    return pd.DataFrame(templates.expand(yaml.safe_load(file.read_text(encoding="utf-8"))))


FLAT = {"jsonl": _jsonl, "parquet": _parquet, "tsv": _tsv, "hans": _hans, "templates": _templates}
READERS = FLAT | superglue.READERS
