"""A local language model, causal or seq2seq, answered in padded batches."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import xgrammar
from huggingface_hub import constants
from jinja2 import TemplateError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from nlilab.core.errors import UserError
from nlilab.llm.errors import ErrorKind, ProviderError
from nlilab.llm.providers.constrained import Grammars, Schemas
from nlilab.llm.request import Finish, Request, Response, without_system

PROBE_SECONDS = 5.0  # the hub's own retries take half a minute to find out that there is no network
MAX_TOKENS = 256
SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "forced_bos_token_id")


@dataclass(frozen=True)
class _Settings:
    """What one padded batch has in common."""

    max_tokens: int
    temperature: float
    top_p: float
    stop: tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    """One request of a batch: where its answer goes, its prompt's token ids, and what its schema allows, if any."""

    place: int
    request: Request
    prompt: list[int]
    matcher: xgrammar.GrammarMatcher | None


class Transformers:
    """A folder or a hub id (`name` or `name@revision`), greedy, or sampled by the request's key at temperature > 0.

    A row does not depend on the rest of its batch, except where two tokens tie within floating-point error. A request
    with a `schema` (JSON schema) is answered by JSON that is valid under it, cut only by `max_tokens` and `stop`.
    """

    batch = 16
    parameters = frozenset({"max_tokens", "temperature", "top_p", "stop", "schema"})

    def __init__(self, model: str, base_url: str | None = None) -> None:
        if base_url is not None:
            raise UserError(f"generator transformers/{model}: a local model has no base_url; remove it")
        self.name = model
        self._config, self._tokenizer, self._model = _load(model)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model.to(self._device).eval()
        ends = self._model.generation_config.eos_token_id
        self._enders = {*(ends if isinstance(ends, list) else [ends]), self._tokenizer.pad_token_id}
        # One thread: the model serves one batch at a time, and the event loop stays free.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="transformers")

    async def answer(self, requests: Sequence[Request]) -> list[Response | ProviderError]:
        """One answer for each request, in order."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, list(requests))

    def _answer(self, requests: list[Request]) -> list[Response | ProviderError]:
        answers: dict[int, Response | ProviderError] = {}
        groups: dict[_Settings, list[_Row]] = {}
        for place, request in enumerate(requests):
            settings = _settings(request)
            try:
                tokens = self._prompt(request)
                self._refuse_long(len(tokens), settings.max_tokens)
                schema = request.parameters.get("schema")
                matcher = None if schema is None else self._grammars.matcher(schema)
            except (ProviderError, TemplateError) as error:
                bad = ProviderError(ErrorKind.BAD_REQUEST, f"the chat template refuses it: {error}")
                answers[place] = error if isinstance(error, ProviderError) else bad
            else:
                groups.setdefault(settings, []).append(_Row(place, request, tokens, matcher))
        for settings, rows in groups.items():
            answers.update(zip((row.place for row in rows), self._generate(rows, settings), strict=True))
        return [answers[place] for place in range(len(requests))]

    @cached_property
    def _grammars(self) -> Grammars:
        return Grammars(self.name, self._tokenizer, self._model)

    def _prompt(self, request: Request) -> list[int]:
        """The prompt's token ids: by the chat template if the tokenizer has one, else the contents as plain text."""
        tokenizer = self._tokenizer
        if tokenizer.chat_template:
            text = self._templated(request.messages)
            return list(tokenizer(text, add_special_tokens=False)["input_ids"])
        return list(tokenizer("\n\n".join(content for _, content in request.messages))["input_ids"])

    def _templated(self, messages: Sequence[tuple[str, str]]) -> str:
        """The chat template's text; where it refuses the system's turn or leaves it out, that is part of the user's."""
        system = [content.strip() for role, content in messages if role == "system"]
        try:
            text = self._filled(messages)
            if all(told in text for told in system):
                return text
        except TemplateError:
            if not system:
                raise
        return self._filled(without_system(messages))

    def _filled(self, messages: Sequence[tuple[str, str]]) -> str:
        chat = [{"role": role, "content": content} for role, content in messages]
        return str(self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

    def _refuse_long(self, prompt: int, wanted: int) -> None:
        limit = getattr(self._config, "max_position_embeddings", None)
        if limit is None:
            return
        longest = max(prompt, wanted) if self._config.is_encoder_decoder else prompt + wanted
        if longest > limit:
            raise ProviderError(
                ErrorKind.BAD_REQUEST,
                f"{prompt} tokens of prompt and max_tokens {wanted} do not fit the model's {limit} positions",
            )

    @torch.inference_mode()
    def _generate(self, rows: list[_Row], settings: _Settings) -> list[Response]:
        prompts = {"input_ids": [row.prompt for row in rows]}
        # An answer goes on at the right end of its prompt; an encoder counts its positions from the left.
        side = "right" if self._config.is_encoder_decoder else "left"
        padded = self._tokenizer.pad(prompts, padding=True, padding_side=side, return_tensors="pt")
        inputs = {name: padded[name].to(self._device) for name in ("input_ids", "attention_mask")}
        start = 1 if self._config.is_encoder_decoder else inputs["input_ids"].shape[1]
        # Translators' models begin with a token of the language, before the answer.
        forced = self._config.is_encoder_decoder and self._model.generation_config.forced_bos_token_id is not None
        schemas = Schemas([row.matcher for row in rows], start + forced, self._enders)
        out = self._model.generate(
            **inputs,
            max_new_tokens=settings.max_tokens,
            do_sample=False,  # sampling, too, is an argmax: of the logits with the request's own noise
            logits_processor=_processors(rows, settings, schemas),
            stopping_criteria=StoppingCriteriaList([_Stops(self._tokenizer, start, settings.stop)]),
        )
        return [
            self._response(row.request, len(row.prompt), tokens, settings)
            for row, tokens in zip(rows, out[:, start:].tolist(), strict=True)
        ]

    def _response(self, request: Request, prompt: int, row: list[int], settings: _Settings) -> Response:
        """Cut the row at its end token, or the padding after a stop string, and its text at the first stop string."""
        length = next((place for place, token in enumerate(row) if token in self._enders), None)
        text = self._tokenizer.decode(row[:length], skip_special_tokens=True)
        cuts = [text.index(stop) for stop in settings.stop if stop in text]
        if cuts:
            text = text[: min(cuts)]
        finish = Finish.STOP if length is not None or cuts else Finish.LENGTH
        if finish is Finish.STOP and not text.strip():
            finish = Finish.EMPTY
        commit = getattr(self._config, "_commit_hash", None)
        model = f"{self.name.partition('@')[0]}@{commit}" if commit else self.name
        # The end token counts, padding does not.
        count = len(row) if length is None else length + (not cuts)
        return Response(request.key, text, finish, model, prompt, count)


class _Noise(LogitsProcessor):
    """Gumbel noise from one generator a row: the argmax of noisy logits is a sample of their softmax."""

    def __init__(self, requests: Sequence[Request]) -> None:
        # Seeded by the key, so a request's sample is the same in every batch, order and run.
        self._generators = [torch.Generator().manual_seed(int(request.key[:15], 16)) for request in requests]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (rows, vocabulary) plus noise of the same shape."""
        noise = torch.stack([-torch.empty(scores.shape[1]).exponential_(generator=g).log() for g in self._generators])
        return scores.float() + noise.to(scores.device)


class _Stops(StoppingCriteria):
    """Ends each row at its first stop string, by its decoded text.

    The library's own criterion fails on tokenizers whose tokens do not join up to text without spaces.
    """

    def __init__(self, tokenizer: Any, start: int, stops: tuple[str, ...]) -> None:
        self._tokenizer, self._start, self._stops = tokenizer, start, stops

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Which rows of (rows, tokens) are done."""
        if not self._stops:
            return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        texts = self._tokenizer.batch_decode(input_ids[:, self._start :], skip_special_tokens=True)
        done = [any(stop in text for stop in self._stops) for text in texts]
        return torch.tensor(done, device=input_ids.device)


def _processors(rows: Sequence[_Row], settings: _Settings, schemas: Schemas) -> LogitsProcessorList:
    steps: list[LogitsProcessor] = [schemas]
    if settings.temperature > 0:
        steps.append(TemperatureLogitsWarper(settings.temperature))
        if settings.top_p < 1:
            steps.append(TopPLogitsWarper(settings.top_p))
        steps.append(_Noise([row.request for row in rows]))
    return LogitsProcessorList(steps)


def _settings(request: Request) -> _Settings:
    given = request.parameters
    stop = given.get("stop") or ()
    return _Settings(
        request.max_tokens or MAX_TOKENS,
        float(given.get("temperature", 0.0)),
        float(given.get("top_p", 1.0)),
        (stop,) if isinstance(stop, str) else tuple(stop),
    )


def _load(name: str) -> tuple[Any, Any, Any]:
    """Config, tokenizer and model: from the folder, else from the hub's local cache, else from the hub."""
    try:
        if Path(name).is_dir():
            return _from_pretrained(name, None, local=True)
        model, _, revision = name.partition("@")
        try:
            return _from_pretrained(model, revision or None, local=True)
        except OSError:
            _probe_hub(name)
            return _from_pretrained(model, revision or None, local=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"generator transformers/{name}: cannot be loaded ({first}); expected a folder that save_pretrained wrote, "
            "or a hub id (name or name@revision) that this machine can reach"
        ) from error


def _from_pretrained(model: str, revision: str | None, local: bool) -> tuple[Any, Any, Any]:
    where: dict[str, Any] = {"local_files_only": local} | ({"revision": revision} if revision else {})
    config = AutoConfig.from_pretrained(model, **where)
    tokenizer = AutoTokenizer.from_pretrained(model, **where)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    network = kind.from_pretrained(model, config=config, **where)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Only what tells tokens apart: the sampling habits in a model's own file would change what temperature means.
    kept = {name: getattr(network.generation_config, name, None) for name in SPECIAL}
    kept["pad_token_id"] = tokenizer.pad_token_id
    # A chat model's own file often names only the end of a document, and its tokenizer the end of a turn.
    ends = kept["eos_token_id"] if isinstance(kept["eos_token_id"], list) else [kept["eos_token_id"]]
    kept["eos_token_id"] = [end for end in dict.fromkeys([*ends, tokenizer.eos_token_id]) if end is not None] or None
    network.generation_config = GenerationConfig(**kept)  # type: ignore[no-untyped-call]
    return config, tokenizer, network


def _probe_hub(name: str) -> None:
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return  # it answered
    except OSError as error:
        raise UserError(
            f"generator transformers/{name}: no such folder, not in the hub's local cache, and {constants.ENDPOINT} "
            f"cannot be reached ({error}); give a folder, or load it once where the hub can be reached"
        ) from error
