"""A generator's parameters are its provider's own: under either name of the limit, and whatever else a server takes."""

from typing import Any

import pytest

from loopback import Loopback
from nlilab.core.errors import UserError
from nlilab.core.files import parse_yaml
from nlilab.core.params import validate
from nlilab.llm.client import Client, Generator
from nlilab.llm.money import Price, Tariff
from nlilab.llm.request import Request
from nlilab.llm.store import Store
from nlilab.llm.writer import GeneratorEntry
from test_faults import address, texts

BOTH = pytest.mark.parametrize("provider", ["anthropic", "openai"])
WAYS = pytest.mark.parametrize("transport", ["online", "batch"])
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def asked(server: Loopback, provider: str = "openai", **parameters: Any) -> Request:
    return Generator(provider, "model-a", address(server, provider), parameters).request([("user", "hello")])


def sent(server: Loopback, store: Store, request: Request, transport: Any = "online") -> dict[str, Any]:
    """What went over the wire for the request, which is answered."""
    assert texts(list(Client(store, transport=transport, batch_wait=30.0).run([request]))) == ["echo: hello"]
    if transport == "online":
        return dict(server.requests[-1])
    body = Client(store).provider(request).line(request)  # type: ignore[attr-defined]
    return dict(body["params" if request.provider == "anthropic" else "body"])


@WAYS
@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ({"max_tokens": 9}, {"max_tokens": 9}),
        ({"max_completion_tokens": 9}, {"max_completion_tokens": 9}),
        ({"max_tokens": 9, "max_completion_tokens": 8}, {"max_tokens": 9, "max_completion_tokens": 8}),
        ({"extra_body": {"max_completion_tokens": 9}}, {"max_completion_tokens": 9}),
        ({"max_tokens": None}, {}),
    ],
)
def test_the_limit_travels_under_the_name_that_it_was_given(
    server: Loopback, store: Store, transport: str, given: dict[str, Any], limits: dict[str, int]
) -> None:
    request = asked(server, **given)
    body = sent(server, store, request, transport)
    assert {name: value for name, value in body.items() if name.startswith("max_")} == limits
    assert request.max_tokens == (max(limits.values()) if limits else None)
    assert "extra_body" not in body


def test_openai_itself_knows_the_new_name_alone(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    for given in ({"max_tokens": 9}, {"max_completion_tokens": 9}):
        request = Generator("openai", "gpt", None, given).request([("user", "hello")])
        body = Client(store).provider(request).line(request)["body"]  # type: ignore[attr-defined]
        assert body["max_completion_tokens"] == 9 and "max_tokens" not in body


def test_an_answer_is_kept_whatever_its_limit_is_called(server: Loopback, store: Store) -> None:
    requests = [asked(server, **limit) for limit in ({"max_tokens": 9}, {"max_completion_tokens": 90}, {})]
    assert len({request.key for request in requests}) == 1
    for request in requests:
        sent(server, store, request)
    assert len(server.requests) == 1
    Client(store).run([asked(server, max_completion_tokens=4)])  # the answer took 5
    assert len(server.requests) == 2


@pytest.mark.parametrize("given", [{"max_completion_tokens": 50}, {"extra_body": {"max_tokens": 50}}])
def test_the_budget_reads_the_limit_under_any_name(server: Loopback, store: Store, given: dict[str, Any]) -> None:
    request = asked(server, **given)
    price = Tariff(Price(input=0.0, output=1000.0))
    assert price.most(request) == pytest.approx(0.05)
    for budget, said in ((0.04, "can cost 0.0500"), (1.0, "")):
        client = Client(store, budget=budget)
        client.tariffs[request.identity] = price
        if said:
            with pytest.raises(UserError, match=said):
                client.run([request])
        else:
            assert texts(client.run([request])) == ["echo: hello"]
    client = Client(store, budget=1.0)
    client.tariffs[request.identity] = price
    with pytest.raises(UserError, match=r"set max_tokens \(or max_completion_tokens\)"):
        client.run([asked(server, temperature=0.3)])


FURTHER: dict[str, dict[str, Any]] = {
    "openai": {"logit_bias": {"5": -100}, "verbosity": "low", "tools": [TOOL], "user": "me", "store": False},
    "anthropic": {"stop_sequences": ["#"], "metadata": {"user_id": "me"}, "tool_choice": {"type": "none"}},
}


@BOTH
@WAYS
def test_what_else_the_sdk_or_the_server_takes_is_sent(
    server: Loopback, store: Store, provider: str, transport: str
) -> None:
    given = FURTHER[provider]
    own = {"top_k": 20, "chat_template_kwargs": {"enable_thinking": False}}
    request = asked(server, provider, max_tokens=64, extra_body=own, **given)
    body = sent(server, store, request, transport)
    assert {name: body[name] for name in (*given, *own)} == given | own
    assert request.key != asked(server, provider, max_tokens=64, **given).key


@BOTH
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_tokns": 5}, "unknown parameter max_tokns; .* takes .*max_tokens.* also take .*extra_body"),
        ({"stream": True}, "unknown parameter stream"),
        ({"extra_headers": {"Authorization": "x"}}, "unknown parameter extra_headers"),
        ({"extra_body": {"model": "other", "stream": True}}, "extra_body: model, stream cannot be set there"),
        ({"extra_body": "top_k"}, "extra_body: got 'top_k', expected names with values"),
        ({"max_tokens": "many"}, "max_tokens: got 'many', expected a number of tokens"),
        ({"max_tokens": 0}, "max_tokens: got 0, expected"),
        ({"extra_body": {"max_completion_tokens": 2.5}}, "max_completion_tokens: got 2.5, expected"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    server: Loopback, store: Store, provider: str, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=f"generator {provider}/model-a: {said}"):
        Client(store).run([asked(server, provider, **given)])
    assert server.requests == []


def test_keys_are_what_they_were() -> None:
    request = Generator("openai", "m", "http://h/v1/", {"max_tokens": 5, "temperature": 1.0, "stop": ["#"]}).request(
        [("system", "s"), ("user", "u")], sample=3
    )
    assert request.key == "fbddb3478b484b51c39ceaff0e413daee3572fed4978810e9e30b03772d24116"


def test_a_number_that_yaml_takes_for_a_text_is_named() -> None:
    text = "{provider: openai, model: m, parameters: {temperature: 1e-1}}"
    with pytest.raises(UserError, match=r"parameters.temperature: 1e-1 is a text in YAML.*: write 0\.1"):
        validate(parse_yaml(text, "toy"), GeneratorEntry, "toy")
