"""The documents say what is there: pages are short, links lead somewhere, and every name in them exists."""

import re
import subprocess
import typing
from importlib import import_module
from pathlib import Path

import pytest
import typer
import yaml
from pydantic import BaseModel, RootModel

from nlilab.cli.main import app
from nlilab.core.params import SECTIONS, Run
from nlilab.tasks.definition import load_task
from test_pipeline import AFFECTED

ROOT = Path(__file__).parent.parent
README, DOCS = ROOT / "README.md", ROOT / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
LONGEST = 200  # lines of a page

# Folders that the tree names as a whole.
TASKS = ("axg", "boolq", "cb", "copa", "cwe", "gnli", "multirc", "nli", "record", "rte", "wic", "wsc")
WHOLE = (
    *(f"tasks/{task}" for task in (*TASKS, "strategies")),
    "src/nlilab/llm/grammar",
    "src/nlilab/report",
    ".dvc",
    "data/grades",
    "data/recordings",
    "data/attacked",
    "data/read",
    "models",
    "metrics",
    "reports",
)
UNSAID = {".gitignore", ".dvcignore", ".pre-commit-config.yaml", "src/nlilab/py.typed"}  # and every __init__.py

FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def _code(page: Path) -> str:
    """What stands between backticks, and in fenced blocks; a line each."""
    text = page.read_text()
    return "\n".join([*FENCE.findall(text), *re.findall(r"`([^`\n]+)`", FENCE.sub("", text))])


def _prose(page: Path) -> str:
    """The text without code."""
    return re.sub(r"`[^`\n]+`", "", FENCE.sub("", page.read_text()))


def _links(page: Path) -> list[str]:
    """The relative links of a page."""
    found = re.findall(r"\]\(([^)\s]+)\)", _prose(page))
    return [link for link in found if not link.startswith(("http://", "https://"))]


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _section(page: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    match = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    assert match, heading
    return match[1]


def _table(text: str) -> list[list[str]]:
    """The cells of a section's first table, its head apart."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


@each_page
def test_a_page_is_short_and_says_first_what_it_is_for(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert len(lines) <= LONGEST
    assert lines[0].startswith("# ") and lines[1] == "" and lines[2]


@each_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in _links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def test_the_readme_leads_to_every_page_and_every_page_back() -> None:
    told = {link.partition("#")[0] for link in _links(README)}
    for page in PAGES[1:]:
        assert f"docs/{page.name}" in told
        links = {link.partition("#")[0] for link in _links(page)}
        assert "../README.md" in links, page
        assert "See also" in page.read_text() and links & {other.name for other in PAGES[1:]}, page


@each_page
def test_every_make_target_that_it_names_exists(page: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"(?:^| )make ([a-z]+)", _code(page), re.MULTILINE):
        assert target in targets


def test_the_make_targets_that_it_needs_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"repro", "test", "check", "prune", "plots", "benchmarks"} <= set(targets)
    assert "make repro" in README.read_text() and "make test" in README.read_text()


@each_page
def test_every_command_that_it_names_exists_with_its_options(page: Path) -> None:
    for line in _code(page).splitlines():
        for words in re.findall(r"\bnlilab ((?:[^\s#`|;()]+ ?)+)", line):
            command, rest = typer.main.get_command(app), words.split()
            while isinstance(known := getattr(command, "commands", None), dict) and rest:
                assert rest[0] in known, f"nlilab {words}"
                command, rest = known[rest[0]], rest[1:]
            options = {name for parameter in command.params for name in parameter.opts}
            for word in rest:
                assert not word.startswith("--") or word.split("=")[0] in options, f"nlilab {words}"


@each_page
def test_every_preset_that_it_names_exists(page: Path) -> None:
    code = _code(page)
    made = {f"{name}.yaml" for name in re.findall(r"nlilab new ([a-z0-9-]+)", code)}
    known = made | {path.name for path in (ROOT / "presets").glob("*.yaml")}
    for name in re.findall(r"nlilab (?:preset|check) ([a-z0-9-]+)", code):
        assert f"{name}.yaml" in known, name


def test_every_preset_is_explained() -> None:
    rows = _table(_section("experiments.md", "Published experiments"))
    explained = {name for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    assert explained == {path.stem for path in (ROOT / "presets").glob("*.yaml")}


def test_every_stage_is_explained_and_no_other() -> None:
    explained = [
        name for row in _table(_section("architecture.md", "Stages")) for name in re.findall(r"`(.+?)`", row[0])
    ]
    assert sorted(explained) == sorted(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])


def test_what_a_change_reruns_is_told_as_it_is_tested() -> None:
    rows = _table(_section("architecture.md", "What a change reruns"))
    told = {what: set(re.findall(r"`(.+?)`", stages)) for what, _, stages in rows}
    assert told == {what: stages for what, (_, stages) in AFFECTED.items()}


def _settings() -> dict[str, type[BaseModel]]:
    """The typed model of every section of params.yaml."""
    found = {
        name: field.annotation
        for name, field in Run.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
    for name, place in SECTIONS.items():
        module, model = place.split(":")
        found[name] = getattr(import_module(module), model)
    return {name: model for name, model in found.items() if not issubclass(model, RootModel)}


@each_page
def test_every_parameter_that_it_names_exists(page: Path) -> None:
    settings = _settings()
    for section, rest in re.findall(rf"(?<![\w./-])({'|'.join(settings)})\.([a-z_][a-z_.]*)", _code(page)):
        model: typing.Any = settings[section]
        if rest in ("py", "md"):  # a file's name
            continue
        for key in rest.strip(".").split("."):
            if not (isinstance(model, type) and issubclass(model, BaseModel)):
                break
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            assert key in fields, f"{section}.{rest}"
            model = fields[key].annotation


def _tree() -> set[str]:
    """The paths that the annotated tree draws.

    A line holds names, and after two spaces a note; what stands in parentheses is a note too. Where the only name is a
    folder, names of files in the note are files in it.
    """
    block = re.search(r"```\n(.*?)```", _section("architecture.md", "Where things are"), re.DOTALL)
    assert block
    paths: set[str] = set()
    folders = [""]
    for line in block[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        shown, _, note = re.sub(r" \([^)]*\)", "", line.strip()).partition("  ")
        folders, names = folders[: depth + 1], re.split(r",? ", shown)
        paths |= {f"{folders[depth]}{name}".rstrip("/") for name in names}
        if len(names) == 1 and names[0].endswith("/"):
            folders.append(folders[depth] + names[0])
            paths |= {folders[-1] + name for name in re.findall(r"(?<!\S)[\w-]+\.[a-z]+(?!\S)", note)}
    return paths


def test_the_tree_names_every_file_and_no_other() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = {file for file in listed.split() if not file.endswith("/__init__.py")} - UNSAID
    files = {next((whole for whole in WHOLE if file.startswith(whole + "/")), file) for file in files}
    tree = _tree()
    assert files - tree == set(), "not in the tree of docs/architecture.md"
    folders = {str(parent) for file in files for parent in Path(file).parents}
    assert tree - files - folders == set(), "in the tree of docs/architecture.md only"


def test_the_task_that_it_shows_is_one(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", (DOCS / "tasks.md").read_text(), re.DOTALL)
    assert block
    home = tmp_path / "sarcasm"
    (home / "generate").mkdir(parents=True)
    (home / "task.yaml").write_text(block[1])
    (home / "contexts.md").write_text("- a bus stop\n- a kitchen\n")
    (home / "seeds.md").write_text('Write {n} remarks.\n---\nSetting: {context}\n{"seeds": ["..."]}')
    for label in ("sarcastic", "sincere"):
        (home / f"generate/{label}.md").write_text(f"Write a {label} reply.\n---\n{{remark}}\n")
    (tmp_path / "correct.md").write_text("Judge.\n---\n{instance}\n")
    task = load_task("sarcasm", tmp_path)
    assert task.labels == ["sarcastic", "sincere"] and task.contexts.items == ["a bus stop", "a kitchen"]
    assert task.pair(task.file.examples[0]) == {"premise": "It rained all week.", "hypothesis": "A lovely holiday."}
