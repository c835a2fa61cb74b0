"""`nlilab batch import`: what a file of results holds is brought in, line by line, whatever else stands in it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from loopback import KEY
from nlilab.cli.llm import import_file
from nlilab.core.errors import UserError
from nlilab.llm.batch import Log
from nlilab.llm.client import Client, Generator
from nlilab.llm.request import Request
from nlilab.llm.store import Store
from test_faults import texts
from test_providers_batch import good

BOTH = pytest.mark.parametrize("provider", ["anthropic", "openai"])


def said(provider: str, request: Request, text: str, **changes: Any) -> str:
    """A result with this text, in characters as they are."""
    if provider == "anthropic":
        line = good(provider, request.key, content=[{"type": "text", "text": text}], **changes)
    else:
        choices = [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}]
        line = good(provider, request.key, choices=choices, **changes)
    return json.dumps(line, ensure_ascii=False)


@pytest.fixture
def requests(workplace: Path, monkeypatch: pytest.MonkeyPatch, provider: str) -> list[Request]:
    """Six requests that were exported, in a project with one paid generator."""
    monkeypatch.setenv("NLILAB_CACHE", str(workplace / "cache"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    entry = {"provider": provider, "model": "m", "price": {"input": 1.0, "output": 2.0}}
    (workplace / "conf").mkdir()
    (workplace / "conf/generators.yaml").write_text(yaml.safe_dump({"paid": entry}))
    shutil.copy(ROOT / "conf/prices.yaml", workplace / "conf")
    (workplace / "params.yaml").write_text("llm: {}\n")
    asked = [Generator(provider, "m").request([("user", str(number))]) for number in range(6)]
    Log(Store(), (provider, "m", None)).note_exported(asked)
    return asked


def answers(requests: list[Request]) -> list[str]:
    held = Store().find(request.key for request in requests)
    return [held[request.key].text if request.key in held else "" for request in requests]


@BOTH
def test_a_line_that_cannot_be_used_is_counted_and_the_rest_is_imported(
    provider: str, requests: list[Request], capsys: pytest.CaptureFixture[str]
) -> None:
    mark = b"\xef\xbb\xbf"
    lines = [
        mark + said(provider, requests[0], "one\u2028two\x85three").encode(),
        b"",
        b"  \r",
        said(provider, requests[1], "plain").encode() + b"\r",
        mark,
        b'{"response": {}, "result": {}}',
        b'{"custom_id": null}',
        b"[1, 2]",
        b"null",
        b'"text"',
        b"not json",
        b"[" * 200_000,
        b'{"custom_id": "\xff"}',
        mark + said(provider, requests[2], "second file").encode(),
        said(provider, requests[3], "half \ud83d").encode(errors="backslashreplace"),
        json.dumps({"custom_id": requests[4].key}).encode(),
        json.dumps({"custom_id": "stranger \ud83d", **json.loads(said(provider, requests[5], "x"))}).encode(),
        said(provider, requests[5], "cut in the mid")[:-20].encode(),
    ]
    Path("results.jsonl").write_bytes(b"\n".join(lines))
    import_file("paid", Path("results.jsonl"))
    printed = capsys.readouterr().out
    assert answers(requests)[:4] == ["one\u2028two\x85three", "plain", "second file", "half ?"]
    assert answers(requests)[5] == "x"
    assert printed.startswith("6 results: 6 new in the store, 1 failed, 0 expired, 0 of other requests, 9 lines that")
    assert "results.jsonl:6: not a result that names its request (custom_id) (and 4 more)" in printed
    assert "results.jsonl:11: not valid JSON" in printed and "results.jsonl:12: nested too deeply" in printed
    assert "results.jsonl:13: not UTF-8" in printed
    import_file("paid", Path("results.jsonl"))
    assert capsys.readouterr().out.startswith("6 results: 0 new in the store")


@BOTH
def test_an_answer_is_not_lost_to_a_line_that_says_the_same_request_failed(
    provider: str, requests: list[Request]
) -> None:
    failed = json.dumps({"custom_id": requests[0].key})
    yes = [said(provider, requests[number], "yes") for number in range(2)]
    for number, lines in enumerate(([failed, yes[0]], [yes[1]])):
        Path("results.jsonl").write_text("\n".join([*lines, json.dumps({"custom_id": requests[number].key})]))
        import_file("paid", Path("results.jsonl"))
    assert answers(requests)[:2] == ["yes", "yes"]
    for line in (json.dumps({"custom_id": requests[2].key}), said(provider, requests[2], "later")):
        Path("results.jsonl").write_text(line)
        import_file("paid", Path("results.jsonl"))
    assert answers(requests)[2] == "later"


@BOTH
def test_an_imported_answer_that_nobody_counted_costs_its_estimate(provider: str, requests: list[Request]) -> None:
    for number, usage in enumerate((None, {}, {"input_tokens": None, "prompt_tokens": None})):
        Path("results.jsonl").write_text(said(provider, requests[number], "word " * 40, usage=usage))
        import_file("paid", Path("results.jsonl"))
    paid = Store().use(lambda c: c.execute("SELECT dollars, assumed FROM answers").fetchall())
    assert paid == [(pytest.approx(0.5 * (1 * 1.0 + 51 * 2.0) / 1e6), 1)] * 3


@BOTH
def test_a_file_without_any_result_is_refused_in_one_line(provider: str, requests: list[Request]) -> None:
    Path("results.jsonl").write_text("a,b\nc,d\n")
    with pytest.raises(UserError, match=r"no line of it is one of paid's results \(line 1: not valid JSON"):
        import_file("paid", Path("results.jsonl"))
    with pytest.raises(UserError, match="no file absent"):
        import_file("paid", Path("absent"))
    Path("results.jsonl").write_text("\n")
    import_file("paid", Path("results.jsonl"))
    assert texts(Client(Store(), mode="replay").held(requests)) == []  # type: ignore[arg-type]
