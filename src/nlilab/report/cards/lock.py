"""How a file was made, as dvc.lock has it: its md5, and the parameters of all stages that led to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nlilab.core.params import read_yaml
from nlilab.report.cards.sets import bare

LOCK = Path("dvc.lock")
LEFT_OUT = "(left out)"
SECRET = re.compile(r"(^|_)(key|token|secret|password|authorization|headers|base_url)$", re.IGNORECASE)


@dataclass(frozen=True)
class Made:
    """An output of the pipeline: `params` by the file that holds them, those of every stage upstream."""

    stage: str
    md5: str
    params: Mapping[str, Mapping[str, Any]]


def made(path: str) -> Made | None:
    """How `path` was made; None where dvc.lock knows no such output."""
    stages = read_yaml(LOCK).get("stages", {}) if LOCK.is_file() else {}
    makers = {out["path"]: (name, out["md5"]) for name, stage in stages.items() for out in stage.get("outs", [])}
    if path not in makers:
        return None
    seen: set[str] = set()
    waiting = [makers[path][0]]
    while waiting:
        if (name := waiting.pop()) not in seen:
            seen.add(name)
            needed = [dep["path"] for dep in stages[name].get("deps", [])]
            waiting += [maker for out, (maker, _) in makers.items() if any(_within(out, dep) for dep in needed)]
    params: dict[str, dict[str, Any]] = {}
    for name in sorted(seen):
        for file, values in stages[name].get("params", {}).items():
            params.setdefault(file, {}).update(scrubbed(values))
    return Made(*makers[path], params=params)


def as_yaml(traced: Made | None) -> str:
    """The parameters of all stages upstream; empty where nobody knows."""
    return yaml.safe_dump(dict(traced.params), sort_keys=True, width=1000) if traced else ""


def _within(one: str, other: str) -> bool:
    """Whether one path is the other, or lies beneath it, or the other way round."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def scrubbed(value: Any, key: str = "") -> Any:
    """The value without secrets, servers' addresses and places of this machine."""
    if value is not None and SECRET.search(key):
        return LEFT_OUT
    if isinstance(value, Mapping):
        return {name: scrubbed(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [scrubbed(inner, key) for inner in value]
    if not isinstance(value, str):
        return value
    if "://" in value:  # a password may stand before the host, a token behind the path
        return re.sub(r"(?<=//)[^/\s]*@", "", re.split(r"[?#]", value)[0])
    return bare(value)
