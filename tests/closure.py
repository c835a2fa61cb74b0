"""The import closure of a stage within the project: what `dvc.yaml` must name as its code."""

import ast
from pathlib import Path

SRC = Path(__file__).parent.parent / "src"


def closure(module: str) -> set[str]:
    """Project files (relative to the root) that importing `module` may run, imports inside functions included."""
    seen: set[str] = set()
    queue = [module]
    while queue:
        name = queue.pop()
        path = _file(name)
        if path is None or name in seen:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                queue += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                queue += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        queue += [".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)]
    files = {str(_file(name).relative_to(SRC.parent)) for name in seen}  # type: ignore[union-attr]
    return {file for file in files if Path(SRC.parent, file).read_text(encoding="utf-8").strip().count("\n") > 0}


def _file(name: str) -> Path | None:
    base = SRC / Path(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
