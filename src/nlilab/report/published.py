"""Published figures: conf/published.yaml, one entry for each document."""

from pathlib import Path
from typing import Literal

from nlilab.params import CONF, Settings, conf_entry, read_yaml


class Figure(Settings):
    """One figure of a document, on the model before (`base`) or after hardening; no value: not reported."""

    measure: Literal["accuracy", "loss", "rows_per_second"]
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


class Defect(Settings):
    """What is wrong with a document's figures."""

    text: str
    section: str


class Document(Settings):
    """A published document: what it attacked by which recipe, its figures, and what is known to be wrong with them."""

    document: str
    source: str
    model: str
    data: str
    recipe: str
    figures: list[Figure] = []
    shares: list[Shares] = []
    defects: list[Defect] = []


def documents(folder: Path = CONF) -> dict[str, Document]:
    """All published documents by name."""
    return {name: conf_entry("published", name, Document, folder) for name in read_yaml(folder / "published.yaml")}
