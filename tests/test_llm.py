"""The language-model client: the real SDKs against real servers on loopback, and a real (tiny) local model."""

import dataclasses
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from loopback import KEY, Loopback
from nlilab.core.errors import UserError
from nlilab.llm.client import Client, Generator, Progress
from nlilab.llm.errors import ErrorKind, ProviderError, retry_after
from nlilab.llm.request import EXCLUDED_FROM_KEY, Finish, Request, Response
from nlilab.llm.store import Store

SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}}


def generator(server: Loopback, provider: str = "openai", **parameters: Any) -> Generator:
    address = server.url if provider == "anthropic" else f"{server.url}/v1"
    return Generator(provider, "model-a", address, parameters)


def ask(server: Loopback, store: Store, *prompts: str, provider: str = "openai", **parameters: Any) -> list[Any]:
    requests = [generator(server, provider, **parameters).request([("user", prompt)]) for prompt in prompts]
    return Client(store).run(requests)


def evidence(store: Store, column: str) -> list[Any]:
    with sqlite3.connect(store.path) as connection:
        return [row[0] for row in connection.execute(f"SELECT {column} FROM answers ORDER BY id")]


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_an_answer_is_bought_once_and_then_served_from_the_store(server: Loopback, store: Store, provider: str) -> None:
    asked = generator(server, provider, max_tokens=50, stop=["#"], schema=SCHEMA)
    requests = [asked.request([("system", "be brief"), ("user", text)]) for text in ("one", "two", "one")]
    seen: list[Progress] = []
    first: list[Any] = list(Client(store).run(requests, seen.append))
    assert [answer.text for answer in first] == ["echo: one", "echo: two", "echo: one"]
    assert first[0] == Response(requests[0].key, "echo: one", Finish.STOP, "model-a-20260101", 7, 5)
    assert server.answered == {"one": 1, "two": 1}
    assert seen[-1] == Progress(done=3, total=3, hits=1, bought=2, failed=0)
    body = server.requests[0]
    if provider == "anthropic":
        assert body["system"] == [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]
        assert [m["role"] for m in body["messages"]] == ["user"]
        assert body["stop_sequences"] == ["#"]
        assert body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    else:
        assert [m["role"] for m in body["messages"]] == ["system", "user"] and body["stop"] == ["#"]
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert body["max_tokens"] == 50
    assert Client(store).run(requests, seen.append) == first
    assert len(server.requests) == 2
    assert seen[-1] == Progress(done=3, total=3, hits=3)


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_what_may_pass_is_tried_again_and_each_attempt_is_on_record(
    server: Loopback, store: Store, provider: str
) -> None:
    server.do("529", "500", "cut", "reset")
    [answer] = ask(server, store, "hello", provider=provider)
    assert answer.text == "echo: hello"
    assert len(server.requests) == 5 and server.answered == {"hello": 1}
    assert evidence(store, "error") == ["overloaded", "overloaded", "transport", "transport", None]


def test_attempts_are_bounded_and_the_last_error_stands_in_its_place(server: Loopback, store: Store) -> None:
    server.do("529", "529", "529")
    request = generator(server).request([("user", "hello")])
    [answer] = Client(store, attempts=3).run([request])
    assert isinstance(answer, ProviderError) and answer.kind is ErrorKind.OVERLOADED
    assert len(server.requests) == 3


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_retry_after_is_honoured(server: Loopback, store: Store, provider: str) -> None:
    server.do("429-after", "429")
    [answer] = ask(server, store, "hello", provider=provider)
    assert answer.text == "echo: hello"
    waited = [later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False)]
    assert waited[0] >= 1.0  # what the server asked for; without it the first pause is 0.01 s
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert retry_after({"retry-after": "soon"}) is None


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
@pytest.mark.parametrize(("behaviour", "said"), [("quota", "quota or credit"), ("401", "key was refused")])
def test_a_refused_key_and_a_used_up_quota_stop_the_run_and_lose_nothing(
    server: Loopback, store: Store, provider: str, behaviour: str, said: str
) -> None:
    server.do("ok", "ok", behaviour)
    requests = [generator(server, provider).request([("user", str(number))]) for number in range(9)]
    with pytest.raises(UserError, match=f"{provider}/model-a: .*{said}.* the 2 answers bought") as caught:
        Client(store, concurrency=1).run(requests)
    assert KEY not in str(caught.value)
    assert len(server.requests) == 3  # nothing was sent after it
    assert len(store.find(request.key for request in requests)) == 2


def test_answers_under_way_when_the_run_stops_are_kept(server: Loopback, store: Store) -> None:
    server.latency = 0.3
    server.do("ok", "ok", "ok", "credit")
    with pytest.raises(UserError, match="credit"):
        ask(server, store, *map(str, range(4)), provider="anthropic")
    assert sorted(evidence(store, "coalesce(text, error)")) == ["echo: 0", "echo: 1", "echo: 2", "quota"]


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
@pytest.mark.parametrize(("behaviour", "kind"), [("400", ErrorKind.BAD_REQUEST), ("malformed", ErrorKind.UNPARSEABLE)])
def test_what_cannot_pass_is_not_tried_again(
    server: Loopback, store: Store, provider: str, behaviour: str, kind: ErrorKind
) -> None:
    server.do(behaviour)
    requests = [generator(server, provider).request([("user", text)]) for text in ("bad", "good")]
    answers: list[Any] = list(Client(store, concurrency=1).run(requests))
    bad, good = answers
    assert isinstance(bad, ProviderError) and bad.kind is kind
    assert good.text == "echo: good"
    assert len(server.requests) == 2


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
@pytest.mark.parametrize("behaviour", ["length", "refused", "empty"])
def test_unfinished_answers_are_evidence_and_never_hits(
    server: Loopback, store: Store, provider: str, behaviour: str
) -> None:
    server.do(behaviour)
    [first] = ask(server, store, "hello", provider=provider, max_tokens=5)
    assert first.finish == behaviour
    [second] = ask(server, store, "hello", provider=provider, max_tokens=50)
    assert second.finish is Finish.STOP and len(server.requests) == 2
    assert evidence(store, "finish") == [behaviour, "stop"]


@pytest.mark.parametrize(
    ("reason", "finish"), [("eos_token", "stop"), ("stop_sequence", "stop"), ("model_length", "length")]
)
def test_servers_that_speak_the_protocol_end_in_words_of_their_own(
    server: Loopback, store: Store, reason: str, finish: str
) -> None:
    server.shape = lambda body: body | {"choices": [body["choices"][0] | {"finish_reason": reason}]}
    [answer] = ask(server, store, "hello")
    assert isinstance(answer, Response) and (answer.text, answer.finish) == ("echo: hello", finish)


def test_a_finished_answer_survives_another_max_tokens_unless_it_is_too_long(server: Loopback, store: Store) -> None:
    ask(server, store, "hello", max_tokens=50)
    ask(server, store, "hello", max_tokens=500)
    ask(server, store, "hello", max_tokens=5)  # the answer took 5
    assert len(server.requests) == 1
    ask(server, store, "hello", max_tokens=4)
    assert len(server.requests) == 2


def test_a_slow_server_is_a_timeout(server: Loopback, store: Store) -> None:
    server.do("slow")
    [answer] = Client(store, timeout=0.3).run([generator(server).request([("user", "hello")])])
    assert isinstance(answer, Response) and answer.text == "echo: hello"
    assert evidence(store, "error") == ["timeout", None]


def test_no_server_at_all_stops_the_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlilab.llm.client.FIRST_WAIT", 0.01)
    nobody = Generator("openai", "m", "http://127.0.0.1:9/v1")
    with pytest.raises(UserError, match="16 requests in a row used up their attempts"):
        Client(store).run(nobody.request([("user", str(number))]) for number in range(100))


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_a_server_on_this_machine_is_asked_past_any_proxy(
    server: Loopback, store: Store, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:9")
    [answer] = ask(server, store, "hello", provider=provider)
    assert isinstance(answer, Response) and answer.text == "echo: hello"


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "socks://host:9"), ("ALL_PROXY", "socks5://host:9"), ("SSL_CERT_FILE", "/no/file")],
)
def test_a_proxy_that_cannot_be_used_is_named(
    server: Loopback, store: Store, monkeypatch: pytest.MonkeyPatch, provider: str, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    abroad = Generator(provider, "m", "http://model.example/v1")
    with pytest.raises(UserError, match=f"generator {provider}/m: the proxy .* cannot be used .*unset .*{name}"):
        Client(store).run([abroad.request([("user", "hello")])])


def test_concurrency_is_bounded(server: Loopback, store: Store) -> None:
    server.latency = 0.05
    requests = [generator(server).request([("user", str(number))]) for number in range(24)]
    answers: list[Any] = list(Client(store, concurrency=6).run(requests))
    assert [answer.text for answer in answers] == [f"echo: {number}" for number in range(24)]
    assert 1 < server.most_at_once <= 6


def test_a_missing_key_is_named_before_anything_is_sent(
    server: Loopback, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.delenv("OPENAI_API_KEY")
    fine = generator(server).request([("user", "hello")])
    lacking = generator(server, "anthropic").request([("user", "hello")])
    with pytest.raises(UserError, match=r"ANTHROPIC_API_KEY is not set: generator anthropic/model-a"):
        Client(store).run([fine, lacking])
    with pytest.raises(UserError, match=r"OPENAI_API_KEY is not set: generator openai/model-a"):
        Client(store).run([Generator("openai", "model-a").request([("user", "hello")])])
    assert server.requests == []
    [answer] = Client(store).run([fine])
    assert isinstance(answer, Response) and answer.text == "echo: hello"  # a server of one's own needs no key


def test_unknown_names_are_refused_with_the_known_ones(server: Loopback, store: Store) -> None:
    with pytest.raises(UserError, match="unknown provider 'opnai': expected one of anthropic, openai"):
        Generator("opnai", "m")
    with pytest.raises(UserError, match=r"unknown parameter temperature; anthropic takes effort, max_tokens"):
        ask(server, store, "hello", provider="anthropic", temperature=0.5)
    assert server.requests == []


def test_no_file_and_no_message_holds_the_key(
    server: Loopback, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for provider in ("anthropic", "openai"):
        server.do("400", "malformed", "ok", "500", "ok")  # this 400 quotes the key back
        answers = ask(server, store, "a", "b", "c", "d", provider=provider)
        assert KEY not in str(answers)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert store.path in files
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in caplog.text


FLIPS: dict[str, Any] = {
    "provider": "anthropic",
    "model": "other",
    "messages": (("user", "other"),),
    "base_url": "http://other",
    "sample": 1,
    "meta": {"label": "other"},
    "parameters.temperature": 0.5,
    "parameters.max_tokens": 9,
    "parameters.max_completion_tokens": 9,
    "parameters.seed": 3,
    "parameters.extra_body": {"top_k": 5},
    "parameters.schema": {"type": "string"},
}


def test_every_field_is_part_of_the_key_but_those_in_the_table() -> None:
    base = Request("openai", "m", (("user", "hello"),))
    fields = {field.name for field in dataclasses.fields(Request)} - {"parameters"}
    assert fields == {name for name in FLIPS if "." not in name}
    assert set(EXCLUDED_FROM_KEY) <= set(FLIPS)
    for name, value in FLIPS.items():
        change = {"parameters": {name.partition(".")[2]: value}} if "." in name else {name: value}
        changed = dataclasses.replace(base, **change).key != base.key
        assert changed == (name not in EXCLUDED_FROM_KEY), name


@pytest.mark.parametrize("damage", ["header", "middle"])
def test_a_damaged_store_is_set_aside_and_a_new_one_begun(
    server: Loopback, store: Store, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    ask(server, store, *map(str, range(50)))
    store.close()
    held = bytearray(store.path.read_bytes())
    start = 0 if damage == "header" else 4096
    held[start : start + 8192 * 4] = b"\x5a" * (8192 * 4)
    store.path.write_bytes(held)
    reopened = Store(store.path)
    answers = ask(server, reopened, *map(str, range(50)))
    assert [answer.text for answer in answers] == [f"echo: {number}" for number in range(50)]
    assert len(server.requests) == 100
    assert "is damaged" in caplog.text and Path(f"{store.path}.damaged-1").read_bytes() == bytes(held)
    ask(server, reopened, *map(str, range(50)))
    assert len(server.requests) == 100
    reopened.close()


BUYER = """
import sys
from pathlib import Path
from nlilab.llm.client import Client, Generator
from nlilab.llm.store import Store
path, url, first, last = sys.argv[1:]
asked = Generator("openai", "model-a", url)
requests = [asked.request([("user", str(number))]) for number in range(int(first), int(last))]
answers = Client(Store(Path(path)), concurrency=8).run(requests, lambda p: print(p.done, flush=True))
assert [a.text for a in answers] == [f"echo: {number}" for number in range(int(first), int(last))]
"""


def buyer(server: Loopback, store: Store, first: int, last: int) -> subprocess.Popen[str]:
    source = Path(__file__).resolve().parent.parent / "src"
    command = [sys.executable, "-c", BUYER, str(store.path), f"{server.url}/v1", str(first), str(last)]
    environment = os.environ | {"PYTHONPATH": str(source)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_kill_9_loses_at_most_what_was_under_way(server: Loopback, store: Store) -> None:
    server.latency = 0.03
    process = buyer(server, store, 0, 200)
    assert process.stdout is not None
    counted = next(done for line in process.stdout if (done := int(line)) >= 60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    time.sleep(0.1)  # what was under way reaches the server's books
    assert sum(server.answered.values()) < 200
    kept = len(evidence(store, "key"))
    assert kept >= counted
    resumed = buyer(server, store, 0, 200)
    resumed.communicate()
    assert resumed.returncode == 0
    assert len(server.answered) == 200
    bought_twice = sum(server.answered.values()) - 200
    assert bought_twice <= 8 + 8 // 4  # the calls in flight at the kill, and a quarter that was on its way to the disk
    assert len(evidence(store, "key")) == len(set(evidence(store, "key"))) == 200


def test_two_processes_share_one_store(server: Loopback, store: Store) -> None:
    processes = [buyer(server, store, 0, 120), buyer(server, store, 80, 200)]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0]
    assert len(evidence(store, "key")) == len(set(evidence(store, "key"))) == 200
    assert set(server.answered.values()) == {1}
    ask(server, store, *map(str, range(200)))
    assert len(server.requests) == 200


def test_a_half_emoji_is_stored_and_served_alike(store: Store, server: Loopback) -> None:
    server.do("half")
    [first] = ask(server, store, "a cut one: \ud83d")
    assert first.text == "half ?"
    assert ask(server, store, "a cut one: \ud83d") == [first]
    assert len(server.requests) == 1


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer GPT-2 with random weights and a word tokenizer, as save_pretrained writes it."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    words = ["<end>", "<unk>", *(f"word{number}" for number in range(60)), "a", "b", "c", "d", "e"]
    base = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    base.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "initializer_range": 0.5}
    config = GPT2Config(vocab_size=len(words), bos_token_id=0, eos_token_id=0, **sizes)
    folder = tmp_path_factory.mktemp("tiny")
    GPT2LMHeadModel(config).save_pretrained(folder)
    special = {"eos_token": "<end>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=base, **special)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(folder)
    return folder


def local(folder: Path, tmp_path: Path, prompts: list[str], **parameters: Any) -> list[Any]:
    """The answers of a new client with an empty store."""
    path = tmp_path / f"{time.monotonic_ns()}.sqlite"
    asked = Generator("transformers", str(folder), None, parameters)
    return Client(Store(path)).run(asked.request([("user", prompt)]) for prompt in prompts)


PROMPTS = ["a b c", "d", "e d c b a a b", "b b", "c a"]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_local_model_answers_alike_in_every_batch(tiny: Path, tmp_path: Path, temperature: float) -> None:
    settings = {"max_tokens": 12, "temperature": temperature}
    together = local(tiny, tmp_path, PROMPTS, **settings)
    assert together == local(tiny, tmp_path, PROMPTS[::-1], **settings)[::-1]
    assert together == [answer for prompt in PROMPTS for answer in local(tiny, tmp_path, [prompt], **settings)]
    assert len({answer.text for answer in together}) > 1
    assert all(answer.finish is not Finish.LENGTH or answer.output_tokens == 12 for answer in together)


def test_a_local_model_samples_by_the_key_and_stops_where_it_is_told(tiny: Path, tmp_path: Path) -> None:
    asked = Generator("transformers", str(tiny), None, {"max_tokens": 12, "temperature": 1.5})
    samples = [asked.request([("user", "a b")], sample=sample) for sample in range(8)]
    sampled = Client(Store(tmp_path / "s.sqlite")).run(samples)
    assert len({answer.text for answer in sampled if isinstance(answer, Response)}) > 4
    [whole] = local(tiny, tmp_path, ["a b c"], max_tokens=12)
    assert whole.finish is Finish.LENGTH and whole.output_tokens == 12 and whole.input_tokens == 3
    stop = whole.text.split()[5]
    cut, _ = local(tiny, tmp_path, ["a b c", "d"], max_tokens=12, stop=[stop])
    assert cut.text == whole.text[: whole.text.index(stop)] and cut.finish is Finish.STOP
    assert [cut] == local(tiny, tmp_path, ["a b c"], max_tokens=12, stop=[stop])
    assert cut.output_tokens < 12
    [long] = local(tiny, tmp_path, ["a " * 60], max_tokens=12)
    assert isinstance(long, ProviderError) and long.kind is ErrorKind.BAD_REQUEST
    with pytest.raises(UserError, match="its tokens do not join up to JSON"):
        local(tiny, tmp_path, ["a"], schema=SCHEMA, max_tokens=12)


def test_an_answer_ends_where_the_tokenizer_says_too(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    [whole] = local(tiny, tmp_path, ["a b c"], max_tokens=12)
    turn = tmp_path / "turn"
    shutil.copytree(tiny, turn)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.eos_token = whole.text.split()[5]  # the end of a turn, which generation_config.json does not know
    tokenizer.save_pretrained(turn)
    [ended] = local(turn, tmp_path, ["a b c"], max_tokens=12)
    assert ended.finish is Finish.STOP and whole.text.startswith(f"{ended.text} {tokenizer.eos_token}")


def test_a_local_seq2seq_model_and_a_chat_template(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, BartConfig, BartForConditionalGeneration

    sizes: dict[str, Any] = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
    sizes |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    special: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0, "decoder_start_token_id": 0}
    config = BartConfig(vocab_size=67, max_position_embeddings=64, forced_eos_token_id=None, **sizes, **special)
    config.init_std = 0.5
    BartForConditionalGeneration(config).save_pretrained(tmp_path / "bart")
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }} {% endfor %}e e e"
    tokenizer.save_pretrained(tmp_path / "bart")
    answers = local(tmp_path / "bart", tmp_path, ["a b", "c"], max_tokens=6)
    assert [answer.input_tokens for answer in answers] == [5, 4]  # the template's three and the prompt's
    assert answers[::-1] == local(tmp_path / "bart", tmp_path, ["c", "a b"], max_tokens=6)


TURNS = "{{% for m in messages %}}{}{{{{ m.content }}}} {{% endfor %}}"
REFUSES = "{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
OMITS = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content | trim }} {% endif %}{% endfor %}"


@pytest.mark.parametrize("template", [TURNS.format(REFUSES), OMITS, TURNS.format("")])
def test_what_the_system_says_reaches_a_model_whose_template_knows_no_such_role(
    tiny: Path, tmp_path: Path, template: str
) -> None:
    from transformers import AutoTokenizer

    folder = tmp_path / "chat"
    shutil.copytree(tiny, folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    asked = Generator("transformers", str(folder), None, {"max_tokens": 6})
    turns = [[("system", "a b c"), ("user", "d e")], [("user", "a b c d e")], [("system", "a"), ("user", "e")]]
    first, second, third = Client(Store(tmp_path / "s.sqlite")).run(asked.request(messages) for messages in turns)
    assert isinstance(first, Response) and isinstance(second, Response) and isinstance(third, Response)
    assert (first.text, first.input_tokens) == (second.text, 5) and third.input_tokens == 2


def test_a_template_that_refuses_more_than_the_system_is_a_bad_request(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = tmp_path / "chat"
    shutil.copytree(tiny, folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.chat_template = "{{ raise_exception('not this one') }}"
    tokenizer.save_pretrained(folder)
    [answer] = local(folder, tmp_path, ["a"], max_tokens=6)
    assert isinstance(answer, ProviderError) and "the chat template refuses it: not this one" in answer.message


def test_a_server_that_knows_no_system_role_gets_one_turn(server: Loopback, store: Store) -> None:
    asked = generator(server, max_tokens=50).request([("system", "be brief"), ("user", "hello")])
    server.do("no-system")
    [answer] = Client(store).run([asked])
    assert isinstance(answer, Response) and answer.text == "echo: be brief\n\nhello" and answer.key == asked.key
    server.do("no-system", "ok")
    [refused] = Client(store).run([generator(server).request([("user", "alone")])])
    assert isinstance(refused, ProviderError) and refused.kind is ErrorKind.BAD_REQUEST


def test_a_model_that_cannot_be_loaded_is_one_line_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"cannot be loaded .*; expected a folder that save_pretrained wrote") as caught:
        local(tmp_path / "empty", tmp_path, ["a"])
    assert "\n" not in str(caught.value)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="no such folder, not in the hub's local cache") as caught:
        local(Path("nobody/nothing"), tmp_path, ["a"])
    assert "\n" not in str(caught.value)


def test_the_store_says_what_was_asked_and_for_what(server: Loopback, store: Store) -> None:
    request = generator(server, temperature=0).request([("user", "hello")], sample=2, meta={"step": "seeds"})
    Client(store).run([request])
    assert json.loads(evidence(store, "request")[0]) == {
        "messages": [["user", "hello"]],
        "parameters": {"temperature": 0},
        "sample": 2,
    }
    assert json.loads(evidence(store, "meta")[0]) == {"step": "seeds"}
