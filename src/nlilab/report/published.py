"""Published figures: conf/published.yaml, one entry for each document."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from nlilab.core.params import CONF, Settings, conf_entry, read_yaml

Share = Annotated[float, Field(ge=0, le=1)]
TASK = "{task}"


class Figure(Settings):
    """One figure of a document, on the model before (`base`) or after hardening; no value: not reported."""

    measure: Literal["accuracy", "loss"]
    model: Literal["base", "hardened"]
    rows: Literal["clean", "attacked"]
    value: float | None
    section: str
    note: str = ""


class Shares(Settings):
    """A document's fixed, introduced and remaining errors of one slice, as shares of their sum."""

    slice: str
    fixed: float
    introduced: float
    remaining: float
    section: str


class Placed(Settings):
    """What stands somewhere in a document; `section` is a number of the document, or names tables."""

    section: str

    @property
    def place(self) -> str:
        """`section 4.5`, `Table 6`."""
        return f"section {self.section}" if self.section[:1].isdigit() else self.section


class Analysed(Placed):
    """A published figure of a data set (for sets of `task`), or of the people who graded one."""

    measure: Literal["hypothesis_only", "vocabulary", "kappa", "spearman"]
    name: str
    value: float
    task: str = ""
    note: str = ""


class Defect(Placed):
    """What is wrong with a document's figures."""

    text: str


# A task, scored by accuracy, or task/measure; precision, recall and F1 are those of the task's first label.
Column = Annotated[str, Field(pattern=r"^[a-z0-9-]+(/(rouge_l|precision|recall|f1))?$")]
# The name of a model of ours; {task} stands for the column's.
Pattern = Annotated[str, Field(pattern=r"^(\{task\}|[a-z0-9])([a-z0-9_.-]|\{task\})*$")]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else ([] if value is None else value)


class Row(Settings):
    """A published model with its values in the order of the columns (or their `mean`), and ours that stand beside it.

    A row without values is no published model: a place for ours alone.
    """

    name: str
    ours: Annotated[list[Pattern], BeforeValidator(_listed)]
    values: list[Share | None] = []
    mean: Share | None = None
    note: str = ""


class Table(Settings):
    """A published table: its columns are tasks. `mean`: it prints only each row's mean over them."""

    number: str
    title: str
    model: str
    columns: Annotated[list[Column], Field(min_length=1)]
    mean: bool = False
    rows: Annotated[list[Row], Field(min_length=1)]

    @model_validator(mode="after")
    def _known_columns(self) -> Self:
        for row in self.rows:
            if row.values and len(row.values) != len(self.columns):
                raise ValueError(f"row {row.name!r}: {len(row.values)} values for {len(self.columns)} columns")
            if (row.mean is not None) != self.mean or (self.mean and row.values):
                raise ValueError(f"row {row.name!r}: expected {'a mean alone' if self.mean else 'values, and no mean'}")
            if not (row.values or row.ours or self.mean):
                raise ValueError(f"row {row.name!r}: neither values nor ours")
        return self


class Document(Settings):
    """A published document: figures under attack (by which recipe), tables, figures of data sets, its defects."""

    document: str
    source: str
    model: str = ""
    data: str
    recipe: str = ""
    figures: list[Figure] = []
    shares: list[Shares] = []
    tables: list[Table] = []
    analyses: list[Analysed] = []
    defects: list[Defect] = []

    @model_validator(mode="after")
    def _attack_named(self) -> Self:
        if (self.figures or self.shares) and not (self.recipe and self.model):
            raise ValueError("figures and shares need `model` and `recipe`: who was attacked by what")
        return self


def task_of(column: str) -> tuple[str, str]:
    """A column's task and measure."""
    task, _, measure = column.partition("/")
    return task, measure or "accuracy"


def documents(folder: Path = CONF) -> dict[str, Document]:
    """All published documents by name."""
    return {name: conf_entry("published", name, Document, folder) for name in read_yaml(folder / "published.yaml")}
