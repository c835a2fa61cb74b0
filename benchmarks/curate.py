"""Seconds, rows a second and peak memory of curation against a suite of 20,000 rows, each size in a process of its own.

    python benchmarks/curate.py [--rows 100000] [--full]

The rows come from a grammar with a small vocabulary, so that they are as alike as templated text is; one in fifty is
a near copy of another one and one in fifty a near copy of a suite's. The last line is the growth exponent between the
smallest and the largest size: 1 is linear.
"""

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import pandas as pd

from nlilab.curation.curate import CurateSettings, curate

SUITE_ROWS = 20_000
LABELS = ("entailment", "neutral", "contradiction")
WORDS = {
    "who": [
        "man",
        "woman",
        "boy",
        "girl",
        "doctor",
        "lawyer",
        "farmer",
        "singer",
        "teacher",
        "judge",
        "nurse",
        "pilot",
    ],
    "how": ["old", "young", "tall", "tired", "happy", "angry", "quiet", "famous", "hungry", "clever", "brave", "lazy"],
    "does": ["carries", "watches", "paints", "finds", "cleans", "repairs", "sells", "hides", "throws", "lifts", "buys"],
    "what": [
        "box",
        "chair",
        "bottle",
        "lamp",
        "basket",
        "guitar",
        "camera",
        "letter",
        "ladder",
        "kite",
        "table",
        "clock",
    ],
    "colour": ["red", "blue", "green", "white", "black", "yellow", "brown", "grey"],
    "where": ["park", "street", "kitchen", "garden", "station", "market", "library", "harbour", "theatre", "forest"],
    "when": ["in the morning", "at night", "before lunch", "after the rain", "on a cold day", "during the show"],
}


def table(count: int, seed: int) -> pd.DataFrame:
    """`count` rows of ids, premises of 15 to 24 words, hypotheses of 5 to 7 words and labels."""
    pick = random.Random(seed)
    rows = [(f"{seed}-{number:07d}", *pair(pick), pick.choice(LABELS)) for number in range(count)]
    return pd.DataFrame(rows, columns=["id", "premise", "hypothesis", "label"])


def pair(pick: random.Random) -> tuple[str, str]:
    """A premise of two clauses and a hypothesis about one of them."""
    clauses = [{slot: pick.choice(words) for slot, words in WORDS.items()} for _ in range(2)]
    long = [
        "the {how} {who} {does} a {colour} {what} near the {where}".format(**clause)
        + (" " + clause["when"] if pick.random() < 0.5 else "")
        for clause in clauses
    ]
    short = pick.choice(["the {who} {does} a {what}", "a {how} {who} is near the {where}"])
    return " while ".join(long) + ".", short.format(**pick.choice(clauses)) + "."


def near_copies(rows: pd.DataFrame, source: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """`rows` with that share of them overwritten by rows of `source` with one word more in the premise."""
    pick = random.Random(seed)
    places = pick.sample(range(len(rows)), int(share * len(rows)))
    copied = source.iloc[[pick.randrange(len(source)) for _ in places]]
    texts = {name: rows[name].to_numpy(dtype=object) for name in ("premise", "hypothesis", "label")}
    for name, values in texts.items():
        values[places] = copied[name].to_numpy(dtype=object)
    texts["premise"][places] = [text.replace(" while ", " while also ") for text in texts["premise"][places]]
    return rows.assign(**texts)


def measure(count: int) -> dict[str, object]:
    """Curate `count` rows in this process."""
    suite = table(SUITE_ROWS, seed=1)
    rows = near_copies(table(count, seed=2), table(count, seed=2), 0.02, seed=3)
    rows = near_copies(rows, suite, 0.02, seed=4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    curated = curate(rows, {"suite": suite}, CurateSettings(label_ratio=1.0, length_ratio=1.5))
    return {
        "rows": count,
        "seconds": round(time.perf_counter() - start, 2),
        "mb_before": before // 1024,
        "mb_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "kept": len(curated.kept),
        "rejects": curated.counts,
    }


def sizes(most: int, full: bool) -> Iterator[int]:
    """10,000, `most`, and with `full` 1,000,000 rows."""
    yield from sorted({10_000, most} | ({1_000_000} if full else set()))


def main() -> None:
    """Measure every size in a process of its own and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--full", action="store_true", help="also 1,000,000 rows")
    parser.add_argument("--one", type=int, help="measure this size only, here, and print JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    done = []
    for count in sizes(arguments.rows, arguments.full):
        command = [sys.executable, __file__, "--one", str(count)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        found["rows_per_second"] = round(count / found["seconds"])
        print(json.dumps(found), flush=True)
        done.append(found)
    if len(done) > 1:
        grown = math.log(done[-1]["seconds"] / done[0]["seconds"]) / math.log(done[-1]["rows"] / done[0]["rows"])
        print(f"growth exponent {grown:.2f}")


if __name__ == "__main__":
    main()
