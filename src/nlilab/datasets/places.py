"""Where a dataset's file lies: in a folder that the user names, at the hub, a URL or a path; verified by its pin."""

import logging
import os
import re
import shutil
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from nlilab.core.errors import UserError
from nlilab.core.files import cache, digest, home, sha256, whole
from nlilab.core.params import PARAMS, conf_entry, read_yaml, section
from nlilab.datasets.entries import Dataset, FetchSettings

FOLDER = "NLILAB_DATASETS"
TIMEOUT_S = 30
COMMIT = re.compile(r"/[0-9a-f]{40}/")  # a URL with one is pinned: what it names never changes


@dataclass(frozen=True)
class Found:
    """A file that is there and is the right one, and the entry as this file is read; `part`: if it is not all."""

    file: Path
    entry: Dataset
    part: str | None = None


def locate(name: str, entry: Dataset) -> Found:
    """The entry's file, verified: as its path names it, in the user's folder, or downloaded once."""
    if entry.path is not None:
        return Found(_verified(name, _find(name, entry.path), entry.sha256), entry)
    if file := _local(entry):
        assert entry.local
        return Found(_verified(name, file, entry.local.sha256), entry.as_local(), entry.local.part)
    if file := _official(name, entry):
        return Found(_verified(name, file, entry.sha256) if entry.sha256 else file, entry)
    if entry.hub:
        return Found(_from_hub(name, entry), entry)
    file, pinned = _from_url(name, entry), entry.sha256 is None and COMMIT.search(str(entry.url))
    try:
        return Found(file if pinned else _verified(name, file, entry.sha256), entry)
    except UserError:
        file.unlink(missing_ok=True)  # a page of somebody else's, maybe: next time it is asked for again
        raise


def pin(name: str, entry: Dataset) -> dict[str, str]:
    """What a careful user writes into the entry: the sha256 or the hub's present revision; also of a local file."""
    if file := _local(entry):
        assert entry.local
        own = {"local": f"{{file: {entry.local.file}, sha256: {sha256(file)}}}"}
        with suppress(UserError):  # without a network there is only the local file to pin
            own |= {} if entry.hub is None else _revision(name, entry)
        return own
    if entry.hub is not None:
        return _revision(name, entry)
    file = _find(name, entry.path) if entry.path else _official(name, entry) or _from_url(name, entry)
    return {"sha256": sha256(file)}


def folder() -> Path | None:
    """The folder with dataset files that the environment or params.yaml names, if any."""
    named, by = os.environ.get(FOLDER), FOLDER
    if not named and PARAMS.is_file():
        named, by = section("fetch", FetchSettings).folder, f"{PARAMS}: fetch.folder"
    if not named:
        return None
    for candidate in _candidates(named):
        if candidate.is_dir():
            return candidate
    raise UserError(f"{by}: no folder {named} (looked from {Path.cwd()}); name the one that holds the dataset files")


def _local(entry: Dataset) -> Path | None:
    """The entry's own local file, if the user's folder has it."""
    home = folder() if entry.local else None
    file = home / entry.local.file if home and entry.local else None
    return file if file and file.is_file() else None


def _official(name: str, entry: Dataset) -> Path | None:
    """The hub's or the URL's own file in the user's folder, if it is there."""
    home = folder()
    file = home / _official_name(name, entry) if home else None
    return file if file and file.is_file() else None


def _official_name(name: str, entry: Dataset) -> str:
    """<hub id>/<file>, as `hf download --local-dir <folder>/<hub id>` lays it out; of a URL <entry>/<file>."""
    return f"{entry.hub}/{entry.file}" if entry.hub else f"{name}/{_file_name(str(entry.url))}"


def _find(name: str, path: str) -> Path:
    for candidate in _candidates(path):
        if candidate.is_file():
            return Path(os.path.relpath(candidate))
    raise UserError(f"{name}: no file {path} (looked from {Path.cwd()}); correct `path` in conf/datasets.yaml")


def _candidates(path: str) -> list[Path]:
    """A path against the project, and inside a temporary experiment against the workspace it belongs to."""
    expanded = Path(os.path.expandvars(path)).expanduser()
    return [Path.cwd() / expanded, home().absolute() / expanded]


def _verified(name: str, file: Path, wanted: str | None) -> Path:
    got = sha256(file)
    if wanted is None:
        raise UserError(f"{name}: {file} is not pinned; add `sha256: {got}` to its entry (or run `nlilab pin {name}`)")
    if got != wanted:
        raise UserError(
            f"{name}: {file} has sha256 {got}, expected {wanted}; "
            "get the right file, or pin this one if the change is meant"
        )
    return file


def _from_url(name: str, entry: Dataset) -> Path:
    url = str(entry.url)
    target = _download(url)
    if target.is_file():
        return target
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, whole(target) as temporary:
            with temporary.open("wb") as file:
                shutil.copyfileobj(answer, file)
            got, told = temporary.stat().st_size, answer.headers["Content-Length"]
            if told and got < int(told):  # urllib takes a connection that ends early for the end of the file
                raise ValueError(f"it broke off after {got} of {told} bytes")
    except (OSError, HTTPException, ValueError) as error:
        first = f"{name}: cannot download {url} ({error}); check the network and the entry"
        raise UserError(f"{first}\n{_absent(name, entry)}") from error
    return target


def _download(url: str) -> Path:
    return cache() / "downloads" / f"{digest(url)}-{_file_name(url)}"


def _file_name(url: str) -> str:
    """The name of a URL's file; what a signature adds to it is no part of it."""
    return Path(urlsplit(url).path).name


def _from_hub(name: str, entry: Dataset) -> Path:
    if entry.revision is None:
        raise UserError(f"{name}: {entry.hub} is not pinned; run `nlilab pin {name}` to write its `revision`")
    from huggingface_hub import hf_hub_download

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of every retry, twice
    hub, file = str(entry.hub), str(entry.file)
    try:
        return Path(hf_hub_download(hub, file, revision=entry.revision, repo_type="dataset", etag_timeout=TIMEOUT_S))
    except Exception as error:  # the hub's client raises a dozen kinds
        raise UserError(f"{_hub_error(name, entry, error)}\n{_absent(name, entry)}") from error


def _revision(name: str, entry: Dataset) -> dict[str, str]:
    from huggingface_hub import HfApi

    try:
        return {"revision": str(HfApi().dataset_info(str(entry.hub), timeout=TIMEOUT_S).sha)}
    except Exception as error:  # the hub's client raises a dozen kinds
        raise UserError(_hub_error(name, entry, error)) from error


def _hub_error(name: str, entry: Dataset, error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"{name}: the hub gave no {entry.hub} (file {entry.file}, revision {entry.revision}): {first}; "
        "check the network and the entry"
    )


def _absent(name: str, entry: Dataset) -> str:
    """All files that this run wants and that are not here, a line each, so that they can be brought at once."""
    wanted = {name: entry}
    top = read_yaml(PARAMS) if PARAMS.is_file() else {}
    for other in [*(top.get("datasets") or []), *(top.get("suites") or [])]:
        with suppress(UserError):  # an unknown or broken entry says so when its turn comes
            wanted.setdefault(other, conf_entry("datasets", other, Dataset))
    lines = [_line(other, one) for other, one in wanted.items() if not _here(other, one)]
    return "\n".join(
        [
            f"Not here are these files of the run. Put them into a folder under these names, and name it by {FOLDER} "
            f"or fetch.folder (now: {folder() or 'none'}):",
            *lines,
        ]
    )


def _here(name: str, entry: Dataset) -> bool:
    """Whether a file of the entry is on this machine."""
    if entry.path or _local(entry) or _official(name, entry):
        return True
    if entry.url:
        return _download(entry.url).is_file()
    from huggingface_hub import try_to_load_from_cache

    held = try_to_load_from_cache(str(entry.hub), str(entry.file), revision=entry.revision, repo_type="dataset")
    return isinstance(held, str)


def _line(name: str, entry: Dataset) -> str:
    """What may be put into the folder for an entry: the official file, or the local one that the entry knows."""
    at = f"https://huggingface.co/datasets/{entry.hub}/resolve/{entry.revision}/{entry.file}"
    pinned = f" (sha256 {entry.sha256})" if entry.sha256 else ""
    text = f"  {name}: {_official_name(name, entry)}{pinned}, from {at if entry.hub else entry.url}"
    if entry.local:
        part = f", {entry.local.part}" if entry.local.part else ""
        text += f"; or {entry.local.file} (sha256 {entry.local.sha256}), of {entry.source}{part}"
    return text
