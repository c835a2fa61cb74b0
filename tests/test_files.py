"""Files are written whole or not at all, with the same bytes for the same content."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import typer

from nlilab.core import command
from nlilab.core.errors import UserError
from nlilab.core.files import (
    cache,
    read_json,
    read_table,
    sha256,
    tell_strays,
    whole,
    write_json,
    write_table,
    write_text,
)
from nlilab.core.schema import THREE_WAY
from nlilab.model.checkpoint import load_start, save
from nlilab.model.settings import TrainSettings
from nlilab.tasks.reading import Reading


def test_tables_come_back_and_have_the_same_bytes(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["a", "b"], "text": ["ü \u202e", None], "n": [1, 2]})
    write_table(tmp_path / "one.parquet", table)
    write_table(tmp_path / "two.parquet", table.set_index(pd.Index([5, 7])))
    assert sha256(tmp_path / "one.parquet") == sha256(tmp_path / "two.parquet")
    assert read_table(tmp_path / "one.parquet")["n"].tolist() == [1, 2]


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"b": 1, "a": 2})
    assert path.read_text() == '{\n  "a": 2,\n  "b": 1\n}\n'
    with pytest.raises(RuntimeError, match="half way"), whole(path) as temporary:
        temporary.write_text('{"fine": 1')
        raise RuntimeError("half way")
    assert read_json(path) == {"a": 2, "b": 1}
    assert os.listdir(tmp_path) == ["x.json"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB; needs the right to mount."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_clear_line_and_nothing_is_lost(small_disk: Path) -> None:
    write_text(small_disk / "kept.txt", "old")
    with pytest.raises(UserError, match=r"disk full while writing .*kept.txt: nothing half-written was left"):
        write_text(small_disk / "kept.txt", "x" * 200_000)
    assert (small_disk / "kept.txt").read_text() == "old"
    assert os.listdir(small_disk) == ["kept.txt"]


def test_a_model_that_finds_no_room_is_one_clear_line(small_disk: Path, tiny_encoder: Path) -> None:
    settings = TrainSettings(model=str(tiny_encoder), steps=1, learning_rate=0.01)
    model = load_start(settings, Reading(tasks={"nli": list(THREE_WAY)}))
    with pytest.raises(UserError, match=r"disk full while writing .*/model: nothing half-written was left"):
        save(model, small_disk / "model")
    assert not (small_disk / "model").exists()


@pytest.mark.parametrize(("umask", "rights"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_files_have_the_rights_that_umask_leaves(tmp_path: Path, umask: int, rights: int) -> None:
    before = os.umask(umask)
    try:
        write_json(tmp_path / "x.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == rights


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_damaged_table_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.parquet is damaged or no parquet file .*: delete it and run `dvc repro`"):
        read_table(tmp_path / "x.parquet")


def test_a_disk_without_locks_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(UserError, match=r"\.cache/locks cannot be locked \(.*No locks available\)"):
        command._alone(typer.Typer())


def test_missing_binary_and_stray_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="is missing: run `dvc repro`"):
        read_table(tmp_path / "none.parquet")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is not a UTF-8 text file"):
        read_json(tmp_path / "x.json")
    tell_strays(tmp_path, set())
    assert "x.json, which params.yaml does not name; they do not count, and `make prune`" in capsys.readouterr().out


@pytest.mark.parametrize("inside", ["tmpx", "tmpx/sub", "standalone/tmpx"])
@pytest.mark.parametrize("linked", [False, True])
def test_the_cache_of_an_experiment_is_its_projects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str, linked: bool
) -> None:
    """`inside`: where DVC copies the project to; `linked`: .dvc/tmp lies on another disk."""
    project, disk = tmp_path / "project", tmp_path / "disk"
    (project / ".dvc").mkdir(parents=True)
    disk.mkdir()
    if linked:
        (project / ".dvc/tmp").symlink_to(disk)
    copy = project / ".dvc/tmp/exps" / inside.removesuffix("/sub")
    (copy / ".dvc").mkdir(parents=True)
    here = project / ".dvc/tmp/exps" / inside
    here.mkdir(exist_ok=True)
    monkeypatch.delenv("NLILAB_CACHE", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(project))
    monkeypatch.chdir(here)
    own = project / "sub" if inside.endswith("/sub") else project
    assert cache() == own / ".cache"
    monkeypatch.setenv("NLILAB_CACHE", "shared")
    assert cache() == own / "shared"
    monkeypatch.setenv("NLILAB_CACHE", "/disk")
    assert cache() == Path("/disk")


def test_the_cache_of_a_workspace_is_its_own_whatever_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project/.dvc").mkdir(parents=True)
    monkeypatch.delenv("NLILAB_CACHE", raising=False)
    monkeypatch.chdir(tmp_path / "project")
    for root in (tmp_path / "project", tmp_path / "another", tmp_path):
        monkeypatch.setenv("DVC_ROOT", str(root))
        assert cache() == Path(".cache")
