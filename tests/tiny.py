"""Tiny checkpoints of every kind of transformer: random weights, and each kind's own sort of tokenizer."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    ElectraConfig,
    ElectraModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5ForConditionalGeneration,
)

ENCODERS = ("bert", "roberta", "electra")
DECODERS = ("gpt2", "gpt_neox", "llama", "mistral")
SIZES: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 64}
END = "<|endoftext|>"

fast_tokenizer: Any = PreTrainedTokenizerFast  # its constructor is untyped


def trained_tokenizer(kind: str, special: list[str], template: str, texts: list[str], **names: str) -> Any:
    """A vocabulary of the texts: `wordpiece`, `bytes` (BPE over bytes) or `blanks` (BPE that marks blanks).

    `template` is the form of a pair.
    """
    model: Any = models.WordPiece(unk_token=special[1]) if kind == "wordpiece" else models.BPE(unk_token=special[0])
    tokenizer, sizes = Tokenizer(model), {"vocab_size": 400, "special_tokens": special}
    trainer: Any = trainers.BpeTrainer(**sizes)
    if kind == "wordpiece":
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(**sizes)
    elif kind == "bytes":
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(False), decoders.ByteLevel()
        trainer = trainers.BpeTrainer(**sizes, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    else:
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.train_from_iterator(texts * 3, trainer)
    if template:
        ids = [(name, tokenizer.token_to_id(name)) for name in special]
        single = template.partition(" $B")[0].removesuffix(" <s>")
        tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=template, special_tokens=ids)
    return fast_tokenizer(tokenizer_object=tokenizer, **names)


def tokenizer_of(kind: str, texts: Iterable[str]) -> Any:
    """The sort of tokenizer that the architecture comes with."""
    sentences = list(texts)
    if kind in ("bert", "electra"):
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
        return trained_tokenizer("wordpiece", special, "[CLS] $A [SEP] $B:1 [SEP]:1", sentences, **names)
    if kind == "roberta":
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token", "mask_token"), special, strict=True))
        return trained_tokenizer("bytes", special, "<s> $A </s> </s> $B </s>", sentences, **names)
    if kind == "t5":
        special = ["<unk>", "</s>", "<pad>"]
        names = dict(zip(("unk_token", "eos_token", "pad_token"), special, strict=True))
        return trained_tokenizer("blanks", special, "$A </s> $B </s>", sentences, **names)
    if kind in ("llama", "mistral"):
        special = ["<unk>", "<s>", "</s>"]
        names = dict(zip(("unk_token", "bos_token", "eos_token"), special, strict=True))
        return trained_tokenizer("blanks", special, "<s> $A <s> $B", sentences, **names)
    return trained_tokenizer("bytes", [END], "", sentences, bos_token=END, eos_token=END, unk_token=END)


def save_checkpoint(kind: str, folder: Path, texts: Iterable[str]) -> None:
    """A pretrained model as one finds it: no classification head, half precision where usual; but without dropout."""
    torch.manual_seed(1)
    tokenizer = tokenizer_of(kind, texts)
    size = {"vocab_size": len(tokenizer), "initializer_range": 0.3}
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None}
    model: Any
    if kind == "bert":
        model = BertModel(BertConfig(**size, **SIZES, **still))
    elif kind == "electra":
        model = ElectraModel(ElectraConfig(embedding_size=16, **size, **SIZES, **still))
    elif kind == "roberta":
        model = RobertaModel(RobertaConfig(max_position_embeddings=66, type_vocab_size=1, **size, **SIZES, **still))
    elif kind == "t5":
        small: dict[str, Any] = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
        small |= {
            "decoder_start_token_id": 2,
            "eos_token_id": 1,
            "pad_token_id": 2,
            "initializer_factor": 0.5,
            "dropout_rate": 0.0,
        }
        model = T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **small))
    elif kind == "gpt2":
        small = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
        small |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        model = GPT2LMHeadModel(GPT2Config(**small, **size, **ends))
    elif kind == "gpt_neox":
        model = GPTNeoXForCausalLM(GPTNeoXConfig(max_position_embeddings=64, **size, **SIZES, **ends)).half()
    elif kind == "llama":
        model = LlamaForCausalLM(LlamaConfig(num_key_value_heads=1, **size, **SIZES, **ends)).bfloat16()
    else:
        model = MistralForCausalLM(MistralConfig(num_key_value_heads=1, **size, **SIZES, **ends)).bfloat16()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
