"""The README's tree names every file, and its commands and stages exist."""

import re
import subprocess
import textwrap
from pathlib import Path

import yaml

from nlilab.tasks.definition import load_task

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

# Folders that the tree names as a whole.
TASKS = ("axg", "boolq", "cb", "copa", "cwe", "gnli", "multirc", "record", "rte", "wic", "wsc")  # nli stands in full
WHOLE = (
    *(f"tasks/{task}" for task in TASKS),
    "tasks/strategies",
    "src/nlilab/grammar",
    "src/nlilab/report",
    ".dvc",
    "data/grades",
    "data/recordings",
    "data/attacked",
    "data/read",
    "metrics",
    "reports",
)


def _tree() -> set[str]:
    """The paths that the annotated tree draws."""
    block = re.search(r"## Where things are\n\n```\n(.*?)```", README, re.DOTALL)
    assert block
    paths, folders = set(), [""]
    for line in block[1].splitlines():
        match = re.match(r"( *)(\S+)", line)
        assert match, line
        depth = len(match[1]) // 2
        folders = folders[: depth + 1]
        for name in match[2].split(","):
            path = f"{folders[depth]}{name}"
            paths.add(path.rstrip("/"))
        if match[2].endswith("/"):
            folders.append(f"{folders[depth]}{match[2]}")
    return paths


def test_the_tree_names_every_file_and_no_other() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = set()
    for file in listed.split():
        folder = next((whole for whole in WHOLE if file.startswith(whole + "/")), None)
        files.add(folder or file)
    files -= {".gitignore", ".dvcignore", ".pre-commit-config.yaml", "src/nlilab/__init__.py", "src/nlilab/py.typed"}
    files = {file for file in files if not file.endswith("/__init__.py")}
    tree = _tree()
    assert files - tree == set(), "not in the README's tree"
    folders = {str(parent) for file in files for parent in Path(file).parents}
    assert tree - files - folders == set(), "in the README's tree only"


def test_every_stage_is_explained() -> None:
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]:
        assert f"`{stage}`" in README, stage


def test_every_make_target_that_it_names_exists() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE):
        assert target in targets
    for needed in ("repro", "test", "check", "prune", "plots"):
        assert needed in targets


def test_the_task_that_it_shows_is_one(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert block
    home = tmp_path / "sarcasm"
    (home / "generate").mkdir(parents=True)
    (home / "task.yaml").write_text(textwrap.dedent("   " + block[1].lstrip(" ")))
    (home / "contexts.md").write_text("- a bus stop\n- a kitchen\n")
    (home / "seeds.md").write_text('Write {n} remarks.\n---\nSetting: {context}\n{"seeds": ["..."]}')
    for label in ("sarcastic", "sincere"):
        (home / f"generate/{label}.md").write_text(f"Write a {label} reply.\n---\n{{remark}}\n")
    (tmp_path / "correct.md").write_text("Judge.\n---\n{instance}\n")
    task = load_task("sarcasm", tmp_path)
    assert task.labels == ["sarcastic", "sincere"] and task.contexts.items == ["a bus stop", "a kitchen"]
    assert task.pair(task.file.examples[0]) == {"premise": "It rained all week.", "hypothesis": "A lovely holiday."}
