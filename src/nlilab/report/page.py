"""report.html: one file without script or network; all text of the data is escaped by Jinja."""

from importlib.resources import files
from typing import Any

import yaml
from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from nlilab.report import beside, gallery, hardened_slices, hardening, plots, plots_attack
from nlilab.report.facts import Facts
from nlilab.report.pairs import mean_of
from nlilab.report.words import (
    MARKS,
    confidence_words,
    judged,
    limits,
    p_value,
    percent,
    plain,
    points,
    sentence,
    tone,
    whole,
)

SUBCASES = 60  # a suite with more groups than this has no table of subcases


def page(facts: Facts) -> str:
    """The page as text; the same facts give the same bytes."""
    here = files("nlilab.report")
    environment = Environment(
        loader=DictLoader({name: here.joinpath(name).read_text(encoding="utf-8") for name in TEMPLATES}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        share=hardening.whole_percent,
        percent=percent,
        points=points,
        plain=plain,
        p=p_value,
        whole=whole,
        heat=_heat,
        step=_number,
    )
    contaminated = facts.attacking.contaminated
    css = Markup(here.joinpath("page.css").read_text(encoding="utf-8"))
    return environment.get_template("page.html.j2").render(
        facts=facts,
        run=facts.run,
        css=css,
        level=confidence_words(facts.confidence),
        marks=MARKS,
        findings=[{"text": sentence(found, facts.confidence), "tone": tone(found)} for found in facts.matchups()],
        limits=limits(facts),
        majority={suite: plots.majority(facts, suite) for suite in facts.run.suites},
        subcases={suite: _subcases(facts, suite) for suite in facts.run.suites},
        attacking=facts.attacking,
        hardening=hardening.findings(facts.attacking, facts.confidence, len(facts.run.seeds)),
        tainted=_tainted,
        dagger=lambda place: _tainted(any(place == suite for _, suite in contaminated), "† "),
        tag=lambda model, suite: _tainted((model, suite) in contaminated),
        beside=beside,
        gallery=gallery,
        mean_of=mean_of,
        hardened=hardened_slices.parts(facts),
        change=hardening.change,
        judged=judged(facts),
        drawn=_drawn(facts),
        provenance=yaml.safe_dump(dict(facts.params), sort_keys=False, allow_unicode=True, width=100),
    )


TEMPLATES = ("page.html.j2", "results.html.j2", "attack.html.j2", "data.html.j2")


def _drawn(facts: Facts) -> dict[str, Any]:
    """All plots as inline SVG."""
    suites = facts.run.suites
    return {
        "accuracy": {suite: plots.accuracy(facts, suite) for suite in suites},
        "differences": {suite: plots.differences(facts, suite) for suite in suites if facts.pairs},
        "transitions": {suite: plots.transitions(facts, suite) for suite in suites if facts.pairs},
        "cells": {
            suite: {name: plots.cells(facts, suite, name, labels) for name, labels in found.items()}
            for suite in suites
            if (found := facts.cells(suite))
        },
        "flips": {name: plots.flips(found["matrix"]) for name, found in facts.corrections.items()},
        "attacks": {attack.place: plots_attack.attacked(facts, attack) for attack in facts.attacking.attacks},
        "losses": {model: plots.losses(facts, model) for model in facts.run.models},
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
