"""Recipes of conf/recipes.yaml and the settings of attacks, apart from the code: no torch is imported."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from nlilab.core.errors import UserError
from nlilab.core.params import CONF, Name, Run, Seed, Settings, conf_entry, nearest, read_yaml

NOBODY = "none"  # the name that stands for no generator


class Recipe(Settings):
    """An attack on the hypothesis: ranking, perturbation, constraints and budget, and the paper they come from."""

    paper: str
    ranking: Literal["l1", "l2", "grad_x_input", "integrated_gradients", "leave_one_out", "random", "lowest"]
    perturbation: Literal["mask", "delete", "mlm_fill", "hotflip", "none"]
    unit: Literal["word", "token"] = "word"
    keep_negation: bool = False
    min_similarity: Annotated[float, Field(ge=-1, le=1)] | None = None
    max_words: Annotated[int, Field(ge=1)] = 1
    until: Literal["spent", "wrong"] = "spent"
    filler: str | None = Field(default=None, description="mlm_fill: a masked language model, named as train.model is")
    candidates: Annotated[int, Field(ge=1)] = 16
    integration_steps: Annotated[int, Field(ge=1)] = 16

    @model_validator(mode="after")
    def _fits(self) -> "Recipe":
        if (self.perturbation == "mlm_fill") != (self.filler is not None):
            raise ValueError("perturbation mlm_fill and a filler (a masked language model) go together")
        if self.min_similarity is not None and self.perturbation != "hotflip":
            raise ValueError("min_similarity compares embeddings, which only hotflip replaces")
        return self


class AttackSettings(Settings):
    """What is attacked, and who judges whether labels still hold."""

    protocol: Literal["clean", "as_published"] = Field(
        default="clean",
        description="clean: training rows from training rows; as_published: from the suites' rows, which contaminates",
    )
    n_per_class: Annotated[int, Field(ge=1, description="training rows of each label that are attacked")]
    suites: list[Name] = []
    suite_rows_per_class: Annotated[int, Field(ge=1)]
    recipes: list[Name] = []
    victims: list[Name] = []
    readers: list[Name] = []
    judge: Name = Field(description="the arm whose models judge whether an attacked row keeps its label")
    judge_generator: Name = Field(default=NOBODY, description="a generator that judges training rows in their stead")
    validate_rows: bool = Field(alias="validate", description="whether rows that the judge refuses are dropped")
    batch_size: Annotated[int, Field(ge=1)] = 64
    seed: Seed = 0


def load_recipe(name: str, folder: Path = CONF) -> Recipe | None:
    """The entry `name` of conf/recipes.yaml; None for a `method` that perturbs embeddings, and so makes no rows."""
    entry = read_yaml(folder / "recipes.yaml").get(name)
    return None if isinstance(entry, dict) and "method" in entry else conf_entry("recipes", name, Recipe, folder)


def load_attack(name: str) -> Recipe:
    """The recipe of an attack; one that makes no rows is refused."""
    recipe = load_recipe(name)
    if recipe is None:
        raise UserError(f"recipe {name!r} perturbs embeddings and makes no rows: it can harden, not attack a suite")
    return recipe


def check_attack(run: Run, attack: AttackSettings) -> None:
    """Refuse names that nothing makes, and judges that judge themselves."""
    _known("attack.suites", attack.suites, run.suites, "suites")
    _known("attack.victims", attack.victims, run.models, "models")
    _known("attack.readers", attack.readers, run.models, "models")
    _known("harden.arms", run.harden.arms, run.arms, "arms")
    for name in [*attack.recipes, *run.harden.against]:
        load_recipe(name)
    for name in attack.recipes:
        load_attack(name)
    if attack.victims:
        for field in ("suites", "recipes"):
            if not getattr(attack, field):
                raise UserError(
                    f"params.yaml: attack.{field}: is empty, but attack.victims names models to be attacked"
                )
        _known("attack.victims", attack.victims, attack.readers, "attack.readers (each reads its own attack)")
    if attack.victims or run.harden.arms:
        _known("attack.judge", [attack.judge], run.arms, "arms")
    if attack.judge in run.harden.arms:
        raise UserError(
            f"params.yaml: attack.judge: {attack.judge!r} is attacked itself (harden.arms); name another arm, "
            "whose models have not seen the attack"
        )


def _known(field: str, names: Iterable[str], known: list[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise UserError(
                f"params.yaml: {field}: {name!r} is not among {where} ({', '.join(known)}){nearest(name, known)}"
            )
