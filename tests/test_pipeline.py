"""The whole pipeline as users run it: real DVC, real stages, a small encoder, a folder and an S3 server as remotes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from closure import closure
from loopback import serve
from nlilab.core.files import digest, sha256

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

LIGHT = {
    "tasks": ["nli"],
    "generators": ["grammar"],
    "sets": ["nli/grammar"],
    "suites": ["tiny", "tiny-heuristics"],
    "arms": ["raw", "corrected"],
    "two_step": {"starts": ["raw"], "arms": ["corrected"], "steps": 2},
    "harden": {"arms": ["corrected"], "against": ["gradient-mask"], "how": "continue", "steps": 2, "ratio": 1.0},
    "models": ["raw", "corrected", "raw-then-corrected", "corrected-vs-gradient-mask"],
    "seeds": [1],
    "plan": {"generator": "grammar", "contexts": 2, "seeds_per_context": 10},
    "mixtures": {
        "raw": {"sources": {"nli/grammar": 24}, "labels": "constrained"},
        "corrected": {"sources": {"nli/grammar": 24}, "labels": "corrected"},
    },
    "attack": {
        "n_per_class": 5,
        "suites": ["tiny", "tiny-heuristics"],
        "suite_rows_per_class": 6,
        "recipes": ["gradient-mask"],
        "victims": ["corrected", "corrected-vs-gradient-mask"],
        "readers": ["corrected", "corrected-vs-gradient-mask"],
        "judge": "raw",
        "judge_generator": "none",
        "protocol": "clean",
        "batch_size": 8,
        "seed": 0,
        "validate": False,
    },
    "analyze": {"sizes": [20], "tokens": [50], "entities": "gazetteer", "bootstrap": 20},
    "difficulty": {"rows": 24, "checkpoints": 2},
}


def sh(project: Path, *command: str, fails: bool = False, **environment: str) -> str:
    """Run a command in the project as a user would; returns all it printed."""
    done = subprocess.run(
        command, cwd=project, env=_environment(project) | environment, capture_output=True, text=True, timeout=600
    )
    printed = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, printed[-3000:]
    return printed


def _environment(project: Path) -> dict[str, str]:
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("DVC", "PYTEST", "GIT"))}
    return keep | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "OPENAI_API_KEY": "none",
    }


def ran(printed: str) -> list[str]:
    """The stages that a `dvc repro` executed."""
    return [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage")]


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a YAML file in place."""
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def small_copy(target: Path, encoder: Path) -> Path:
    """The project's own files as a fresh git and DVC repository, with parameters that run in seconds."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        wanted = not name.startswith(("metrics/", "reports/", "dvc.lock")) or name.endswith(".gitkeep")
        if wanted and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    edit(target / "params.yaml", lambda params: params.update(LIGHT))
    quick = {"model": str(encoder), "steps": 3, "batch_size": 8, "learning_rate": 2e-4}
    edit(target / "params.yaml", lambda params: params["train"].update(quick))
    edit(target / "params.yaml", lambda params: params["difficulty"].update(classifier=quick))
    edit(target / "params.yaml", lambda params: params["analyze"].update(embedder=str(encoder)))
    rows = (ROOT / "data/embedded/handwritten.jsonl").read_text().splitlines()[:36]
    (target / "data/embedded/tiny.jsonl").write_text("\n".join(rows) + "\n")
    suite = yaml.safe_load((ROOT / "data/embedded/heuristics.yaml").read_text()) | {"pairs_per_subcase": 1}
    (target / "data/embedded/tiny.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))

    def add_suites(entries: dict[str, Any]) -> None:
        for name, of, file in (("tiny", "handwritten", "tiny.jsonl"), ("tiny-heuristics", "heuristics", "tiny.yaml")):
            path = f"data/embedded/{file}"
            entries[name] = entries[of] | {"path": path, "sha256": sha256(target / path)}

    edit(target / "conf/datasets.yaml", add_suites)
    sh(target, "git", "init", "-q")
    sh(target, "git", "config", "user.email", "test@example.org")
    sh(target, "git", "config", "user.name", "test")
    sh(target, "dvc", "config", "--local", "core.analytics", "false")
    sh(target, "git", "add", "-A")
    sh(target, "git", "commit", "-qm", "start")
    return target


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """A project in which `dvc repro` has run to its end, committed; made once for all processes that test."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    project, done = base / "finished", base / "finished.done"
    with FileLock(base / "finished.lock"):
        if not done.exists():
            project.mkdir()
            small_copy(project, tiny_encoder)
            printed = sh(project, "dvc", "repro")
            assert len(ran(printed)) == 1 + 4 + (2 + 1) + 2 + 3 + 4 + 3 + (1 + 1 + 1 + 2 + 2) + 1 + 1
            sh(project, "git", "add", "-A")
            sh(project, "git", "commit", "-qm", "run")
            done.touch()
    return project


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished project, to be changed."""
    target = tmp_path / "project"
    shutil.copytree(finished, target, symlinks=True)
    return target


@pytest.fixture(scope="module")
def workbench(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy of the finished project for changes that are undone one by one."""
    target = tmp_path_factory.mktemp("workbench") / "project"
    shutil.copytree(finished, target, symlinks=True)
    return target


def test_a_finished_run_has_its_tables_and_does_nothing_twice(finished: Path) -> None:
    summary = json.loads((finished / "metrics/summary.json").read_text())
    assert set(summary["accuracy"]) == set(LIGHT["models"])
    assert sum(summary["verdicts"].values()) == 6 * 2 + 1 * 2
    assert set(summary["never_learnt"]) == set(LIGHT["models"])
    table = sh(finished, "nlilab", "table")
    assert "raw-then-corrected" in table and table.strip().endswith("reports/report.html")
    assert ran(sh(finished, "dvc", "repro")) == []
    training = json.loads((finished / "metrics/training/raw-then-corrected-1.json").read_text())
    assert training["total_steps"] == 3 + 2


def test_rows_in_are_rows_out_and_rejects(finished: Path) -> None:
    counts = json.loads((finished / "metrics/curate/nli/grammar.json").read_text())
    assert counts["rows_in"] == counts["rows_out"] + sum(counts["rejects"].values())
    flips = json.loads((finished / "metrics/correct/nli/grammar.json").read_text())
    assert sum(sum(row.values()) for row in flips["matrix"].values()) == flips["rows"] == counts["rows_in"]


@pytest.mark.parametrize("method", ["confident", "both", "none"])
def test_labels_are_corrected_by_any_method(workbench: Path, tiny_encoder: Path, method: str) -> None:
    classifier = {"model": str(tiny_encoder), "steps": 3, "learning_rate": 0.01}

    def put(params: dict[str, Any]) -> None:
        params["correct"] |= {"method": method, "folds": 2, "classifier": classifier}

    edit(workbench / "params.yaml", put)
    try:
        assert ran(sh(workbench, "dvc", "repro", "correct@nli-grammar")) == ["correct@nli-grammar"]
        flips = json.loads((workbench / "metrics/correct/nli/grammar.json").read_text())
        assert sum(flips["verdicts"].values()) == flips["rows"] == 60
        assert (flips["verdicts"]["kept"] == 60) == (method == "none")
    finally:
        sh(workbench, "git", "checkout", "-q", ".")
        sh(workbench, "dvc", "checkout", "-q")


def status(project: Path) -> set[str]:
    """The stages that DVC holds for changed, by name without their item."""
    return {stage.split("@")[0] for stage in _json(sh(project, "dvc", "status", "--json"))}


def _json(printed: str) -> Any:
    """The JSON among the lines that a command printed (DVC may warn beside it)."""
    return next(json.loads(line) for line in printed.splitlines() if line.startswith(("{", "[")))


def _param(*keys: str, value: object) -> Callable[[Path], None]:
    def change(project: Path) -> None:
        def put(params: dict[str, Any]) -> None:
            for key in keys[:-1]:
                params = params[key]
            params[keys[-1]] = value

        edit(project / "params.yaml", put)

    return change


def _append(file: str) -> Callable[[Path], None]:
    return lambda project: (project / file).write_text((project / file).read_text() + "\n")


PREDICTING = ("predict", "pick", "attack", "attack-suites", "predict-attacked")  # stages that load a model

# What is changed -> the stages that see it; what follows them runs only if their outputs differ.
AFFECTED: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "the judge's prompt": (_append("tasks/correct.md"), {"correct", "mix", "attack"}),
    "a hypothesis prompt": (_append("tasks/nli/generate/neutral.md"), {"generate", "mix", "attack"}),
    "number of contexts": (_param("plan", "contexts", value=3), {"plan", "report"}),
    "an arm's size": (
        _param("mixtures", "raw", "sources", "nli/grammar", value=30),
        {"gate", "mix", "train", "train-second", "report"},
    ),
    "an arm's base": (
        _param("mixtures", "corrected", "model", value="package:other"),
        {"gate", "mix", "train", "train-second", "harden", "report"},
    ),
    "learning rate": (_param("train", "learning_rate", value=0.01), {"train", "train-second", "harden", "report"}),
    "second step's budget": (_param("two_step", "steps", value=5), {"train-second", "report"}),
    "the ratio of hardening": (_param("harden", "ratio", value=0.5), {"harden", "report"}),
    "what a refusing judge does": (_param("attack", "validate", value=True), {"attack", "score", "report"}),
    "a suite's attacked sample": (_param("attack", "suite_rows_per_class", value=5), {"attack-suites", "report"}),
    "a recipe": (
        lambda project: edit(
            project / "conf/recipes.yaml", lambda entries: entries["gradient-mask"].update(perturbation="delete")
        ),
        {"attack", "harden", "attack-suites", "report"},
    ),
    "margin of sameness": (_param("compare", "margin", value=3), {"compare", "report"}),
    "concurrency": (_param("llm", "concurrency", value=3), set()),
    "a suite's entry": (
        lambda project: edit(project / "conf/datasets.yaml", lambda entries: entries["tiny"].update(licence="other")),
        {"fetch-suites"},
    ),
    "a generator's noise": (
        lambda project: edit(
            project / "conf/generators.yaml", lambda entries: entries["grammar"]["parameters"].update(noise=0.5)
        ),
        {"plan", "generate", "correct"},
    ),
    "a gate's limit": (_param("gate", "balance", value=0.3), {"gate", "report"}),
    "a fact about a base": (_append("conf/models.yaml"), {"gate", "report"}),
    "what an analysis samples": (_param("analyze", "bootstrap", value=21), {"analyze", "analyze-suites", "report"}),
    "a model that finds rows difficult": (
        _param("difficulty", "classifier", "steps", value=4),
        {"difficulty", "report"},
    ),
    "a grade": (_append("data/grades/.gitkeep"), {"agreement"}),
    "code of the trainer": (
        _append("src/nlilab/model/trainer.py"),
        {"train", "train-second", "harden", "correct", "difficulty", "analyze", "analyze-suites", *PREDICTING},
    ),
    "code of the attack": (
        _append("src/nlilab/attack/perturb.py"),
        {"pick", "attack", "attack-suites", "predict-attacked", "score", "compare", "report"},
    ),
    "code of the verdict": (_append("src/nlilab/verdict/compare.py"), {"score", "compare"}),
    "code of an analysis": (
        _append("src/nlilab/analysis/lexical.py"),
        {"analyze", "analyze-suites", "difficulty", "gate"},
    ),
    "code of the report": (_append("src/nlilab/report/page.py"), {"report"}),
    "code of grading": (_append("src/nlilab/grading/agreement.py"), {"agreement"}),
    "code of curation": (_append("src/nlilab/curation/similar.py"), {"curate", "mix", "analyze", "analyze-suites"}),
    "code of writing": (
        _append("src/nlilab/writing/targen.py"),
        {"plan", "generate", "correct", "attack"},
    ),
    "code of a provider": (
        _append("src/nlilab/llm/providers/openai.py"),
        {"plan", "generate", "correct", "attack"},
    ),
    "code of the sources": (_append("src/nlilab/datasets/sources.py"), {"fetch-suites"}),
    "code of the statistics": (
        _append("src/nlilab/stats.py"),
        {"analyze", "analyze-suites", "difficulty", "agreement"},
    ),
}


@pytest.mark.parametrize("what", AFFECTED)
def test_a_change_touches_just_the_stages_that_depend_on_it(workbench: Path, what: str) -> None:
    change, expected = AFFECTED[what]
    change(workbench)
    try:
        assert status(workbench) == expected
    finally:
        sh(workbench, "git", "checkout", "-q", ".")


def test_each_arm_starts_from_its_own_base_and_is_trained_anew_alone_where_that_changes(
    project: Path, tmp_path: Path
) -> None:
    """Two arms of the same rows from models of unlike size and vocabulary, one of them attacked and hardened."""
    from tiny import save_checkpoint

    texts = [row["premise"] for row in map(json.loads, (project / "data/embedded/tiny.jsonl").read_text().splitlines())]
    save_checkpoint("roberta", tmp_path / "other", texts)

    def put(params: dict[str, Any]) -> None:
        own = {"model": str(tmp_path / "other"), "train": {"learning_rate": 1e-3}}
        params["mixtures"]["corrected"] |= own
        params["train"]["max_length"] = 64  # of the positions that both know

    edit(project / "params.yaml", put)
    assert "two_step: raw-then-corrected goes on from raw's model" in sh(project, "nlilab", "check", fails=True)
    assert "names a base of its own" in sh(project, "dvc", "repro", "train-second", fails=True)
    _param("two_step", value={"starts": ["corrected"], "arms": ["raw"], "steps": 2})(project)
    made = ["raw", "corrected", "corrected-then-raw", "corrected-vs-gradient-mask"]
    _param("models", value=made)(project)
    assert "is sound" in sh(project, "nlilab", "check")
    sh(project, "dvc", "repro")
    kinds = {name: json.loads((project / f"models/{name}/1/config.json").read_text())["model_type"] for name in made}
    assert kinds == dict.fromkeys(made, "roberta") | {"raw": "bert"}
    found = json.loads((project / "metrics/comparison.json").read_text())
    sizes = found["parameters"]
    assert sizes["corrected"] == sizes["corrected-then-raw"] == sizes["corrected-vs-gradient-mask"] < sizes["raw"]
    assert found["rows"] == {"raw": 24, "corrected": 24, "corrected-then-raw": 48, "corrected-vs-gradient-mask": 24}
    told = " ".join(sh(project, "nlilab", "table").split())
    assert re.search(r"corrected .*?Unequal parameters \([\d ]+(million)? against 1\.0 million\)", told), told
    said = (project / "reports/report.md").read_text().replace("\\", "")
    assert re.search(rf"The models start from \S+ and {tmp_path / 'other'}", said)  # markdown's escapes apart
    assert "other (" in sh(project, "nlilab", "card", "models/corrected")

    _param("mixtures", "corrected", "train", value={"learning_rate": 2e-3})(project)
    stages = ran(sh(project, "dvc", "repro"))
    assert {"train@corrected-1", "train-second@corrected-raw-1"} <= set(stages) and "train@raw-1" not in stages


def test_an_equal_output_stops_the_wave(project: Path) -> None:
    _param("compare", "margin", value=1.5)(project)
    assert ran(sh(project, "dvc", "repro")) == ["compare", "report"]
    _append("tasks/nli/seeds.md")(project)  # a newline at the end: the same messages, the same answers
    assert [stage.split("@")[0] for stage in ran(sh(project, "dvc", "repro"))] == ["plan", "mix", "mix", "attack"]


def test_imports_of_every_stage_are_its_dependencies() -> None:
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        module = stage["cmd"].split("-m ")[1].split()[0]
        declared = {dep for dep in stage["deps"] if dep.startswith("src/nlilab/")}
        rooms = {file if "/stages/" in file else "/".join(file.split("/")[:3]) for file in closure(module)}
        assert declared == rooms, name
        assert len(stage["deps"]) <= 12 and stage["desc"], name
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 600


def _clone(project: Path, target: Path) -> Path:
    sh(project, "git", "clone", "-q", str(project), str(target))
    shutil.rmtree(target / ".dvc/cache", ignore_errors=True)
    sh(target, "dvc", "config", "--local", "core.analytics", "false")
    return target


def _share(project: Path, clone: Path, url: str, *options: tuple[str, str]) -> None:
    for folder in (project, clone):
        sh(folder, "dvc", "remote", "add", "--local", "-d", "shared", url)
        for key, value in options:
            sh(folder, "dvc", "remote", "modify", "--local", "shared", key, value)
    sh(project, "dvc", "push", "--run-cache")
    printed = sh(clone, "dvc", "repro", "--pull")
    assert ran(printed) == [], printed
    assert (clone / "models/raw/1/model.safetensors").is_file()
    assert (clone / "data/labelled/nli/grammar.parquet").is_file()


def test_a_clone_pulls_everything_from_a_folder_and_executes_nothing(project: Path, tmp_path: Path) -> None:
    _share(project, _clone(project, tmp_path / "clone"), str(tmp_path / "remote"))


@pytest.fixture
def s3() -> Iterator[str]:
    """An S3 server on loopback with an empty bucket `nlilab`."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    ).create_bucket(Bucket="nlilab")
    yield url
    server.stop()


def test_a_clone_pulls_everything_from_s3_and_executes_nothing(project: Path, tmp_path: Path, s3: str) -> None:
    options = [("endpointurl", s3), ("region", "us-east-1"), ("access_key_id", "x"), ("secret_access_key", "y")]
    _share(project, _clone(project, tmp_path / "clone"), "s3://nlilab/store", *options)


def test_experiments_run_queue_show_and_diff(project: Path) -> None:
    sh(project, "dvc", "exp", "run", "-n", "wide", "-S", "compare.margin=4")
    sh(project, "dvc", "exp", "run", "--queue", "-n", "bold", "-S", "train.learning_rate=0.02")
    sh(project, "dvc", "queue", "start", "-j", "1")
    sh(project, "dvc", "queue", "logs", "-f", "bold")
    deadline = time.monotonic() + 120
    while "bold" not in sh(project, "dvc", "exp", "list", "--name-only"):
        assert time.monotonic() < deadline, sh(project, "dvc", "queue", "status")
        time.sleep(1)
    shown = _json(sh(project, "dvc", "exp", "show", "--json"))
    found = {exp["name"]: exp["revs"][0]["data"] for exp in shown[1]["experiments"]}
    assert set(found) == {"wide", "bold"}
    assert found["bold"]["params"]["params.yaml"]["data"]["train"]["learning_rate"] == 0.02
    assert "raw" in found["bold"]["metrics"]["metrics/summary.json"]["data"]["accuracy"]
    sh(project, "git", "checkout", "-q", ".")
    diff = _json(sh(project, "dvc", "metrics", "diff", "--json", "--all", "wide", "bold"))
    assert "accuracy.raw.tiny" in diff["metrics/summary.json"]


def _kill_dvc_when(project: Path, stage: str, ready: Callable[[], bool]) -> None:
    """Start `dvc repro STAGE`, SIGKILL the dvc process alone once `ready`, and see that its stage dies with it."""
    import psutil

    process = subprocess.Popen(
        ["dvc", "repro", stage],
        cwd=project,
        env=_environment(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    children: list[psutil.Process] = []
    while not (children and ready()):
        assert process.poll() is None and time.monotonic() < deadline, "ended before it could be killed"
        time.sleep(0.02)
        family = psutil.Process(process.pid).children(recursive=True)
        children = [child for child in family if any("nlilab.stages" in word for word in child.cmdline())]
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline, "the stage outlived its pipeline"
        time.sleep(0.1)


def test_a_run_killed_in_generate_buys_nothing_twice(project: Path) -> None:
    with serve() as server:
        server.latency = 0.15
        server.answer = lambda prompt: json.dumps({"hypothesis": "Somebody did something."})
        entry = {
            "provider": "openai",
            "model": "toy",
            "base_url": f"{server.url}/v1",
            "structured": False,
            "price": {"input": 0, "output": 0},
            "parameters": {"max_tokens": 50},
        }
        edit(project / "conf/generators.yaml", lambda entries: entries.update(slow=entry))
        edit(project / "params.yaml", lambda params: params.update(generators=["grammar", "slow"]))
        edit(project / "params.yaml", lambda params: params["llm"].update(concurrency=2))
        _kill_dvc_when(project, "generate@nli-slow", lambda: len(server.requests) > 20)
        assert not (project / "data/generated/nli/slow.parquet").exists()
        printed = sh(project, "dvc", "repro", "generate@nli-slow")
    assert "60 cells -> 60 rows" in printed
    in_flight = 2
    assert len(set(map(json.dumps, server.requests))) == 60
    assert 60 <= len(server.requests) <= 60 + in_flight


PLANTED = "-".join(["sk", "planted", "0123456789", "abcdef"])  # not as such in any file, this one included


def _paid(project: Path, url: str) -> None:
    """A generator with a price, which writes and judges on the grammar's plan."""
    entry = {
        "provider": "openai",
        "model": "toy",
        "base_url": f"{url}/v1",
        "price": {"input": 1.0, "output": 10.0},
        "parameters": {"max_tokens": 50},
    }
    edit(project / "conf/generators.yaml", lambda entries: entries.update(paid=entry))
    edit(project / "params.yaml", lambda params: params.update(generators=["grammar", "paid"]))
    edit(project / "params.yaml", lambda params: params["correct"].update(judge="paid"))
    sh(project, "git", "add", "-A")
    sh(project, "git", "commit", "-qm", "a paid generator")


def _toy(prompt: str) -> str:
    """Writes a hypothesis; judges every third row wrong."""
    if "Label as given: " not in prompt:
        return json.dumps({"hypothesis": f"Somebody did something in number {len(prompt)}."})
    label = prompt.split("Label as given: ")[1].split()[0]
    return json.dumps({"explanation": "So it is.", "label": "neutral" if len(prompt) % 3 == 0 else label})


def test_what_was_paid_for_is_counted_recorded_and_replayed_without_a_key(project: Path, tmp_path: Path) -> None:
    with serve() as server:
        server.answer = _toy
        _paid(project, server.url)
        told = sh(project, "nlilab", "cost", OPENAI_API_KEY=PLANTED)
        assert re.search(r"generate +paid +60 +0 +60 ", told) and re.search(r"correct +paid +120 +0 +120 ", told)
        assert server.requests == []
        printed = sh(project, "dvc", "repro", "correct@nli-paid", "correct@nli-grammar", OPENAI_API_KEY=PLANTED)
        bought = len(server.requests)
        assert "60 cells -> 60 rows" in printed and 0 < bought <= 180
        told = sh(project, "nlilab", "cost", OPENAI_API_KEY=PLANTED)
        assert "expected 0.0000 dollars" in told
        dollars = bought * (7 * 1.0 + 5 * 10.0) / 1e6
        assert f"{dollars:.4f}" in sh(project, "nlilab", "ledger", "--by", "generator")
        booked = [project / f"metrics/correct/nli/{name}.json" for name in ("grammar", "paid")]
        costs = [json.loads(path.read_text())["cost"] for path in booked]
        assert [cost["judge_usd"] for cost in costs] == pytest.approx([60 * 57e-6] * 2)
        assert [cost["generate_usd"] for cost in costs] == pytest.approx([0, 60 * 57e-6])
        assert "endpoint and model" in sh(project, "nlilab", "doctor", fails=True, OPENAI_API_KEY=PLANTED)
        assert f"{bought} answers" in sh(project, "nlilab", "record")
    recording = project / "data/recordings/paid.jsonl"
    assert len(recording.read_text().splitlines()) == bought == len(set(map(json.dumps, server.requests)))
    sh(project, "dvc", "repro", "correct@nli-paid", "correct@nli-grammar")  # the recording is a dependency: replayed
    sh(project, "git", "add", "-A")
    sh(project, "git", "commit", "-qm", "record")
    clone = _clone(project, tmp_path / "clone")
    _param("llm", "mode", value="replay")(clone)
    sh(clone, "dvc", "repro", "correct@nli-paid", "correct@nli-grammar", OPENAI_API_KEY="")
    for name in ("generated/nli/paid", "labelled/nli/paid", "labelled/nli/grammar"):
        ours, theirs = (folder / f"data/{name}.parquet" for folder in (project, clone))
        assert ours.read_bytes() == theirs.read_bytes()
    holding = [
        path
        for folder in (project, clone)
        for path in folder.rglob("*")
        if path.is_file() and PLANTED.encode() in path.read_bytes()
    ]
    assert holding == []
    lines = (clone / "data/recordings/paid.jsonl").read_text().splitlines(keepends=True)
    (clone / "data/recordings/paid.jsonl").write_text("".join(lines[1:]))
    shutil.rmtree(clone / ".cache")
    printed = sh(clone, "dvc", "repro", "correct@nli-paid", "correct@nli-grammar", fails=True, OPENAI_API_KEY="")
    assert "llm.mode is replay, and 1 of the requests to paid" in printed and "data/recordings/paid.jsonl" in printed
    assert "nlilab record" in printed and "Traceback" not in printed


def test_experiments_wherever_they_run_buy_an_answer_once(tmp_path: Path, tiny_encoder: Path) -> None:
    """Two workers of the queue side by side, then a temporary folder, then the workspace itself."""
    project, stage = small_copy(tmp_path / "project", tiny_encoder), "generate@nli-paid"
    with serve() as server:
        server.answer, server.latency = _toy, 0.05
        _paid(project, server.url)
        for number, name in enumerate(("one", "two")):
            sh(project, "dvc", "exp", "run", "--queue", "-n", name, "-S", f"compare.margin={5 + number}", stage)
        sh(project, "dvc", "queue", "start", "-j", "2")
        deadline = time.monotonic() + 300
        while {"one", "two"} - set(sh(project, "dvc", "exp", "list", "--name-only").split()):
            assert time.monotonic() < deadline, sh(project, "dvc", "queue", "status")
            time.sleep(1)
        assert len(set(map(json.dumps, server.requests))) == len(server.requests) == 60
        sh(project, "dvc", "exp", "run", "--temp", "-n", "three", "-S", "compare.margin=7", stage)
        assert ran(sh(project, "dvc", "exp", "run", "-f", "-n", "four", stage))[-1] == stage
        assert len(server.requests) == 60
        assert list((project / ".cache/llm").glob("*.sqlite")) and not list((project / ".dvc/tmp").rglob("*.sqlite"))
        elsewhere = str(tmp_path / "elsewhere")
        sh(project, "dvc", "exp", "run", "--temp", "-n", "five", "-f", stage, NLILAB_CACHE=elsewhere)
        assert len(server.requests) == 120 and (tmp_path / "elsewhere/llm/store.sqlite").is_file()


def test_a_table_has_no_holes_that_nobody_allowed(tmp_path: Path, tiny_encoder: Path) -> None:
    project, stages = small_copy(tmp_path / "project", tiny_encoder), ("generate@nli-paid", "correct@nli-paid")

    def down(body: dict[str, Any]) -> bool:
        return int(digest(json.dumps(body["messages"])), 16) % 9 == 0

    with serve() as server:
        server.answer, server.down = _toy, down
        _paid(project, server.url)
        _param("llm", "attempts", value=1)(project)
        printed = sh(project, "dvc", "repro", stages[0], fails=True)
        told = re.search(r"error: (\d+) of 60 requests stayed unanswered .* set llm.holes", printed)
        assert told and "Traceback" not in printed and not (project / "data/generated/nli/paid.parquet").exists()
        holes = int(told[1])
        server.requests.clear()
        _param("llm", "holes", value=0.4)(project)
        printed = sh(project, "dvc", "repro", *stages)
        assert len([body for body in server.requests if "Label as given" not in str(body)]) == holes  # these alone
        assert (
            f"60 cells -> {60 - holes} rows, {holes} given up" in printed and f"{holes} of them unanswered" in printed
        )
        metrics = project / "metrics/correct/nli/paid.json"
        judged = json.loads(metrics.read_text())["holes"]
        assert judged["generate"] == holes and judged["correct"] > 0
        assert f"by step: {{'generate': {holes}, 'correct': {judged['correct']}}}" in printed
        server.down = lambda body: False
        sh(project, "dvc", "repro", "-f", "-s", *stages)
        assert "holes" not in json.loads(metrics.read_text())
        assert len(json.loads(metrics.read_text())) > 3


def test_one_budget_holds_for_all_stages_of_a_run(project: Path) -> None:
    with serve() as server:
        server.answer = _toy
        _paid(project, server.url)
        one = (7 * 1.0 + 5 * 10.0) / 1e6
        _param("llm", "budget_usd", value=round(80 * one, 6))(project)
        lives = 0
        while True:
            lives += 1
            before = len(server.requests)
            done = subprocess.run(
                ["dvc", "repro", "correct@nli-paid"],
                cwd=project,
                env=_environment(project),
                capture_output=True,
                text=True,
            )
            assert (len(server.requests) - before) * one <= 80 * one  # generate and correct together
            if done.returncode == 0:
                break
            assert "llm.budget_usd" in done.stdout + done.stderr and lives < 9
    assert lives >= 2 and len(set(map(json.dumps, server.requests))) == len(server.requests)


def test_a_run_killed_in_train_leaves_no_half_model(project: Path) -> None:
    _param("train", "steps", value=600)(project)
    stage = "train@raw-1"
    started = time.monotonic()
    _kill_dvc_when(project, stage, lambda: time.monotonic() - started > 4)
    assert not (project / "models/raw/1/model.safetensors").exists()
    assert "train" in status(project)
    assert ran(sh(project, "dvc", "repro", stage)) == [stage]
    assert (project / "models/raw/1/model.safetensors").is_file()
    assert "train@raw-1" not in _json(sh(project, "dvc", "status", "--json", stage))


def test_what_a_removed_arm_left_behind_does_not_count_and_is_pruned(project: Path) -> None:
    edit(
        project / "params.yaml",
        lambda params: params.update(
            arms=["raw"],
            models=["raw"],
            two_step={"starts": [], "arms": []},
            harden={"arms": [], "against": []},
            attack=params["attack"] | {"suites": [], "recipes": [], "victims": [], "readers": []},
        ),
    )
    printed = sh(project, "dvc", "repro")
    assert re.search(r"corrected-1\.json, .*which params\.yaml does not name; they do not count.*`make prune`", printed)
    assert set(json.loads((project / "metrics/summary.json").read_text())["accuracy"]) == {"raw"}
    assert "removed models/corrected/1" in sh(project, "nlilab", "prune")
    assert "note:" not in sh(project, "dvc", "repro")
    assert set(json.loads((project / "metrics/summary.json").read_text())["accuracy"]) == {"raw"}


def test_several_tasks_share_one_pipeline(tmp_path: Path, tiny_encoder: Path, real_superglue: Path) -> None:
    """Two tasks, alone and together, instructed, seeing one side, untuned; each suite is read by who knows it."""
    project = small_copy(tmp_path / "project", tiny_encoder)
    sources = {f"{task}/grammar": 24 for task in ("rte", "boolq")}
    mixtures = {
        "rte-syn": {"sources": {"rte/grammar": 24}},
        "boolq-hypothesis": {"sources": {"boolq/grammar": 24}, "view": "hypothesis"},
        "all-syn": {"sources": sources, "instructions": True},
        "all-untuned": {"sources": sources, "untuned": True},
    }
    off = {"suites": [], "recipes": [], "victims": [], "readers": []}

    def several(params: dict[str, Any]) -> None:
        params |= {
            "tasks": ["rte", "boolq"],
            "sets": [*sources],
            "suites": ["superglue-rte", "superglue-boolq", "tiny-heuristics"],
        }
        params |= {"arms": [*mixtures], "models": [*mixtures], "mixtures": mixtures}
        params |= {"two_step": {"starts": [], "arms": [], "steps": 1}}
        params["harden"] |= {"arms": [], "against": []}
        params["attack"] |= off
        params["compare"]["margin"] = 5

    def real(entries: dict[str, Any]) -> None:
        for name, file in (("superglue-rte", "RTE"), ("superglue-boolq", "BoolQ")):
            path = tmp_path / f"{file}.jsonl"
            path.write_text("".join((real_superglue / path.name).read_text().splitlines(keepends=True)[:30]))
            entries[name] |= {"path": str(path), "sha256": sha256(path), "hub": None, "file": None, "format": "jsonl"}

    edit(project / "params.yaml", several)
    edit(project / "conf/datasets.yaml", real)
    assert "is sound" in sh(project, "nlilab", "check")
    sh(project, "dvc", "repro")
    accuracy = json.loads((project / "metrics/summary.json").read_text())["accuracy"]
    known = {name: set(suites) for name, suites in accuracy.items()}
    inference, both = {"superglue-rte", "tiny-heuristics"}, {"superglue-rte", "tiny-heuristics", "superglue-boolq"}
    assert known == {
        "rte-syn": inference,
        "boolq-hypothesis": {"superglue-boolq"},
        "all-syn": both,
        "all-untuned": both,
    }
    reading = json.loads((project / "models/all-syn/1/reading.json").read_text())
    assert set(reading["tasks"]) == set(reading["instructions"]) == {"rte", "boolq"}
    training = json.loads((project / "metrics/training/all-untuned-1.json").read_text())
    assert training["total_steps"] == 0
    page = (project / "reports/report.html").read_text()
    assert "superglue-boolq" in page and "TarGEN" in page  # a published table stands beside rte-syn
    assert "TarGEN" in sh(project, "nlilab", "table")


def test_a_published_experiment_runs_from_its_preset(tmp_path: Path, tiny_encoder: Path) -> None:
    project = small_copy(tmp_path / "project", tiny_encoder)
    flags = sh(project, "nlilab", "preset", "cwe-small").split()
    light = ["train.steps=3", f"train.model={tiny_encoder}", "plan.contexts=2", "seeds=[1]"]
    light += [f"mixtures.{arm}.sources={{cwe/grammar:80}}" for arm in ("cwe-syn", "cwe-untuned", "cwe-hypothesis")]
    sh(project, "dvc", "exp", "run", *flags, *(word for flag in light for word in ("-S", flag)))
    summary = json.loads((project / "metrics/summary.json").read_text())
    assert set(summary["accuracy"]) == {"cwe-untuned", "cwe-hypothesis", "cwe-syn"}
    table = sh(project, "nlilab", "table")
    assert "ours: cwe-untuned" in table and "99.00" in table  # the published accuracy, beside ours


def test_a_suite_with_permuted_labels_stops_the_run(finished: Path, tmp_path: Path, real_data: Path) -> None:
    """Predictions of a model that knows the task (here: gold with errors), on a suite whose labels were rotated."""
    import numpy as np
    import pandas as pd

    from nlilab.core.files import write_json, write_table
    from nlilab.datasets.entries import Dataset
    from nlilab.datasets.sources import fetch

    source = real_data / "snli_test_a.jsonl"
    entry = Dataset(path=str(source), sha256=sha256(source), format="jsonl", licence="x", source="y")
    rows = fetch("snli", entry)
    names = ["entailment", "neutral", "contradiction"]
    right = np.eye(3)[[names.index(label) for label in rows["label"]]] * 0.4 + 0.2
    random = np.random.default_rng(0).dirichlet([1, 1, 1], len(rows))
    rotated = rows.assign(label=[names[(names.index(label) + 1) % 3] for label in rows["label"]])
    table = rows[["id"]].assign(suite="snli", seed=1, **dict(zip(names, (right + random).T, strict=True)))
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params |= {"suites": ["snli"], "models": ["raw"], "arms": ["raw"], "two_step": {}, "harden": {}}
    params["attack"] |= {"suites": [], "recipes": [], "victims": [], "readers": []}
    (tmp_path / "read").mkdir()
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    for suite, fails in ((rows, False), (rotated, True)):
        write_table(tmp_path / "suites/snli.parquet", pd.DataFrame(suite))
        write_table(tmp_path / "predictions/raw.parquet", table)
        write_json(tmp_path / "cards/snli.json", {"adversarial": False, "metric": "accuracy"})
        printed = sh(
            tmp_path,
            *(sys.executable, "-m", "nlilab.stages.score", "predictions", "suites", "cards", "attacked", "read"),
            *("scores.json", "rows", "attacks.json"),
            fails=fails,
            PYTHONPATH=str(ROOT / "src"),
        )
    assert "error: suite 'snli': its labels look permuted" in printed and "Traceback" not in printed
