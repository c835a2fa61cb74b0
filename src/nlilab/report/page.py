"""report.html: one file that asks no network and reads without its script; all text of the data is escaped by Jinja."""

import base64
import hashlib
from importlib.resources import files
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nlilab.report import beside, gallery, hardened_slices, hardening, plots, plots_attack
from nlilab.report.facts import Facts, by_task
from nlilab.report.further import FURTHER, detected, detecting, explained, further
from nlilab.report.pairs import Pair, mean_of
from nlilab.report.published_tables import shown
from nlilab.report.sets.page import FILTERS, of_sets
from nlilab.report.words import (
    MARKS,
    confidence_words,
    judged,
    limits,
    listed,
    p_value,
    percent,
    plain,
    points,
    printed,
    sentence,
    tone,
    whole,
)

SUBCASES = 60  # a suite with more groups than this has no table of subcases


def page(facts: Facts) -> str:
    """The page as text; the same facts give the same bytes."""
    here = files("nlilab.report").joinpath("templates")
    environment = Environment(
        loader=PackageLoader("nlilab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        share=hardening.whole_percent,
        percent=percent,
        printed=printed,
        points=points,
        plain=plain,
        p=p_value,
        whole=whole,
        heat=_heat,
        step=_number,
        **FILTERS,
    )
    css, script = ("".join(here.joinpath(name).read_text(encoding="utf-8") for name in names) for names in (CSS, JS))
    # Globals, for the macros as for the templates.
    environment.globals.update(_results(facts) | _attacks(facts) | of_sets(facts) | _words(facts))
    # The browser runs this script and no other, whatever stands in the data.
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page_ = environment.get_template("page.html.j2")
    return page_.render(css=Markup(css), script=Markup(script), allowed=f"sha256-{allowed}")


CSS, JS = ("page.css", "sets.css", "print.css"), ("page.js",)


def _results(facts: Facts) -> dict[str, Any]:
    """What the page shows of this run, but for attacks."""
    found = further(facts)
    return {
        "facts": facts,
        "run": facts.run,
        "findings": {tasks: _findings(facts, found) for tasks, found in facts.matchups_by_task().items()},
        "candidates": [suite for suite in facts.run.suites if facts.suites[suite]["metric"] == "pick-one"],
        "detecting": detecting(facts),
        "detected": detected,
        "further": found,
        "explained": explained(found),
        "names": {measure: name for measure, (name, _) in FURTHER.items()},
        "published": shown(facts.measured(), facts.documents.values()),
        "limits": limits(facts),
        "subcases": {suite: _subcases(facts, suite) for suite in facts.run.suites},
        "drawn": _drawn(facts),
        "provenance": yaml.safe_dump(dict(facts.params), sort_keys=False, allow_unicode=True, width=100),
    }


def _attacks(facts: Facts) -> dict[str, Any]:
    """What it shows of attacks."""
    contaminated = facts.attacking.contaminated
    return {
        "attacking": facts.attacking,
        "hardening": hardening.findings(facts.attacking, facts.confidence, len(facts.run.seeds)),
        "tainted": _tainted,
        "dagger": lambda place: _tainted(any(place == suite for _, suite in contaminated), "† "),
        "tag": lambda model, suite: _tainted((model, suite) in contaminated),
        "beside": beside,
        "gallery": gallery,
        "mean_of": mean_of,
        "hardened": hardened_slices.parts(facts),
        "change": hardening.change,
        "judged": judged(facts),
    }


def _words(facts: Facts) -> dict[str, Any]:
    """How it says things."""
    return {"level": confidence_words(facts.confidence), "marks": MARKS, "by_task": by_task, "listed": listed}


def _findings(facts: Facts, matchups: list[list[Pair]]) -> dict[str, Any]:
    """The sentences and the pairs on suites of the same tasks."""
    found = {pair.suite for pairs in matchups for pair in pairs}
    return {
        "matchups": matchups,
        "suites": [suite for suite in facts.run.suites if suite in found],
        "said": [
            {"text": sentence(pairs, facts.confidence, len(facts.run.suites)), "tone": tone(pairs)}
            for pairs in matchups
        ],
    }


def _drawn(facts: Facts) -> dict[str, Any]:
    """All plots as inline SVG."""
    suites = facts.run.suites
    compared = [suite for suite in suites if facts.of_suite(suite)]
    trained = [model for model, runs in facts.training.items() if any(run["losses"] for run in runs.values())]
    return {
        "accuracy": {suite: plots.accuracy(facts, suite) for suite in suites},
        "differences": {suite: plots.differences(facts, suite) for suite in compared},
        "transitions": {suite: plots.transitions(facts, suite) for suite in compared},
        "cells": {
            suite: {name: plots.cells(facts, suite, name, labels) for name, labels in found.items()}
            for suite in suites
            if (found := facts.cells(suite))
        },
        "flips": {name: plots.flips(found["matrix"]) for name, found in facts.corrections.items()},
        "attacks": {attack.place: plots_attack.attacked(facts, attack) for attack in facts.attacking.attacks},
        "losses": {model: plots.losses(facts, model) for model in trained},
    }


def _subcases(facts: Facts, suite: str) -> list[str]:
    found = facts.keys(suite, "subcases")
    return sorted(found) if len(found) <= SUBCASES else []


def _tainted(contaminated: bool, sign: str = "") -> Markup:
    """The label of a figure of a model that was trained on perturbed rows of the suite."""
    return Markup(' <small class="tainted">{}contaminated</small>').format(sign) if contaminated else Markup("")


def _heat(value: float | None) -> Markup:
    """The attribute that shades a table's cell by a share."""
    return Markup("") if value is None else Markup(' class="heat" style="--v:{:.2f}"').format(value)


def _number(value: float) -> str:
    """A number with at most three decimals, without trailing zeros."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
