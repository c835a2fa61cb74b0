"""Every reason on hand-made rows, recall and precision on planted ones, and what must hold for any rows."""

import os
import random
import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nlilab.core.errors import UserError
from nlilab.curation.curate import Curated, CurateSettings, curate
from nlilab.curation.similar import normalise

PLAIN = CurateSettings(min_words=1, dev_share=0.0)
LONG = "a man in a red shirt plays an old guitar on the stage while many people listen to him in silence"
SUITE = pd.DataFrame(
    [
        ("s1", LONG, "a man makes music"),
        ("s2", "two dogs run", "two brown animals are running very fast over the wet grass"),
        ("s3", "a child sleeps in a bed", "the child is awake"),
    ],
    columns=["id", "premise", "hypothesis"],
)


def table(*rows: tuple[str, str, str | None]) -> pd.DataFrame:
    named = [(f"r{number}", *row) for number, row in enumerate(rows)]
    return pd.DataFrame(named, columns=["id", "premise", "hypothesis", "label"])


def reasons(curated: Curated) -> dict[str, tuple[str, str]]:
    columns = (curated.rejects[column].astype(str) for column in ("id", "reason", "evidence"))
    return {row: (reason, evidence) for row, reason, evidence in zip(*columns, strict=True)}


def sentences(count: int, words: int, seed: int, vocabulary: int = 500) -> list[str]:
    pick = random.Random(seed)
    return [" ".join(f"w{pick.randrange(vocabulary)}" for _ in range(words)) for _ in range(count)]


def test_normalise_folds_what_carries_no_meaning_and_nothing_else() -> None:
    assert normalise("  The ｃａｆé\u200b, isn\u2019t — OPEN!\n") == normalise("the café isn't open")
    assert normalise("5 < 6") != normalise("5 > 6")
    assert normalise("हिन्दी") != normalise("हन्द")  # combining vowels are letters


def test_fields_are_judged_first() -> None:
    rows = table(
        ("a dog", "an animal", None),
        ("?!", "an animal", "neutral"),
        ("a dog", "animal", "neutral"),
        ("a dog " * 4, "an animal", "neutral"),
        ("A dog.", "a  dog!", "entailment"),
        ("a dog", "an animal", "entailment"),
    )
    curated = curate(rows, {}, CurateSettings(min_words=2, max_words=7))
    assert curated.counts == dict.fromkeys(
        ["empty_field", "hypothesis_is_premise", "missing_label", "too_long", "too_short"], 1
    )
    assert list(curated.kept["id"]) == ["r5"]


def test_same_pairs_keep_the_first_and_conflicting_ones_keep_none() -> None:
    rows = table(
        ("A dog runs.", "An animal moves.", "entailment"),
        ("a dog  runs", "an animal moves!", "entailment"),
        ("a cat runs", "a cat sits", "contradiction"),
        ("a cat runs", "a cat sits", "neutral"),
        ("A cat runs", "a cat sits", "contradiction"),
    )
    assert reasons(curate(rows, {}, PLAIN)) == {
        "r1": ("exact_duplicate", "r0"),
        "r2": ("conflicting_labels", "r3"),
        "r3": ("conflicting_labels", "r2"),
        "r4": ("conflicting_labels", "r3"),
    }


def test_near_duplicates_go_and_minimal_pairs_stay() -> None:
    rows = table(
        (LONG, "a man makes music", "entailment"),
        (LONG + " today", "a man makes music", "entailment"),
        (LONG, "a woman makes music", "entailment"),  # another hypothesis
        (LONG + " now", "a man makes music", "contradiction"),  # another label
        (LONG + " today", "a man makes no music", "entailment"),
    )
    found = reasons(curate(rows, {}, PLAIN))
    assert set(found) == {"r1"}
    assert found["r1"] == (
        "near_duplicate",
        "r0 0.909",
    )  # 19 words + 22 pairs; one pair lost, three shingles new: 40/44


@pytest.mark.parametrize(
    ("premise", "hypothesis", "expected"),
    [
        ("Two dogs RUN.", "Two brown animals are running very fast, over the wet grass", ("leak_pair", "suite:s2")),
        ("a child sleeps in a bed", "something new", ("leak_sentence", "suite:s3")),
        ("something new", LONG, ("leak_sentence", "suite:s1")),
        ("something new", "the child is awake", None),  # short sentences collide by chance
        ("something new", "w " + " ".join(LONG.split()[:14]), ("leak_grams", "suite:s1 0.875")),
        ("something new", " ".join(["w"] * 9 + LONG.split()[:9]), None),
        ("a child sleeps in a big bed", "the child is awake", ("leak_near_pair", "suite:s3 0.833")),
        ("a child sleeps in a big bed", "the child is there", None),
    ],
)
def test_leaks(premise: str, hypothesis: str, expected: tuple[str, str] | None) -> None:
    curated = curate(table((premise, hypothesis, "neutral")), {"suite": SUITE}, PLAIN)
    assert reasons(curated) == ({"r0": expected} if expected else {})


def test_a_sentence_edited_everywhere_leaks_by_its_jaccard() -> None:
    words = sentences(1, 60, seed=9)[0].split()
    suite = pd.DataFrame({"id": [7], "premise": [" ".join(words)], "hypothesis": ["short one"]})
    for place in (7, 15, 23, 31, 39):  # leaves one run of 8 words and more
        words[place] = "changed"
    strict = CurateSettings(min_words=1, leakage_containment=0.9)
    found = reasons(curate(table((" ".join(words), "no one", "neutral")), {"suite": suite}, strict))
    assert found["r0"][0] == "leak_near_sentence"
    assert found["r0"][1].startswith("suite:7 0.8")


def test_scattered_pieces_of_a_template_are_no_leak() -> None:
    pieces = sentences(2, 10, seed=3)
    suite = pd.DataFrame({"id": [0, 1], "premise": [f"{piece} {n}" for n, piece in enumerate(pieces)]})
    rows = table((" ".join(pieces), "something new", "neutral"))
    assert reasons(curate(rows, {"suite": suite.assign(hypothesis="x y")}, PLAIN)) == {}


def test_balance_caps_labels_overall_and_by_hypothesis_length() -> None:
    short = [(f"premise {n}", f"short {n}", "entailment" if n < 40 else "neutral") for n in range(50)]
    long = [(f"premise {n}", f"a hypothesis with many more words {n}", "neutral") for n in range(30)]
    rows = table(
        *short, *long, *[(f"premise x{n}", f"one much longer hypothesis it is {n}", "entailment") for n in range(20)]
    )
    by_length = curate(rows, {}, CurateSettings(length_ratio=2))
    assert by_length.counts == {"length_balance": 20}  # 40 against 10 short ones; 30 against 20 is allowed
    assert set(by_length.rejects["evidence"]) == {"entailment: 40 rows, at most 20, hypotheses of 1 to 4 words"}
    both = curate(rows, {}, CurateSettings(length_ratio=2, label_ratio=1))
    assert set(both.kept["label"].value_counts()) == {40}


@pytest.fixture(scope="module")
def planted() -> tuple[pd.DataFrame, pd.DataFrame]:
    """2,000 rows: 1,500 free ones, 100 minimal pairs, 200 near duplicates and 200 near leaks of 300 suite rows."""
    pick = random.Random(0)
    premises, hypotheses = sentences(1500, 22, seed=1), sentences(1500, 7, seed=2)
    free = [(p, h, pick.choice(["entailment", "neutral"])) for p, h in zip(premises, hypotheses, strict=True)]
    suite = pd.DataFrame(
        {"id": range(300), "premise": sentences(300, 22, seed=3), "hypothesis": sentences(300, 7, seed=4)}
    )

    def edited(text: str) -> str:
        words = text.split()
        words.insert(pick.randrange(len(words) + 1), "extra")
        return " ".join(words)

    minimal = [(p, " ".join(["another", *h.split()[1:]]), label) for p, h, label in free[:100]]
    near = [(edited(p), h, label) for p, h, label in free[100:300]]
    leaks = [(edited(p), h, "neutral") for p, h in zip(suite["premise"][:200], suite["hypothesis"][:200], strict=True)]
    kinds = ["free"] * 1500 + ["minimal"] * 100 + ["near"] * 200 + ["leak"] * 200
    rows = table(*free, *minimal, *near, *leaks)
    rows["id"] = [f"{n:04d}-{kind}" for n, kind in enumerate(kinds)]
    return rows, suite


def test_planted_rows_are_found_and_no_other(planted: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    rows, suite = planted
    found = reasons(curate(rows, {"suite": suite}, PLAIN))
    assert {row for row, (reason, _) in found.items() if reason == "near_duplicate"} == set(rows["id"][1600:1800])
    assert {row for row, (reason, _) in found.items() if reason.startswith("leak_")} == set(rows["id"][1800:])


def test_the_order_of_rows_and_suites_changes_nothing(planted: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    rows, suite = planted
    balanced = CurateSettings(label_ratio=1, length_ratio=1)
    suites = {"one": suite[:150], "two": suite[150:]}
    first = curate(rows, suites, balanced)
    mixed = curate(
        rows.sample(frac=1, random_state=5), {"two": suite[150:].sample(frac=1), "one": suite[:150]}, balanced
    )
    for before, after in ((first.kept, mixed.kept), (first.rejects, mixed.rejects)):
        pd.testing.assert_frame_equal(
            before.sort_values("id", ignore_index=True), after.sort_values("id", ignore_index=True)
        )
    assert list(first.kept["id"]) == list(rows["id"][rows["id"].isin(first.kept["id"])])


def test_a_premise_is_never_split_and_new_rows_move_no_old_one() -> None:
    rows = table(*[(f"Premise {n % 500}{'.' * (n % 2)}", f"hypothesis {n}", "neutral") for n in range(1500)])
    shared = CurateSettings(dev_share=0.2, seed=3)
    kept = curate(rows, {}, shared).kept
    assert kept.groupby(kept["premise"].map(normalise))["split"].nunique().max() == 1
    assert 0.15 < (kept["split"] == "dev").mean() < 0.25
    fewer = curate(rows[:700], {}, shared).kept
    assert list(fewer["split"]) == list(kept["split"][:700])
    assert list(curate(rows, {}, CurateSettings(dev_share=0.2, seed=4)).kept["split"]) != list(kept["split"])


WORD = st.sampled_from(["a", "b", "c", "not", "d.", "", "É"])
TEXT = st.one_of(st.none(), st.lists(WORD, max_size=12).map(" ".join))
ROWS = st.lists(st.tuples(TEXT, TEXT, st.sampled_from(["e", "n", None])), max_size=25)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(ROWS, ROWS)
def test_rows_in_are_rows_out_and_rejects(rows: list[tuple[str, str, str]], others: list[tuple[str, str, str]]) -> None:
    loose = CurateSettings(min_words=1, near_duplicate=0.5, leakage_jaccard=0.5, label_ratio=1, length_ratio=1)
    before = table(*rows)
    curated = curate(before, {"suite": table(*others)}, loose)
    assert sorted([*curated.kept["id"], *curated.rejects["id"]]) == sorted(before["id"])
    assert (curated.rejects["reason"] != "").all() and (curated.rejects["evidence"] != "").all()
    assert set(curated.kept["split"]) <= {"train", "dev"}
    again = curate(curated.kept.drop(columns="split"), {}, PLAIN)
    assert not {"exact_duplicate", "conflicting_labels", "hypothesis_is_premise"} & set(again.counts)


def test_a_crowd_from_one_template_is_thinned_completely() -> None:
    """5,000 rows of which any two are near duplicates: one stays; against a crowd of a suite, none."""
    crowd = table(*[(f"{LONG} {LONG[::-1]} number {n}", "a man makes music", "neutral") for n in range(5000)])
    assert len(curate(crowd, {}, PLAIN).kept) == 1
    suite = table(*[(f"{LONG} {LONG[::-1]} number x{n}", "a man makes music", "neutral") for n in range(5000)])
    assert len(curate(crowd.assign(hypothesis=[f"new {n}" for n in range(5000)]), {"suite": suite}, PLAIN).kept) == 0


def test_a_crowd_that_is_alike_but_not_enough_stays() -> None:
    pick = random.Random(1)
    texts = {" ".join([*LONG.split()[:12], *(f"w{pick.randrange(300)}" for _ in range(4))]) for _ in range(3000)}
    assert len(curate(table(*[(text, "one thing", "neutral") for text in texts]), {}, PLAIN).kept) == len(texts)


def test_the_hash_seed_of_the_process_changes_nothing() -> None:
    program = (
        "import pandas as pd; from nlilab.curation.curate import *\n"
        "words = [f'w{(n ** 3 + n // 7) % 211}' for n in range(3000)]\n"
        "rows = pd.DataFrame({'id': range(300), 'premise': [' '.join(words[n * 3:n * 3 + 9]) for n in range(300)],"
        " 'hypothesis': [f'so {n % 90} it is' for n in range(300)], 'label': ['e', 'n', 'n'] * 100})\n"
        "suite = rows[::7].assign(premise=rows['premise'] + ' too')\n"
        "done = curate(rows, {'s': suite}, CurateSettings(near_duplicate=0.5, label_ratio=1))\n"
        "print(done.kept.to_csv(), done.rejects.to_csv())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout
    assert "label_balance" in runs[0].stdout and "leak_" in runs[0].stdout


def test_what_the_user_can_mend_is_said() -> None:
    rows = table(("a", "b", "neutral"), ("c", "d", "neutral"))
    with pytest.raises(UserError, match="no column gold"):
        curate(rows, {}, PLAIN, label_column="gold")
    with pytest.raises(UserError, match="suite hans: no column premise"):
        curate(rows, {"hans": rows.drop(columns="premise")}, PLAIN)
    with pytest.raises(UserError, match="'r0' first"):
        curate(rows.assign(id="r0"), {}, PLAIN)
    with pytest.raises(UserError, match="column split would be overwritten"):
        curate(rows.assign(split="train"), {}, PLAIN)
    for wrong in ({"near_duplicate": 0.2}, {"label_ratio": 0.5}, {"dev_share": 1}, {"min_words": 300}, {"typo": 1}):
        with pytest.raises(ValidationError):
            CurateSettings(**wrong)
