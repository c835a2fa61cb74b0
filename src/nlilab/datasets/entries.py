"""An entry of conf/datasets.yaml: where a dataset's file is, how it is read, and its terms."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from nlilab.core import schema
from nlilab.core.params import Name, Settings

Format = Literal["jsonl", "parquet", "tsv", "hans", "templates", "wsc", "multirc", "record", "axg"]


class FetchSettings(Settings):
    """The section `fetch`. No stage depends on it: a file counts by what is in it, not by where it lies."""

    folder: str | None = Field(None, description="where dataset files lie; NLILAB_DATASETS in the environment wins")


class Local(Settings):
    """The entry's file in a folder that the user names: used there instead of hub or url.

    What is said of format, columns, labels and drop replaces the entry's own. `part` says in words which part of the
    official set it is, where it is not all of it.
    """

    file: str
    sha256: str
    format: Format | None = None
    columns: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    drop: list[str] | None = None
    part: str | None = None


class Dataset(Settings):
    """One place (path, url or hub + file), how it is read, and its terms."""

    path: str | None = None
    url: str | None = None
    hub: str | None = None
    file: str | None = None
    revision: str | None = None
    sha256: str | None = None
    local: Local | None = None
    format: Format
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
    family: Name | None = None  # of conf/models.yaml: the set that base models may have been tuned on
    derived: bool = False  # not rows of the family themselves, but made from its sentences
    licence: str
    source: str

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.path, self.url, self.hub)) != 1:
            raise ValueError("name exactly one of path, url and hub")
        if self.metric in ("options", "pick-one") and "true" not in self.label_names:
            raise ValueError(f"metric {self.metric} needs rows labelled true or false: map them by `labels`")
        if self.derived and self.family is None:
            raise ValueError("derived: name the `family` from whose sentences it was made")
        if self.hub and not self.file:
            raise ValueError("a hub dataset needs `file`, the file's path in its repository")
        return self

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels that its rows may carry."""
        if not set(self.labels.values()) <= {*schema.THREE_WAY, *schema.TWO_WAY}:
            return tuple(dict.fromkeys(self.labels.values()))
        return schema.THREE_WAY if self.scheme == "three-way" else schema.TWO_WAY

    @property
    def lineage(self) -> dict[str, Any]:
        """Its family, and whether it is derived from it; nothing of a set that is of none."""
        return {} if self.family is None else {"family": self.family, "derived": self.derived}

    def as_local(self) -> "Dataset":
        """The entry as its local file is read."""
        fields = ("format", "columns", "labels", "drop")
        said = {name: getattr(self.local, name) for name in fields if getattr(self.local, name, None) is not None}
        return self.model_copy(update=said)
