"""The house: few rooms, floor above floor; imports go downwards only, and no module reaches itself."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

HOUSE = Path(__file__).parent.parent / "src" / "nlilab"

README = (HOUSE.parent.parent / "README.md").read_text(encoding="utf-8")


def _floors() -> list[str]:
    """The rooms as the README draws them, from the ground up: a room may import those named before it."""
    picture = re.search(r"## The house\n.*?```\n(.*?)```", README, re.DOTALL)
    assert picture
    lines = [line[:40].split() for line in picture[1].splitlines()]  # behind the rooms stands what they are for
    return [room for line in reversed(lines) for room in line]


FLOORS = _floors()


def _imports() -> dict[str, set[str]]:
    """Every module beneath nlilab with the modules that it imports, inside functions too."""
    paths = {".".join(path.relative_to(HOUSE).with_suffix("").parts): path for path in HOUSE.rglob("*.py")}
    modules = {name.removesuffix(".__init__"): path for name, path in paths.items() if name != "__init__"}
    found: dict[str, set[str]] = {}
    for name, path in modules.items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name}: imports are absolute"
                named |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
        ours = {one.removeprefix("nlilab.") for one in named if one.startswith("nlilab.")}
        found[name] = {one for one in ours if one in modules} - {name}
    return found


def test_the_house_has_few_rooms() -> None:
    rooms = {path.name for path in HOUSE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    loose = {path.stem for path in HOUSE.glob("*.py")} - {"__init__"}
    assert rooms | loose == set(FLOORS)
    assert len(rooms) <= 14 and len(loose) <= 6
    assert all((HOUSE / room / "__init__.py").read_text().startswith('"""') for room in rooms), "each says its purpose"


def test_imports_go_downwards() -> None:
    for module, imported in _imports().items():
        for other in imported:
            room, below = module.split(".")[0], other.split(".")[0]
            assert FLOORS.index(below) <= FLOORS.index(room), f"{module} imports {other}, which is above it"
            assert room != "stages" or below != "stages", f"{module} imports the stage {other}"


def test_no_module_reaches_itself() -> None:
    imports = _imports()
    # A package's own door (`__init__`) re-exports its rooms; `from package.room import x` does not go through it.
    list(TopologicalSorter(imports).static_order())
