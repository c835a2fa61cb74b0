"""`nlilab plan`: what a comparison can see, from a run that is there or from published variances."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nlilab.cli.main import app
from nlilab.verdict.contrast import Contrast
from nlilab.verdict.planning import Need, planned, supposed
from report_run import lay

LEVEL = 0.05


def said(*options: str) -> str:
    found = CliRunner().invoke(app, ["plan", *options], catch_exceptions=False, env={"COLUMNS": "150"})
    return " ".join(found.output.split())


def test_needs_are_the_least_that_show_an_effect_and_planning_with_them_sees_it() -> None:
    one = Contrast(0.0, seeds=0.0004, seeds_df=3.5, rows=0.00003, rows_df=500)
    found = planned("s", 500, one, 3, 3, (0.03, 0.03, LEVEL))
    assert found.sees == one.detectable(LEVEL) > 0.03 and found.same_within == one.same_within(LEVEL)
    assert found.effect and found.effect.rows == 1 and found.margin and found.margin.seeds >= found.effect.seeds
    enough = planned("s", 500, one, 3, found.effect.seeds, (0.03, 0.03, LEVEL))
    assert enough.sees <= 0.03 < planned("s", 500, one, 3, found.effect.seeds - 1, (0.03, 0.03, LEVEL)).sees
    short = planned("s", 500, Contrast(0.0, 0.0001, 3.5, 0.0004, 500), 3, 3, (0.02, 0.02, LEVEL))
    assert short.effect and short.effect.rows > 1  # rows are what is short
    assert planned("s", 500, one, 3, 3, (0.00001, 0.01, LEVEL)).effect is None


def test_without_a_run_seeds_vary_as_published() -> None:
    assert supposed(10**9, 3).detectable(LEVEL) == pytest.approx(supposed(10**9, 6).with_seeds(6, 3).detectable(LEVEL))
    found = planned("hans", 30_000, supposed(30_000, 10), 10, 10, (0.03, 0.02, LEVEL))
    assert 0.03 < found.sees < 0.035  # science: ten seeds of BERT do not resolve three points on HANS
    assert found.effect == Need(found.effect.seeds, 1) and 10 < found.effect.seeds < 15


def test_the_command_reads_the_last_run_and_plans_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = lay(tmp_path, {"raw": 0.6, "corrected": 0.62}, ["plain", "hans"])
    with_run = said("--no-time", "--effect", "5")
    assert "not in the last run" not in with_run and re.search(r"plain 600 [\d.]+ [\d.]+ [\d.]+ \d+ seeds", with_run)
    (metrics / "comparison.json").unlink()
    assert "not in the last run: plain, hans" in said("--no-time", "--seeds", "10")
    for options, wrong in ((["--seeds", "1"], "--seeds: at least 2"), (["--effect", "-1"], "--effect: points above 0")):
        with pytest.raises(Exception, match=wrong):
            said(*options)
    assert "no arm's table is there to be timed" in said("--effect", "1")
