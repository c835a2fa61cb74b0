"""What the analyses of a data set come to: in sentences, and in a line of the small table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nlilab.report.figures import NONE, Figure, decimals, figure
from nlilab.report.sets.dataset import ALL, DataSet, shared_rows, shared_words
from nlilab.report.words import percent, points, whole

GUESSED = 0.1  # a hypothesis alone that is right so much more often than the most frequent label gives it away


@dataclass(frozen=True)
class Said:
    """A sentence, and whether it is good news (`better`), bad (`worse`), or neither (`inconclusive`)."""

    text: str
    tone: str


def said_of(one: DataSet) -> list[Said]:
    """What matters most about a set, in a sentence each."""
    return [*_alone(one), *_leaks(one), *_difficulty(one), *_gates(one)]


def _alone(one: DataSet) -> list[Said]:
    found = one.artefacts()
    if not found:
        return []
    hypothesis, most = found["hypothesis_only"], found["majority"]
    over = hypothesis["value"] - most
    shown = (
        f"At {whole(found['rows'])} rows the hypothesis alone tells a linear model {figure(hypothesis)} % of the "
        f"labels; always giving the most frequent label gets {percent(most)} % right"
    )
    if hypothesis["low"] > most + GUESSED:
        return [Said(f"{shown}. Much of the label can be told without the premise.", "worse")]
    if hypothesis["low"] > most:
        return [Said(f"{shown}: {points(over)} points, so the hypotheses give some of it away.", "inconclusive")]
    return [Said(f"{shown}: the hypothesis gives nothing away that this model can see.", "better")]


def _leaks(one: DataSet) -> list[Said]:
    found = one.analysis.get("leakage")
    if not found:
        return []
    count, near = one.leaks(), sum(suite["embedding"] for suite in found.values())
    read = f" Near one in meaning: {whole(near)}; see the pairs." if near else ""
    if not count:
        return [Said(f"No row stands in a suite, by words, 8-grams or nearly so.{read}", "better")]
    return [Said(f"Rows that stand, or nearly stand, in a suite, counted for each: {whole(count)}.{read}", "worse")]


def _difficulty(one: DataSet) -> list[Said]:
    found = one.difficulty
    if not found:
        return []
    usable, alone = found["v_information"]["pair"], found["v_information"]["hypothesis"]
    nothing = ", so nothing for sure" if usable["low"] <= 0 else ""
    text = (
        f"Of the label's {decimals(found['entropy'], 3)} bits a small model can use {figure(usable, 'three')}"
        f"{nothing}, learnt from {whole(found['rows'])} rows; from the hypotheses alone {figure(alone, 'three')}. "
        f"{percent(found['negative'])} % of the rows have a PVI below 0, {whole(found['noise']['flagged'])} are "
        "flagged as label noise."
    )
    return [Said(text, "inconclusive")]


def _gates(one: DataSet) -> list[Said]:
    return [
        Said(f"Gate {gate_name(gate)}: {gate_value(gate)} is over the limit {gate_limit(gate)}.", "worse")
        for gate in one.gates
        if not gate["passed"]
    ]


def gate_name(gate: Mapping[str, Any]) -> str:
    """`hypothesis only`."""
    return str(gate["gate"]).replace("_", " ")


def gate_value(gate: Mapping[str, Any]) -> str:
    """A share in percent, or a count of rows."""
    return _gated(gate, gate["value"])


def gate_limit(gate: Mapping[str, Any]) -> str:
    """The limit, or that there is none."""
    return "none" if gate["limit"] is None else _gated(gate, gate["limit"])


def _gated(gate: Mapping[str, Any], value: float | None) -> str:
    if value is None:
        return "–"
    if gate["gate"] == "leakage":
        return f"{whole(round(value))} rows"
    return f"{percent(value)} {'points' if gate['gate'] == 'balance' else '%'}"


COMPACT = (
    *("rows", "hypothesis alone, %", "V-information, bits", "MTLD, hypotheses", "mean cosine, hypotheses"),
    *("leaks", "flagged"),
)


def compact(sets: Mapping[str, DataSet]) -> tuple[str, list[tuple[str, list[Figure]]]]:
    """One line for each set, and at which sizes they are compared: for the Markdown and the terminal."""
    every = [one for one in sets.values() if one.analysis]
    rows, words = shared_rows(every).key, shared_words(every, "hypothesis").key
    lines = []
    for one in sets.values():
        difficulty = one.difficulty
        found = one.artefacts(rows or ALL).get("hypothesis_only")
        diverse = one.words("hypothesis", words or "").get("mtld")
        leaks = one.analysis.get("leakage")
        count = one.analysis.get("rows", difficulty.get("rows"))
        figures = [
            figure(count, "count"),
            figure(found),
            figure(difficulty["v_information"]["pair"], "three") if difficulty else NONE,
            figure(diverse, "one"),
            figure(one.cosine("hypothesis").get("cosine"), "three"),
            figure(one.leaks(), "count") if leaks else NONE,
            figure(difficulty["noise"]["flagged"], "count") if difficulty else NONE,
        ]
        lines.append((one.name, figures))
    alone = (
        f"the hypothesis alone at {whole(int(rows))} rows"
        if rows
        else "the hypothesis alone at all rows (no two sets share a size)"
    )
    mtld = f", MTLD at {whole(int(words))} words" if words else ""
    return f"{alone}{mtld}, the rest over all rows", lines
