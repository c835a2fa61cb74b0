"""The settings of training and prediction, apart from the code: reading them imports no torch."""

from typing import Annotated, Literal

from pydantic import Field

from nlilab.params import Settings


class TrainSettings(Settings):
    """How a classifier is trained: the budget is optimiser steps, equal for all arms."""

    model: str = Field(description="package:<module> (weights that a pip package carries), a local folder, or a hub id")
    revision: str | None = None
    steps: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)] = 32
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.06
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_length: Annotated[int, Field(ge=8)] = 128
    precision: Literal["auto", "fp32", "bf16"] = "auto"


class PredictSettings(Settings):
    """How models predict."""

    batch_size: Annotated[int, Field(ge=1)] = 128
