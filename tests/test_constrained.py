"""Answers of local models that are held to a JSON schema: tiny models with random weights, causal and seq2seq."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
import xgrammar
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    ByT5Tokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from nlilab.core.errors import UserError
from nlilab.llm.answers import read_fields, read_list
from nlilab.llm.client import Client, Generator
from nlilab.llm.errors import ErrorKind, ProviderError
from nlilab.llm.providers.transformers import Transformers
from nlilab.llm.request import Finish, Request, writable
from nlilab.llm.store import Store
from nlilab.tasks.definition import answer_schema

LABELS = ["entailment", "neutral", "ungültig"]
JUDGED = answer_schema({"why": {"type": "string"}, "label": {"type": "string", "enum": LABELS}})
LISTED = answer_schema({"contexts": {"type": "array", "items": {"type": "string"}}})
LABEL = answer_schema({"label": {"type": "string", "enum": LABELS}})
LETTERS = json.dumps(LABEL, ensure_ascii=False)
SENTENCES = ["A man plays the guitar in the street.", "Nobody is outside.", '{"label": "neutral", "explanation": "a"}']
END, PAD, LANGUAGE = 0, 1, 2
TOKENS = 240


def save(folder: str, network: PreTrainedModel, tokenizer: Tokenizer) -> None:
    network.save_pretrained(folder)
    special: dict[str, Any] = {"eos_token": "<end>", "pad_token": "<pad>", "unk_token": "<unk>"}
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, additional_special_tokens=["<language>"], **special)
    wrapped.save_pretrained(folder)


def causal(words: int) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 256, "initializer_range": 0.1}
    return GPT2LMHeadModel(GPT2Config(vocab_size=words, bos_token_id=END, eos_token_id=END, **sizes))


def seq2seq(words: int, language: int | None) -> BartForConditionalGeneration:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
    sizes |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "init_std": 0.1}
    special: dict[str, Any] = {"bos_token_id": END, "eos_token_id": END, "pad_token_id": PAD}
    special |= {"decoder_start_token_id": END, "forced_eos_token_id": None}
    network = BartForConditionalGeneration(
        BartConfig(vocab_size=words, max_position_embeddings=256, **sizes, **special)
    )
    network.generation_config.forced_bos_token_id = language
    return network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three models with a byte-level tokenizer; their names are relative, so the samples are the same in every run."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<end>", "<pad>", "<language>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    made = tmp_path_factory.mktemp("models")
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        torch.set_num_threads(1)  # more of them are no use to such small models, and slow on a busy machine
        words = tokenizer.get_vocab_size() + 7  # more logits than tokens, as models have that are padded for speed
        save("causal", causal(words), tokenizer)
        save("seq2seq", seq2seq(words, None), tokenizer)
        save("translator", seq2seq(words, LANGUAGE), tokenizer)
        yield made
    torch.set_num_threads(threads)


@pytest.fixture(params=["causal", "seq2seq", "translator"])
def model(request: pytest.FixtureRequest, folder: Path) -> Transformers:
    return Transformers(request.param)


def request(model: Transformers, prompt: str, schema: Any = None, **parameters: Any) -> Request:
    given = {"max_tokens": TOKENS} | parameters | ({} if schema is None else {"schema": schema})
    return Generator("transformers", model.name, None, given).request([("user", prompt)])


def answers(model: Transformers, requests: list[Request]) -> list[Any]:
    return asyncio.run(model.answer(requests))


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


@pytest.mark.parametrize(("schema", "form"), [(JUDGED, r'{"": "", "": ""}'), (LISTED, r'{"": \[(""(, "")*)?\]}')])
def test_every_finished_answer_is_valid_under_its_schema(model: Transformers, schema: Any, form: str) -> None:
    prompts = [f"A man plays {number}" for number in range(48)]
    free = answers(model, [request(model, prompt, temperature=1) for prompt in prompts])
    assert not any(is_json(answer.text) for answer in free)
    held = answers(model, [request(model, prompt, schema, temperature=1) for prompt in prompts])
    whole = [answer.text for answer in held if answer.finish is Finish.STOP]
    assert len(whole) >= 30 and len(set(whole)) > 10
    assert all(answer.output_tokens == TOKENS for answer in held if answer.finish is not Finish.STOP)
    for text in whole:
        value = json.loads(text)
        jsonschema.validate(value, schema)
        assert list(value) == schema["required"]  # in the schema's order
        assert re.fullmatch(form, re.sub(r'"(\\.|[^"\\])*"', '""', text))  # no other white space
        if schema is JUDGED and value["why"].strip():
            assert read_fields(text, ["why", "label"]) == {k: writable(v.strip()) for k, v in value.items()}
        if schema is LISTED and (items := [writable(item.strip()) for item in value["contexts"] if item.strip()]):
            assert read_list(text, "contexts") == items
    if schema is JUDGED:
        assert {json.loads(text)["label"] for text in whole} == set(LABELS)


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"temperature": 1}, {"temperature": 1.3, "top_p": 0.8}])
def test_a_row_does_not_depend_on_its_batch(model: Transformers, settings: dict[str, Any]) -> None:
    schemas = [JUDGED, None, LISTED, LABEL, None, JUDGED, LABEL]
    prompts = ["A man", "Nobody is outside", "x", "the guitar in the street", "outside", "Nobody", "is"]
    asked = [request(model, p, s, max_tokens=40, **settings) for p, s in zip(prompts, schemas, strict=True)]
    together = answers(model, asked)
    assert together == answers(model, asked[::-1])[::-1]
    assert together == [answer for one in asked for answer in answers(model, [one])]
    for answer, schema in zip(together, schemas, strict=True):
        first = schema["required"][0] if schema else "label"
        assert answer.text.startswith(f'{{"{first}": ') == (schema is not None)
    assert json.loads(together[3].text)["label"] in LABELS and together[3].finish is Finish.STOP


def test_an_answer_that_is_cut_says_so(model: Transformers) -> None:
    prompts = ["A man", "Nobody is outside", "x"]
    whole = answers(model, [request(model, prompt, LABEL, temperature=1) for prompt in prompts])
    assert all(is_json(answer.text) and answer.finish is Finish.STOP for answer in whole)
    cut = answers(model, [request(model, prompt, LABEL, temperature=1, max_tokens=4) for prompt in prompts])
    for short, long in zip(cut, whole, strict=True):
        assert short.finish is Finish.LENGTH and short.output_tokens == 4
        assert long.text.startswith(short.text) and not is_json(short.text)


def test_a_stop_string_cuts_rows_at_different_steps(model: Transformers) -> None:
    stop = ['", "label"']
    asked = [request(model, f"outside {number}", JUDGED, temperature=1, stop=stop) for number in range(8)]
    cut = [answer for answer in answers(model, asked) if answer.finish is Finish.STOP]
    assert len({answer.output_tokens for answer in cut}) > 3
    assert all(is_json(answer.text + '"}') for answer in cut)


@pytest.mark.parametrize("wanted", [END, PAD, LANGUAGE])
def test_a_model_that_wants_nothing_but_a_special_token_still_answers(folder: Path, wanted: int) -> None:
    model = Transformers("causal")
    with torch.no_grad():
        pull = torch.zeros(16)
        pull[0] = 100.0
        model._model.transformer.ln_f.bias.copy_(pull)
        model._model.transformer.wte.weight[wanted].copy_(pull)
    [free] = answers(model, [request(model, "A man")])
    assert free.text == ""
    prompts = [f"A man {number}" for number in range(8)]
    held = answers(model, [request(model, prompt, JUDGED, temperature=30) for prompt in prompts])
    whole = [json.loads(answer.text) for answer in held if answer.finish is Finish.STOP]
    assert len(whole) >= 5 and all(value["label"] in LABELS for value in whole)


def test_each_schema_is_compiled_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    compile_schema = xgrammar.GrammarCompiler.compile_json_schema

    def count(self: Any, schema: str, **options: Any) -> Any:
        compiled.append(schema)
        return compile_schema(self, schema, **options)

    monkeypatch.setattr(xgrammar.GrammarCompiler, "compile_json_schema", count)
    model = Transformers("causal")
    for schema in (JUDGED, LABEL, json.loads(json.dumps(JUDGED)), LABEL):
        answers(model, [request(model, prompt, schema, max_tokens=2) for prompt in ("a", "b")])
    assert [json.loads(text) for text in compiled] == [JUDGED, LABEL]


def test_a_schema_that_cannot_be_compiled_is_a_bad_request_of_its_own(folder: Path) -> None:
    model = Transformers("causal")
    bad, good = answers(model, [request(model, "a", {"type": "objec"}), request(model, "a", LABEL)])
    assert isinstance(bad, ProviderError) and bad.kind is ErrorKind.BAD_REQUEST
    assert bad.message == 'the schema is refused: Unsupported type "objec"'
    assert good.finish is Finish.STOP


def word_level(words: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def unigram(words: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram([(word.replace(" ", "▁"), -1.0) for word in words], unk_id=3))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return tokenizer


def spaced(words: list[str]) -> Tokenizer:
    """Without a decoder: the text has a blank between every two tokens."""
    return Tokenizer(models.BPE({word: place for place, word in enumerate(words)}, [], unk_token="<unk>"))


@pytest.mark.parametrize(("make", "words"), [(word_level, ["A", "man"]), (unigram, LETTERS), (spaced, LETTERS)])
def test_a_tokenizer_that_cannot_write_json_is_named_with_the_remedy(
    folder: Path, tmp_path: Path, make: Callable[[list[str]], Tokenizer], words: Sequence[str]
) -> None:
    listed = ["<end>", "<pad>", "<language>", "<unk>", *dict.fromkeys(words)]
    save("words", causal(len(listed)), make(listed))
    client = Client(Store(tmp_path / "store.sqlite"))
    asked = Generator("transformers", "words", None, {"max_tokens": 3})
    [answer] = client.run([asked.request([("user", "A man")])])
    assert not isinstance(answer, ProviderError)
    held = Generator("transformers", "words", None, {"max_tokens": 3, "schema": LABEL})
    with pytest.raises(UserError, match=r"transformers/words: .*tokens do not join up to JSON.*leave out `structured`"):
        client.run([held.request([("user", "A man")])])


def test_a_model_that_cannot_be_held_to_a_schema_says_why(folder: Path) -> None:
    causal(400).save_pretrained("bytes")
    ByT5Tokenizer().save_pretrained("bytes")
    endless = Transformers("causal")
    endless._model.generation_config.eos_token_id = None
    for model, why in ((Transformers("bytes"), "Unsupported tokenizer type"), (endless, "it has no end token")):
        with pytest.raises(UserError, match=rf"transformers/{model.name}: .*\({why}.*leave out `structured`"):
            answers(model, [request(model, "A man", LABEL)])
