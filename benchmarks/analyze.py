"""Seconds and peak memory of the analyses of a set, part by part, beside a suite of 20,000 rows; and ratios.

    python benchmarks/analyze.py [--rows 10000] [--full]

Each size runs in a process and with a cache of its own. `embedding` is the set's and the suite's, with cold cache; it
is part of `semantic` and `leakage`. `cpu_seconds`, those of all threads, tell a busy machine from a slow program. The
last lines are what the quick ways of doing three things save, and with `--full` the growth exponent (1 is linear).
"""

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from curate import LABELS, WORDS, near_copies, pair

from nlilab.analysis import describe as parts
from nlilab.analysis.embeddings import embedder
from nlilab.analysis.lexical import self_bleu
from nlilab.analysis.semantic import mean_cosine
from nlilab.analysis.settings import PACKAGED, AnalyzeSettings

SUITE_ROWS = 20_000
BASELINE = 10_000  # rows of the ratios


def table(count: int, seed: int) -> pd.DataFrame:
    """`count` rows, three to a premise of two clauses; hypotheses of one clause, nearly all of them different."""
    pick = random.Random(seed)
    rows: list[tuple[str, str, str, str]] = []
    while len(rows) < count:
        premise, _ = pair(pick)
        for label in LABELS:
            word = {slot: pick.choice(words) for slot, words in WORDS.items()}
            clause = "the {how} {who} {does} a {colour} {what} near the {where}.".format(**word)
            rows.append((f"{seed}-{len(rows):07d}", premise, clause, label))
    columns = ["id", "premise", "hypothesis", "label"]
    return pd.DataFrame(rows[:count], columns=columns).assign(task="nli", generator="recombined")


def clocked(name: str, function: Callable[..., Any], seconds: dict[str, float]) -> Callable[..., Any]:
    """The same function; what it takes is added to `seconds`."""

    def call(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        found = function(*arguments, **named)
        seconds[name] = round(seconds.get(name, 0) + time.perf_counter() - start, 2)
        return found

    return call


def measure(count: int) -> dict[str, object]:
    """Describe `count` rows in this process."""
    suite = table(SUITE_ROWS, seed=1)
    rows = near_copies(table(count, seed=2), suite, 0.02, seed=4)
    seconds: dict[str, float] = {}
    for name in ("lexical", "semantic", "artefacts", "entities", "leakage"):
        setattr(parts, name, clocked(name, getattr(parts, name), seconds))
    start, embed = time.perf_counter(), clocked("embedding", embedder(PACKAGED), seconds)
    settings = AnalyzeSettings(entities="gazetteer")
    found = parts.describe("curated/nli/many", rows, parts.Beside({"one": suite}, ["one"], 0.6, 0.8), settings, embed)
    return {
        "rows": count,
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_seconds": round(time.process_time(), 2),
        "mb_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "parts": seconds,
        "leaks": {kind: found["leakage"]["one"][kind] for kind in ("exact", "grams", "near", "embedding")},
    }


def ratios() -> dict[str, str]:
    """Quick ways beside plain ones, in this process."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from sklearn.metrics.pairwise import cosine_similarity

    def taken(function: Callable[..., Any], *arguments: Any) -> float:
        start = time.perf_counter()
        function(*arguments)
        return time.perf_counter() - start

    rows = table(BASELINE, seed=3)
    vectors = np.random.default_rng(0).normal(size=(BASELINE, 384)).astype(np.float16)
    exact = taken(mean_cosine, vectors, np.arange(BASELINE), 1, 0)
    all_pairs = taken(lambda: cosine_similarity(vectors.astype(np.float32)).mean())
    embed, texts = embedder(PACKAGED), rows["premise"].drop_duplicates().tolist()
    embed(texts[:1])  # the model is loaded
    batched = taken(embed, texts[1:1001]) / 1000
    one_by_one = taken(lambda: [embed([text]) for text in texts[1001:1101]]) / 100
    sentences, smooth = [text.split() for text in texts[:200]], SmoothingFunction().method1
    plain = taken(
        lambda: [
            sentence_bleu(sentences[:n] + sentences[n + 1 :], sentence, smoothing_function=smooth)
            for n, sentence in enumerate(sentences)
        ]
    )
    shared = taken(self_bleu, sentences)
    return {
        f"mean cosine of {BASELINE} vectors": f"{exact:.3f} s; all pairs (scikit-learn): {all_pairs / exact:.0f} x",
        "embedding": f"{1 / batched:.0f} texts/s; one by one: {1 / one_by_one:.0f}, {one_by_one / batched:.1f} x",
        "self-BLEU of 200 sentences": f"{shared:.3f} s; nltk: {plain / shared:.0f} x",
    }


def main() -> None:
    """Measure every size in a process of its own and print one line each, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--full", action="store_true", help="also 100,000 rows")
    parser.add_argument("--one", type=int, help="measure this size only, here, and print JSON")
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(measure(arguments.one) if arguments.one else ratios()))
        return
    done = []
    for count in [*sorted({arguments.rows} | ({100_000} if arguments.full else set())), 0]:
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, __file__, "--one", str(count)]
            environment = {**os.environ, "NLILAB_CACHE": cache}
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)
        print(json.dumps(found), flush=True)
        done.append(found)
    if len(done) > 2:
        grown = math.log(done[1]["seconds"] / done[0]["seconds"]) / math.log(done[1]["rows"] / done[0]["rows"])
        print(f"growth exponent {grown:.2f}")


if __name__ == "__main__":
    main()
