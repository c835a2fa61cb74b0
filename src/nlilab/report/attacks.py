"""What attacks did and hardening won back, as the report shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlilab.attack.recipes import AttackSettings
from nlilab.core.files import read_json
from nlilab.core.params import CONF, Run, read_yaml
from nlilab.report.pairs import Pair, matchups_of, mean_of, ordered, pairs_of


@dataclass(frozen=True)
class Hardened:
    """A model that was hardened: from which arm, against which recipe."""

    model: str
    base: str
    recipe: str


@dataclass(frozen=True)
class Bounds:
    """A share with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Stand:
    """One model under one attack; a hardened one whose base was attacked too has `base` and `clean_cost`.

    `won_back` is None where the attack took nothing for sure from the base.
    """

    model: str
    clean: Bounds
    attacked: Bounds
    lost: Bounds
    base: str = ""
    clean_cost: Bounds | None = None
    won_back: Bounds | None = None


@dataclass(frozen=True)
class Attack:
    """A sample of a suite's rows under one recipe, with every victim in the order of params.yaml."""

    place: str  # suite@recipe
    suite: str
    recipe: str
    rows: int
    stands: Mapping[str, Stand]


@dataclass(frozen=True)
class Attacking:
    """Everything about attacks; where params.yaml attacks nothing, `attacks` is empty, and so is what follows it."""

    settings: AttackSettings
    recipes: Mapping[str, Mapping[str, Any]]  # as conf/recipes.yaml has them
    hardened: Mapping[str, Hardened]
    made: Mapping[str, Mapping[str, Any]]  # adversarial training rows, by hardened model
    contaminated: frozenset[tuple[str, str]]
    attacks: list[Attack]
    pairs: list[Pair]
    outcomes: Mapping[str, Any]
    gallery: list[Mapping[str, Any]]
    attack_speeds: Mapping[str, Mapping[str, float]]  # rows per second: recipe -> model
    read_speeds: Mapping[str, float]

    def matchups(self) -> list[list[Pair]]:
        """The pairs, one list over all attacked suites for each two models."""
        return matchups_of(self.pairs)

    def control(self, recipe: str) -> bool:
        """Whether a recipe is a control: words picked without the gradient's advice, or nothing changed."""
        return is_control(self.recipes.get(recipe, {}))

    def outcome(self, attack: Attack, model: str, key: str) -> float | None:
        """A figure of what an attack did to a victim, averaged over the seeds."""
        return mean_of(self.outcomes[attack.place]["victims"][model], key)

    def score(self, attack: Attack, when: str, model: str, *path: str) -> float | None:
        """A victim's score on the attacked sample, `before` or `after`, averaged over the seeds."""
        return mean_of(self.outcomes[attack.place]["scores"][when][model], *path)

    def labels(self, attack: Attack) -> int:
        """How many labels the attacked rows have, balanced: chance is one in so many."""
        first = next(iter(self.outcomes[attack.place]["scores"]["before"].values()))
        return len(next(iter(first.values()))["classes"])


def is_control(recipe: Mapping[str, Any]) -> bool:
    """Whether a recipe picks its words without the gradient's advice, or changes nothing."""
    return recipe.get("ranking") in ("random", "lowest") or recipe.get("perturbation") == "none"


def hardened_of(run: Run) -> dict[str, Hardened]:
    """The hardened models that take part in this run, by name."""
    return {model: Hardened(model, *made) for model, made in run.harden.made().items() if model in run.models}


def contaminated_of(comparison: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """The (model, suite), clean or attacked, where a model was trained on perturbed rows of that very suite."""
    return frozenset((model, suite) for model, suite in comparison["contaminated"])


def places(settings: AttackSettings) -> list[str]:
    """The names of the attacked suites."""
    return [f"{suite}@{recipe}" for suite in settings.suites for recipe in settings.recipes if settings.victims]


def attacks_of(comparison: Mapping[str, Any], settings: AttackSettings, models: list[str]) -> list[Attack]:
    """The comparison's attacks, typed, in the order of params.yaml."""
    found = []
    for place in places(settings):
        record = comparison["attacks"][place]
        stands = {model: _stand(model, record["models"][model]) for model in models if model in record["models"]}
        found.append(Attack(place, record["suite"], record["recipe"], record["rows"], stands))
    return found


def attacking(metrics: Path, run: Run, settings: AttackSettings, comparison: Mapping[str, Any]) -> Attacking:
    """Read all about this run's attacks."""
    attacks, hardened = attacks_of(comparison, settings, run.models), hardened_of(run)
    names = {*settings.recipes, *(model.recipe for model in hardened.values())}
    recipes = read_yaml(CONF / "recipes.yaml") if names else {}
    found = read_json(metrics / "attacks.json") if attacks else {"suites": {}, "gallery": []}
    return Attacking(
        settings=settings,
        recipes={name: recipe for name, recipe in recipes.items() if name in names},
        hardened=hardened,
        made={model: read_json(metrics / "adversarial" / f"{model}.json") for model in hardened},
        contaminated=contaminated_of(comparison),
        attacks=attacks,
        pairs=pairs_of(comparison, [attack.place for attack in attacks]),
        outcomes=ordered(found["suites"]),
        gallery=found["gallery"],
        attack_speeds={
            recipe: {model: _speed(metrics / "attacked" / f"{model}@{recipe}.json") for model in settings.victims}
            for recipe in settings.recipes
            if attacks
        },
        read_speeds={model: _speed(metrics / "reading" / f"{model}.json") for model in settings.readers if attacks},
    )


def _stand(model: str, record: Mapping[str, Any]) -> Stand:
    shares = {name: Bounds(**value) for name, value in record.items() if isinstance(value, dict)}
    return Stand(model, base=record.get("base", ""), **shares)


def _speed(path: Path) -> float:
    return float(read_json(path)["rows_per_second"])
