"""How a model answers: by a classification head, or by the label words, scored as the next word, never generated."""

import inspect
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from transformers import PreTrainedConfig, PreTrainedTokenizerBase
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES as SEQ2SEQ,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSIFYING,
)

from nlilab.core.errors import UserError
from nlilab.core.params import Settings
from nlilab.model.settings import HeadKind, Lora
from nlilab.tasks.reading import Reading

Family = Literal["encoder", "encoder-decoder", "decoder"]

TABLES = {"position_embeddings", "wpe", "embed_positions"}  # what architectures call their learned positions
READS_BOTH_WAYS = {"xlnet"}  # listed among the causal models, but its classifier reads the tokenizer's own pair form


class Layout(NamedTuple):
    """What stands around a row's texts; `between` is None where the tokenizer's own form of a pair joins them."""

    after_instruction: str
    between: str | None
    cue: str  # after the hypothesis: what the answer's first word follows


PAIR = Layout(" ", None, "")
TEXT = Layout("\n\n", "\n", "")
QUESTION = Layout("\n\n", "\n", "\nAnswer:")


class Form(Settings):
    """What a model's folder says of its head; of an adapter also the base it belongs to, as the settings name it."""

    head: HeadKind
    base: str | None = None
    revision: str | None = None
    lora: Lora | None = None


PLAIN = Form(head="classifier")


@dataclass(frozen=True)
class Classifier:
    """A model that answers over `reading.labels`: `model(**inputs).logits` are [rows, labels]."""

    model: torch.nn.Module
    tokenizer: PreTrainedTokenizerBase
    reading: Reading
    form: Form = PLAIN
    layout: Layout = PAIR


class WordsHead(torch.nn.Module):
    """A language model whose logits are those of each label's word as the answer's first token [rows, labels].

    An encoder-decoder reads the input once and its decoder makes one step; a decoder is read at each row's last token
    (rows are padded on the right). Only differences between logits mean anything.
    """

    def __init__(self, base: torch.nn.Module, tokens: list[int]) -> None:
        super().__init__()
        self.base = base
        self.register_buffer("tokens", torch.tensor(tokens), persistent=False)
        config: Any = base.config
        start = getattr(config, "decoder_start_token_id", None)
        self.start = (config.pad_token_id if start is None else start) if config.is_encoder_decoder else None

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SequenceClassifierOutput:
        """The label words' logits."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "use_cache": False}
        if self.start is not None:
            inputs["decoder_input_ids"] = input_ids.new_full((len(input_ids), 1), self.start)
            logits = self.base(**inputs).logits[:, 0]
        else:
            # The vocabulary is large: its logits are computed only where some row ends.
            ends, which = torch.unique(attention_mask.sum(1) - 1, return_inverse=True)
            logits = self.base(**inputs, logits_to_keep=ends).logits
            logits = logits[torch.arange(len(input_ids), device=logits.device), which]
        return SequenceClassifierOutput(logits=logits[:, self.tokens])


def core(model: torch.nn.Module) -> Any:
    """The transformers model beneath the head and an adapter."""
    inner: Any = model.base if isinstance(model, WordsHead) else model
    unwrap = getattr(inner, "get_base_model", None)  # peft's; asked this way, peft is imported only where it is used
    return unwrap() if unwrap else inner


def accepted(model: torch.nn.Module) -> set[str]:
    """The names of the inputs that the model takes."""
    reader = model if isinstance(model, WordsHead) else core(model)
    return set(inspect.signature(type(reader).forward).parameters)


def positions(model: torch.nn.Module) -> int | None:
    """How many tokens a model with a table of positions reads; None where positions are computed."""
    sizes = []
    for name, table in core(model).named_modules():
        if name.rpartition(".")[2] in TABLES and isinstance(table, torch.nn.Embedding):
            unused = getattr(table, "offset", 0) if table.padding_idx is None else table.padding_idx + 1
            sizes.append(table.num_embeddings - unused)
    return min(sizes, default=None)


def family(config: PreTrainedConfig) -> Family:
    """Which of the three kinds of transformer an architecture is."""
    if config.is_encoder_decoder:
        return "encoder-decoder"
    causal = config.model_type in CAUSAL and config.model_type not in {*MASKED, *READS_BOTH_WAYS}
    return "decoder" if causal else "encoder"


def pick_head(config: PreTrainedConfig, wish: Literal["auto", HeadKind], name: str) -> HeadKind:
    """The head that is asked for, or the family's own; one that the family cannot have is refused."""
    kind, sort = family(config), config.model_type
    speaks = sort in {"encoder": (), "encoder-decoder": SEQ2SEQ, "decoder": CAUSAL}[kind]
    classifies = sort in CLASSIFYING
    if not speaks and not classifies:
        raise UserError(
            f"cannot load the model {name}: the architecture {sort!r} neither classifies texts nor says words; "
            "name an encoder (BERT, ELECTRA), an encoder-decoder (T5) or a decoder (GPT-2, Llama)"
        )
    own: HeadKind = "words" if kind == "encoder-decoder" and speaks and not _classified(config) else "classifier"
    head = own if wish == "auto" else wish
    if head == "words" and not speaks:
        raise UserError(
            f"train.head: got words, but {name} ({sort}) is an {kind} that says no next word; set train.head to "
            "classifier or auto, or name an encoder-decoder or a decoder"
        )
    if head == "classifier" and not classifies:
        raise UserError(
            f"train.head: got {wish}, but transformers has no classification head for {name} ({sort}); "
            "set train.head to words"
        )
    return head


def _classified(config: PreTrainedConfig) -> bool:
    """Whether the checkpoint is one of a classifier, with a head that was trained (BART on MultiNLI)."""
    return any("ForSequenceClassification" in name for name in config.architectures or ())


def layout(config: PreTrainedConfig, head: HeadKind) -> Layout:
    """How a row becomes one text for a model of this family with this head."""
    if family(config) != "decoder":
        return PAIR
    return QUESTION if head == "words" else TEXT


def first_tokens(tokenizer: PreTrainedTokenizerBase, reading: Reading, cue: str) -> list[int]:
    """The first token of each label's word after the cue, in the order of the labels; all differ."""
    before = plain_ids(tokenizer, cue) if cue else []
    found: dict[int, str] = {}
    for label in reading.labels:
        word = reading.word(label)
        whole = plain_ids(tokenizer, f"{cue} {word}" if cue else word)
        token = (whole[len(before) :] if whole[: len(before)] == before else plain_ids(tokenizer, word))[0]
        if token in found:
            raise UserError(
                f"train.head: words: the labels {found[token]!r} ({reading.word(found[token])!r}) and {label!r} "
                f"({word!r}) begin with the same token of the model's vocabulary: give one of them another `word` "
                "under `labels` in its task.yaml, or set train.head to classifier"
            )
        found[token] = label
    return list(found)


def plain_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The text's tokens without special ones."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
