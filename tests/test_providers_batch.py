"""The two providers' batch side: the real SDKs against a real server, from the first line sent to the last result."""

import asyncio
import socket
import traceback
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from loopback import KEY, Loopback
from nlilab.llm.batch import BatchProvider, BatchState, Outcome
from nlilab.llm.errors import ErrorKind, ProviderError
from nlilab.llm.providers.anthropic import Anthropic
from nlilab.llm.providers.openai import OpenAI
from nlilab.llm.request import Finish, Request, Response

CREATION = "POST *batches"
BOTH = pytest.mark.parametrize("kind", ["anthropic", "openai"])

Use = Callable[[Any], Coroutine[Any, Any, Any]]


@pytest.fixture(autouse=True)
def batches_end_at_once(server: Loopback) -> None:
    server.batch_looks = 0


class Desk:
    """Providers that stay for the whole of a test: an SDK's client takes a fifth of a second to make."""

    def __init__(self, runner: asyncio.Runner, address: str) -> None:
        self.runner = runner
        self.address = address
        self.providers: dict[tuple[str, ...], Any] = {}

    def provider(self, kind: str, model: str = "model-a", address: str = "") -> Any:
        address = address or self.address
        if (kind, model, address) not in self.providers:
            made = Anthropic(model, address) if kind == "anthropic" else OpenAI(model, f"{address}/v1")
            self.providers[kind, model, address] = made
        return self.providers[kind, model, address]

    def ran(self, kind: str, use: Use, **which: str) -> Any:
        """What `use` makes of the provider."""
        return self.runner.run(use(self.provider(kind, **which)))

    def failed(self, kind: str, use: Use, **which: str) -> ProviderError:
        """The error that `use` ends with; its traceback does not hold the key."""
        with pytest.raises(ProviderError) as caught:
            self.ran(kind, use, **which)
        assert KEY not in "".join(traceback.format_exception(caught.value))
        return caught.value


@pytest.fixture
def desk(server: Loopback) -> Iterator[Desk]:
    with asyncio.Runner() as runner:
        made = Desk(runner, server.url)
        yield made
        for provider in made.providers.values():
            runner.run(provider.close())


def asked(kind: str, *prompts: str, **parameters: Any) -> list[Request]:
    system = ("system", "be brief")
    return [Request(kind, "model-a", (system, ("user", prompt)), None, parameters) for prompt in prompts]


def submitting(kind: str, *prompts: str, token: str = "t0") -> Use:
    return lambda provider: provider.submit(asked(kind, *prompts), token)


async def results(provider: BatchProvider, name: str) -> dict[str, Outcome]:
    return {key: outcome async for key, outcome in provider.results(name)}


def through(requests: list[Request]) -> Use:
    """Submit, see it ended, read all results."""

    async def use(provider: BatchProvider) -> dict[str, Outcome]:
        name = await provider.submit(requests, "t0")
        state = await provider.state(name)
        assert state.ended and state.failed is None
        return await results(provider, name)

    return use


@BOTH
def test_every_outcome_comes_back_under_its_key_in_whatever_order(server: Loopback, desk: Desk, kind: str) -> None:
    server.endings = {"refuse": "refused", "long": "length", "nothing": "empty"}
    server.batch_expire = {"late"}
    server.batch_errors = {"broken": "500", "wrong": "400", "poor": "quota", "busy": "529", "locked": "401"}
    fine = [f"line\u2028{number}" for number in range(6)]  # U+2028 ends a line for str.splitlines, but not in JSON
    requests = asked(kind, *fine, *server.endings, "late", *server.batch_errors, max_tokens=50)
    found = desk.ran(kind, through(requests))
    assert list(found) != [request.key for request in requests]
    outcomes = {request.messages[-1][1]: found.pop(request.key) for request in requests}
    assert found == {}
    for prompt, request in zip(fine, requests, strict=False):
        assert outcomes[prompt] == Response(request.key, f"echo: {prompt}", Finish.STOP, "model-a-20260101", 7, 5)
    assert {prompt: outcomes[prompt].finish for prompt in server.endings} == server.endings
    assert outcomes["late"] is None
    errors = {prompt: outcomes[prompt] for prompt in server.batch_errors}
    assert {prompt: error.kind for prompt, error in errors.items()} == {
        "broken": ErrorKind.OVERLOADED,
        "wrong": ErrorKind.BAD_REQUEST,
        "poor": ErrorKind.QUOTA,
        "busy": ErrorKind.OVERLOADED,
        "locked": ErrorKind.AUTH,
    }
    assert not any(error.charged for error in errors.values())
    assert KEY not in str(errors) and "[key]" in str(errors["wrong"])
    assert server.answered == dict.fromkeys([*fine, *server.endings], 1)


@BOTH
def test_a_batch_is_seen_under_way_then_ended_and_listed_newest_first(server: Loopback, desk: Desk, kind: str) -> None:
    server.batch_looks = 1
    server.batch_expire = {"late"}

    async def use(provider: BatchProvider) -> list[BatchState]:
        first = await provider.submit(asked(kind, "a", "b", "late"), "t1")
        await provider.submit(asked(kind, "c"), "t2")
        return [await provider.state(first), await provider.state(first), *await provider.recent()]

    under_way, ended, *recent = desk.ran(kind, use)
    names = [batch.id for batch in server.batches]
    counted, token = (3, None) if kind == "anthropic" else (2, "t1")  # OpenAI counts no expired call
    assert under_way == BatchState(names[0], False, 3, 0, token)
    assert ended == BatchState(names[0], True, 3, counted, token)
    assert [state.name for state in recent] == names[::-1]
    server.batches[0].metadata.clear()  # as if it were somebody else's: never to be taken for one of ours
    assert desk.ran(kind, lambda provider: provider.recent())[1].token == (None if kind == "anthropic" else "")


@BOTH
def test_what_a_batch_sends_is_what_goes_online(server: Loopback, desk: Desk, kind: str) -> None:
    [request] = asked(kind, "hello", max_tokens=50, stop=["#"], schema={"type": "object"})
    desk.ran(kind, lambda provider: provider.answer([request]))
    line = desk.provider(kind).line(request)
    assert line["custom_id"] == request.key
    assert line["params" if kind == "anthropic" else "body"] == server.requests[0]
    assert desk.ran(kind, through([request])) == {request.key: desk.ran(kind, answering(request))}
    if kind == "anthropic":  # the part that all requests of a step share is marked for the prompt cache
        block = {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}
        assert server.requests[0]["system"] == [block]


def answering(request: Request) -> Use:
    async def use(provider: Any) -> Any:
        return (await provider.answer([request]))[0]

    return use


@BOTH
def test_cached_tokens_are_counted_within_the_input(server: Loopback, desk: Desk, kind: str) -> None:
    server.cached = (4, 2)
    [request] = asked(kind, "hello")
    [batched] = desk.ran(kind, through([request])).values()
    for answer in (batched, desk.ran(kind, answering(request))):
        counted = (answer.input_tokens, answer.output_tokens, answer.cache_read_tokens, answer.cache_write_tokens)
        assert counted == (7, 5, 4, 2 if kind == "anthropic" else 0)


@pytest.mark.parametrize(
    ("code", "meant"),
    [
        ("insufficient_quota", ErrorKind.QUOTA),
        ("billing_hard_limit_reached", ErrorKind.QUOTA),
        ("token_limit_exceeded", ErrorKind.RATE_LIMITED),
        ("invalid_json_line", ErrorKind.BAD_REQUEST),
    ],
)
def test_openai_may_refuse_a_batch_as_a_whole(server: Loopback, desk: Desk, code: str, meant: ErrorKind) -> None:
    server.batch_fail = code

    async def use(provider: BatchProvider) -> BatchState:
        name = await provider.submit(asked("openai", "a"), "t0")
        assert await results(provider, name) == {}
        return await provider.state(name)

    state = desk.ran("openai", use)
    assert state.ended and state.failed.kind is meant and code in state.failed.message
    assert not state.failed.charged and server.answered == {}


@BOTH
def test_a_batch_whose_creation_was_not_answered_is_found_again(server: Loopback, desk: Desk, kind: str) -> None:
    server.do("create-then-reset")
    error = desk.failed(kind, submitting(kind, "a", "b", token="lost"))
    assert error.kind is ErrorKind.TRANSPORT and error.charged
    server.do("malformed", on=CREATION)
    error = desk.failed(kind, submitting(kind, "c", token="garbled"))
    assert error.kind is ErrorKind.UNPARSEABLE and error.charged
    states = desk.ran(kind, lambda provider: provider.recent())
    assert [state.total for state in states] == [1, 2]
    assert [state.token for state in states] == ([None, None] if kind == "anthropic" else ["garbled", "lost"])
    assert server.answered == {"a": 1, "b": 1, "c": 1}


@BOTH
def test_a_creation_that_was_refused_is_not_charged(server: Loopback, desk: Desk, kind: str) -> None:
    for behaviour, meant in {"credit": ErrorKind.QUOTA, "401": ErrorKind.AUTH, "500": ErrorKind.OVERLOADED}.items():
        server.do(behaviour, on=CREATION)
        error = desk.failed(kind, submitting(kind, "a"))
        assert error.kind is meant and not error.charged
    assert server.batches == []


def test_an_upload_that_broke_off_is_no_batch(server: Loopback, desk: Desk) -> None:
    server.do("reset", on="POST *files")
    error = desk.failed("openai", submitting("openai", "a"))
    assert error.kind is ErrorKind.TRANSPORT and not error.charged
    assert server.batches == []


@BOTH
def test_only_what_may_have_been_worked_on_is_charged(server: Loopback, desk: Desk, kind: str) -> None:
    [request] = asked(kind, "hello")
    charged = {"reset": True, "cut": True, "malformed": True, "429": False, "500": False, "400": False, "401": False}
    for behaviour, expected in charged.items():
        server.do(behaviour)
        error = desk.ran(kind, answering(request))
        assert isinstance(error, ProviderError) and error.charged is expected and KEY not in str(error)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    error = desk.ran(kind, answering(request), address=nobody)
    assert error.kind is ErrorKind.TRANSPORT and not error.charged
    error = desk.failed(kind, submitting(kind, "a"), address=nobody)
    assert error.kind is ErrorKind.TRANSPORT and not error.charged


@BOTH
def test_a_server_that_falls_silent_is_a_timeout(
    server: Loopback, desk: Desk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"nlilab.llm.providers.{kind}.SILENCE_SECONDS", 0.2)
    monkeypatch.setattr("nlilab.llm.providers.sdk.SILENCE_SECONDS", 0.2)
    server.do("slow", on=CREATION)
    error = desk.failed(kind, submitting(kind, "a"))
    assert error.kind is ErrorKind.TIMEOUT and error.charged and "no answer within 0.2 s" in error.message


@BOTH
def test_every_look_at_a_batch_fails_as_a_call_does(server: Loopback, desk: Desk, kind: str) -> None:
    name = desk.ran(kind, submitting(kind, "a"))
    looks: list[Use] = [lambda p: p.state(name), lambda p: p.recent(), lambda p: results(p, name)]
    for look in looks:
        server.do("429-after", "quota", "401", "cut")
        errors = [desk.failed(kind, look) for _ in range(4)]
        kinds = [ErrorKind.RATE_LIMITED, ErrorKind.QUOTA, ErrorKind.AUTH, ErrorKind.TRANSPORT]
        assert [error.kind for error in errors] == kinds and errors[0].retry_after == 1.0
        assert not any(error.charged for error in errors)  # a look costs nothing
    server.do("ok", "cut")  # the state, which tells where the results are, then these
    assert desk.failed(kind, looks[2]).kind is ErrorKind.TRANSPORT
    assert desk.failed(kind, lambda provider: provider.state("no-such")).kind is ErrorKind.BAD_REQUEST
    server.batch_looks = 99
    if kind == "anthropic":
        assert "in_progress" in desk.failed(kind, looks[2]).message


def good(kind: str, key: str, **changes: Any) -> dict[str, Any]:
    """A line of a results file as the provider's console gives it."""
    if kind == "anthropic":
        content = [{"type": "thinking", "thinking": "", "signature": ""}, {"type": "text", "text": "yes"}]
        usage = {"input_tokens": 1, "output_tokens": 2}
        message = {"type": "message", "id": "m", "role": "assistant", "model": "m", "content": content, "usage": usage}
        message |= {"stop_reason": "end_turn", "service": "new"} | changes
        return {"custom_id": key, "result": {"type": "succeeded", "message": message}}
    choices = [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}]
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    body = {"id": "c", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage}
    body |= {"service_tier": "new"} | changes
    return {"id": "1", "custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}


@BOTH
def test_a_line_of_a_results_file_is_read_by_itself(desk: Desk, kind: str) -> None:
    provider = desk.provider(kind)
    assert provider.read(good(kind, "k")) == ("k", Response("k", "yes", Finish.STOP, "m", 1, 2))
    broken: list[dict[str, Any]] = [
        {"content": None, "choices": []},
        {"stop_reason": "new", "choices": [{"finish_reason": "new"}]},
    ]
    for changes in broken:
        key, error = provider.read(good(kind, "k", **changes))
        assert key == "k" and isinstance(error, ProviderError) and error.kind is ErrorKind.UNPARSEABLE and error.charged
    for line in ({}, {"custom_id": None}, {"custom_id": ""}, ["custom_id"]):
        with pytest.raises(ProviderError, match="unparseable"):
            provider.read(line)
    other: dict[str, Any] = {"anthropic": {"result": {"type": "canceled"}}, "openai": {"error": gone()}}
    assert provider.read({"custom_id": "k", **other[kind]}) == ("k", None)
    key, error = provider.read({"custom_id": "k"})
    assert key == "k" and isinstance(error, ProviderError) and error.kind is ErrorKind.UNPARSEABLE


def gone(code: str = "batch_cancelled") -> dict[str, str]:
    return {"code": code, "message": "the batch was cancelled"}


def test_errors_without_a_status_get_one(desk: Desk) -> None:
    openai, anthropic = desk.provider("openai"), desk.provider("anthropic")
    for code, meant in {"request_timeout": ErrorKind.TIMEOUT, "new": ErrorKind.BAD_REQUEST}.items():
        error: Any = openai.read({"custom_id": "k", "response": None, "error": gone(code)})[1]
        assert error.kind is meant
    meanings = {"timeout_error": ErrorKind.TIMEOUT, "billing_error": ErrorKind.QUOTA, "new": ErrorKind.OVERLOADED}
    for name, meant in meanings.items():
        told = {"type": "error", "error": {"type": name, "message": "no"}}
        error = anthropic.read({"custom_id": "k", "result": {"type": "errored", "error": told}})[1]
        assert error.kind is meant


@BOTH
def test_a_model_is_known_or_not(server: Loopback, desk: Desk, kind: str) -> None:
    checking: Use = lambda provider: provider.check()  # noqa: E731
    assert desk.ran(kind, checking) is None
    error = desk.failed(kind, checking, model="other")
    assert error.kind is ErrorKind.BAD_REQUEST and "HTTP 404: no such thing here" in error.message
    server.do("404", on="GET */models/*")  # a server that lists its models and retrieves none
    assert desk.ran(kind, checking) is None
    assert server.calls[-1] == "GET /v1/models"
    server.do("401", "malformed")
    assert desk.failed(kind, checking).kind is ErrorKind.AUTH
    assert desk.failed(kind, checking).kind is ErrorKind.UNPARSEABLE
