"""Answers of a local model held to a JSON schema while they are written, by xgrammar."""

import json
from collections.abc import Sequence
from typing import Any, Literal

import torch
import xgrammar
from transformers import LogitsProcessor

from nlilab.core.errors import UserError
from nlilab.llm.errors import ErrorKind, ProviderError


class Grammars:
    """The JSON schemas of a model's requests, each compiled once for its tokens and its logits."""

    def __init__(self, name: str, tokenizer: Any, network: Any) -> None:
        self._name, self._tokenizer = name, tokenizer
        size, ends = network.get_output_embeddings().out_features, network.generation_config.eos_token_id
        if ends is None:
            raise self._unfit("it has no end token")
        try:
            read = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=size, stop_token_ids=ends)
        except ValueError as error:
            raise self._unfit(str(error)) from error
        # A special token must not pass for its own name within a string: the decoded text would lack it.
        special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
        self._pieces = [b"" if token in special else piece for token, piece in enumerate(read.decoded_vocab)]
        self._compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo(self._pieces, stop_token_ids=ends))
        self._compiled: dict[str, xgrammar.CompiledGrammar] = {}

    def matcher(self, schema: Any) -> xgrammar.GrammarMatcher:
        """What begins an answer under the schema; a UserError if such a text is not what the tokens join up to."""
        text = json.dumps(schema, ensure_ascii=False)  # not sorted: the order of the properties is the answer's
        if text not in self._compiled:
            tokens = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            joined = b"".join(self._pieces[token] for token in tokens).strip()
            if joined != text.encode() or self._tokenizer.decode(tokens, skip_special_tokens=True).strip() != text:
                raise self._unfit("its tokens do not join up to JSON")
            try:
                # One form of white space: a small model would never leave a run of blanks.
                self._compiled[text] = self._compiler.compile_json_schema(text, any_whitespace=False)
            except RuntimeError as error:
                why = str(error).partition(": ")[2].strip()  # without the time and the line of its source
                raise ProviderError(ErrorKind.BAD_REQUEST, f"the schema is refused: {why}") from error
        return xgrammar.GrammarMatcher(self._compiled[text])

    def _unfit(self, why: str) -> UserError:
        return UserError(
            f"generator transformers/{self._name}: its answers cannot be held to a JSON schema ({why}); leave out "
            "`structured` in conf/generators.yaml, or name another model"
        )


class Schemas(LogitsProcessor):
    """Lets each row go on only as its schema allows, and end only when the JSON is whole."""

    def __init__(self, matchers: Sequence[xgrammar.GrammarMatcher | None], start: int, enders: set[int]) -> None:
        self._open = {place: matcher for place, matcher in enumerate(matchers) if matcher is not None}
        self._start, self._enders = start, enders  # `start` tokens come before the answer

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (rows, vocabulary), minus infinity where a row's schema forbids the token."""
        if input_ids.shape[1] > self._start:
            last = input_ids[:, -1].tolist()
            self._open = {place: matcher for place, matcher in self._open.items() if last[place] not in self._enders}
            for place, matcher in self._open.items():
                matcher.accept_token(last[place])
        if not self._open or input_ids.shape[1] < self._start:
            return scores
        mask = xgrammar.allocate_token_bitmask(*scores.shape)
        for place, matcher in self._open.items():
            matcher.fill_next_token_bitmask(mask, place)
        # The default on a GPU is a kernel that needs a C compiler on the machine.
        backend: Literal["cpu", "torch_native"] = "cpu" if scores.device.type == "cpu" else "torch_native"
        xgrammar.apply_token_bitmask_inplace(scores, mask.to(scores.device), backend=backend)
        return scores
