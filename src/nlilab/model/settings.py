"""The settings of training and prediction, apart from the code: reading them imports no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from nlilab.core.bases import training_of
from nlilab.core.params import CONF, PARAMS, Settings, conf_entry, read_yaml, section_of, validate
from nlilab.core.schema import plain_label

HeadKind = Literal["classifier", "words"]


class Lora(Settings):
    """Low-rank adapters (LoRA, Hu et al. 2021): the pretrained weights stay, small matrices beside them are trained."""

    rank: Annotated[int, Field(ge=1, description="columns of the small matrices")] = 8
    alpha: Annotated[float, Field(gt=0, description="their product is scaled by alpha / rank")] = 16
    dropout: Annotated[float, Field(ge=0, lt=1, description="share of their inputs that is dropped")] = 0.05
    target_modules: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="names of the layers beside which they stand; null: what peft takes by architecture"
    )


class TrainSettings(Settings):
    """How a model is trained: the budget is optimiser steps, equal for all arms."""

    model: str = Field(description="package:<module> (weights that a pip package carries), a local folder, or a hub id")
    revision: str | None = None
    head: Literal["auto", HeadKind] = Field(
        default="auto",
        description="classifier: a new layer over the labels; words: the score of each label's word (task.yaml) as the "
        "answer's first token; auto: words for encoder-decoders, classifier for all others",
    )
    labels: Annotated[list[str], Field(min_length=2)] | None = Field(
        default=None,
        description="of a model that classifies already: the names of its head's rows, in their order, where its "
        "config.json does not name them (LABEL_0); heads are joined to an arm's labels by name",
    )
    steps: Annotated[int, Field(ge=0, description="optimiser steps; 0: the model stays as it is")]
    resample: bool = Field(
        default=False,
        description="each seed trains on a bootstrap sample of its arm's rows, label by label: intervals then cover "
        "which rows a generator happened to write, as they must where generators are compared, not two datasets",
    )
    batch_size: Annotated[int, Field(ge=1, description="rows of an optimiser step, over all processes")] = 32
    accumulate: Annotated[int, Field(ge=1, description="micro-batches that a step is made of: less memory")] = 1
    processes: Annotated[
        int, Field(ge=1, description="processes that share each step's rows, one for each GPU (accelerate launch)")
    ] = 1
    learning_rate: Annotated[
        float, Field(gt=0, lt=1, description="at its peak; too high a one and seeds never learn (MiniLM: over 1e-4)")
    ]
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.06
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_length: Annotated[int, Field(ge=8, description="tokens of a row; the longer text is cut first")] = 128
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="auto: bf16 where the hardware computes it, else fp32; fp16: GPUs only"
    )
    gradient_checkpointing: bool = Field(
        default=False, description="compute activations again on the way back: less memory, about a third slower"
    )
    lora: Lora | None = Field(default=None, description="train low-rank adapters instead of all weights")

    @model_validator(mode="after")
    def _names_each_row_once(self) -> Self:
        if self.labels and len(set(map(plain_label, self.labels))) < len(self.labels):
            raise ValueError(f"labels: {', '.join(self.labels)}: a name stands twice; name each row of the head once")
        return self

    @model_validator(mode="after")
    def _divides(self) -> Self:
        parts = self.accumulate * self.processes
        if self.batch_size % parts:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of accumulate x processes = {self.accumulate} x "
                f"{self.processes}: a step's rows are dealt out evenly"
            )
        return self


def train_settings(top: Mapping[str, Any], arm: str, place: str = str(PARAMS)) -> TrainSettings:
    """How an arm's models are trained, by parameters that are read already: `train`, and what its entry changes."""
    section_of(top, "train", TrainSettings, place)  # what is wrong there is said of it, not of the arm
    return validate(training_of(top, arm, place), TrainSettings, f"{place}: mixtures.{arm}.train")


class PredictSettings(Settings):
    """How models predict."""

    batch_size: Annotated[int, Field(ge=1)] = 128


class FreeLb(Settings):
    """FreeLB (Zhu et al. 2020, algorithm 1): ascent on a perturbation of the input embeddings within each step."""

    paper: str
    method: Literal["freelb"]
    ascents: Annotated[int, Field(ge=1)]
    start: Annotated[float, Field(ge=0, description="norm of the random perturbation to begin with")]
    step_size: Annotated[float, Field(gt=0)]
    limit: Annotated[float, Field(gt=0, description="largest L2 norm of a row's perturbation")]


def load_freelb(name: str, folder: Path = CONF) -> FreeLb | None:
    """The entry `name` of conf/recipes.yaml where it perturbs embeddings; None for a recipe that makes rows."""
    entry = read_yaml(folder / "recipes.yaml").get(name)
    embedding = isinstance(entry, dict) and "method" in entry
    return conf_entry("recipes", name, FreeLb, folder) if embedding else None
