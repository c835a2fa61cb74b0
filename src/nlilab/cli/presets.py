"""Presets: experiments as overrides of params.yaml and conf/, read, turned into flags, tried on a copy."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from nlilab.core.errors import UserError
from nlilab.core.params import CONF, PARAMS, nearest, read_yaml, sources_of

PRESETS = Path("presets")
FILES = ("datasets", "generators")  # of conf/, whose entries a preset may add or change


def known() -> list[str]:
    """The names of the presets that there are."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def described(name: str) -> str:
    """What a preset says it is."""
    return str(read_yaml(PRESETS / f"{name}.yaml").get("description", ""))


def flags(name: str) -> list[str]:
    """The preset as values of `dvc exp run -S`: those of params.yaml first, then FILE:... for entries of conf/."""
    return [f"{file}:{override}" if file != str(PARAMS) else override for file, override in _overrides_of(name)]


def applied(name: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The top of params.yaml, and conf/ (file -> name -> entry), as the preset makes them: by DVC itself, on a copy."""
    from dvc.utils.hydra import apply_overrides

    files = {str(PARAMS): PARAMS, **{str(CONF / f"{file}.yaml"): CONF / f"{file}.yaml" for file in FILES}}
    overrides = _overrides_of(name)
    with tempfile.TemporaryDirectory() as folder:
        copies = {}
        for place, path in files.items():
            copies[place] = Path(folder) / path.name
            shutil.copy(path, copies[place])
            if own := [override for file, override in overrides if file == place]:
                try:
                    apply_overrides(copies[place], own)
                except Exception as error:  # DVC's and OmegaConf's own kinds
                    raise UserError(f"{PRESETS / name}.yaml: DVC cannot apply it to {place}: {error}") from error
        return read_yaml(copies[str(PARAMS)]), {file: read_yaml(copies[str(CONF / f"{file}.yaml")]) for file in FILES}


def for_each_task(value: Any, tasks: list[str]) -> Any:
    """What holds `{task}` once for every task; a key or an item that stands there in full comes before such a one."""
    if isinstance(value, dict):
        spread = {
            key.replace("{task}", task): for_each_task(_named(inner, task), tasks)
            for key, inner in value.items()
            for task in (tasks if "{task}" in key else [""])
        }
        return spread | {key: for_each_task(inner, tasks) for key, inner in value.items() if "{task}" not in key}
    if isinstance(value, list):
        return list(
            dict.fromkeys(
                item.replace("{task}", task) if isinstance(item, str) else item
                for item in value
                for task in (tasks if isinstance(item, str) and "{task}" in item else [""])
            )
        )
    return value


def _overrides_of(name: str) -> list[tuple[str, str]]:
    """(file, override) of all that the preset says; values hold no spaces, since a shell splits the flags there."""
    if name not in known():
        raise UserError(f"unknown preset {name!r}: {PRESETS} has {', '.join(known())}{nearest(name, known())}")
    place, content = PRESETS / f"{name}.yaml", read_yaml(PRESETS / f"{name}.yaml")
    if strange := sorted(set(content) - {"description", "params", *FILES}):
        raise UserError(f"{place}: unknown key {strange[0]!r}; a preset has description, params, {', '.join(FILES)}")
    params = content.get("params") or {}
    params = _with_sets(for_each_task(params, params.get("tasks", [])))
    found = [(str(PARAMS), f"++{key}={value}") for key, value in _dotted(params)]
    for file in FILES:
        entries = content.get(file) or {}
        found += [(str(CONF / f"{file}.yaml"), f"++{key}={_plain(value)}") for key, value in entries.items()]
    for _, override in found:
        if any(letter.isspace() for letter in override):
            raise UserError(f"{place}: {override!r} has a space, which a shell would split; write it without")
    return found


def _with_sets(params: dict[str, Any]) -> dict[str, Any]:
    """The overrides, with `sets` named where they change what makes sets and leave the list to us: then all of them."""
    makers = ("tasks", "generators", "datasets")
    if "sets" in params or not params.keys() & set(makers):
        return params
    top = read_yaml(PARAMS) | params
    return {"sets": sources_of(*(top[maker] for maker in makers)), **params}


def _named(value: Any, task: str) -> Any:
    """The value with the task's name where `{task}` stands."""
    if isinstance(value, dict):
        return {_named(key, task): _named(inner, task) for key, inner in value.items()}
    return value.replace("{task}", task) if isinstance(value, str) and task else value


def _dotted(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Dotted keys with values in the syntax of `-S`; a mapping of plain values under `mixtures` is one value."""
    out = []
    for key, value in values.items():
        if isinstance(value, dict) and prefix != "mixtures.":
            out += _dotted(value, f"{prefix}{key}.")
        else:
            out.append((f"{prefix}{key}", _plain(value)))
    return out


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_plain(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_plain, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)
