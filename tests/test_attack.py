"""The attack: gradients that batches do not change, a toy known on paper, and what may never be touched."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
)

from conftest import ROOT
from nlilab.attack.edits import Change, dump, load, rewrite, words
from nlilab.attack.perturb import attack, pick
from nlilab.attack.recipes import AttackSettings, Recipe, check_attack, load_attack, load_recipe
from nlilab.attack.saliency import Pair, Row, Victim, rank
from nlilab.core.errors import UserError
from nlilab.core.files import write_text
from nlilab.core.params import Run, read_yaml
from nlilab.core.schema import THREE_WAY, TWO_WAY
from nlilab.core.words import NEGATION
from nlilab.model.heads import Classifier
from nlilab.model.settings import TrainSettings, load_freelb
from nlilab.model.trainer import train
from nlilab.tasks.reading import Reading
from tiny import SIZES, fast_tokenizer, save_checkpoint

Floats = npt.NDArray[np.float64]

RANKINGS = ("l1", "l2", "grad_x_input", "integrated_gradients", "leave_one_out", "random", "lowest")
ARCHITECTURES = ("bert", "electra", "roberta", "t5", "gpt2", "llama")
WINDOW = 64  # tokens
NLI = Reading(tasks={"nli": list(THREE_WAY)})
PREMISES = ["A man is playing a guitar.", "Two dogs run across the green field near a river.", "She said so."]
HYPOTHESES = [
    "Nobody plays the guitar on the stage at night.",
    "No dog runs.",
    "The train was late yesterday, unbelievably late, and I don't know why.",
    "A man sleeps",
    "Some animals are not near the water!",
]
ODD = [
    *("Yes", "Yes.", "🎸", "?!", "日本語 です", "\ue000\ue001", "שלום עולם", "a\u200bb \u200b", "\u200b", "\u0301"),
    *(
        "cafe\u0301 n\u0303o",
        "éclair 日本 🎸🎸 ok",
        "don't",
        "I don't know",
        "The [MASK] is here",
        "<mask> <|endoftext|>",
    ),
]


def recipe(**changes: object) -> Recipe:
    """Mask the word with the highest l1 norm, but for `changes`."""
    return Recipe.model_validate({"paper": "a test", "ranking": "l1", "perturbation": "mask", **changes})


def table(hypotheses: list[str], premises: list[str], labels: tuple[str, ...] = THREE_WAY) -> pd.DataFrame:
    """A row for each hypothesis; premises and labels take turns."""
    count = range(len(hypotheses))
    return pd.DataFrame(
        {
            "id": [f"row-{number}" for number in count],
            "premise": [premises[number % len(premises)] for number in count],
            "hypothesis": hypotheses,
            "label": [labels[number % len(labels)] for number in count],
            "task": "nli",
        }
    )


def run(victim: Victim, rows: pd.DataFrame, size: int = 8, seed: int = 0, **changes: object) -> pd.DataFrame:
    """The attacked rows, after what holds for every attack: rows as they were, changes in place, a reason if none."""
    found = attack(rows, victim, recipe(**changes), size, seed)
    kept = ["id", "premise", "label"]
    pd.testing.assert_frame_equal(found[kept], rows[kept].reset_index(drop=True))
    assert found["original"].tolist() == rows["hypothesis"].tolist()
    for row in records(found):
        edits = load(row.changes)
        assert bool(edits) == (row.hypothesis != row.original) == (row.reason == ""), row
        assert all(0 <= edit.start <= edit.end <= len(row.hypothesis) for edit in edits)
        assert undo(row.hypothesis, edits).replace(" ", "") == row.original.replace(" ", "")
        assert all(edit.start == edit.end for edit in edits) or undo(row.hypothesis, edits) == row.original
    return found


def records(found: pd.DataFrame) -> list[Any]:
    return list(found.itertuples())


def asked(rows: pd.DataFrame) -> list[Row]:
    """What the attack asks of a model."""
    return [Row(*row) for row in rows[["premise", "hypothesis", "task", "label"]].itertuples(index=False)]


def undo(text: str, edits: list[Change]) -> str:
    for edit in reversed(edits):
        text = text[: edit.start] + edit.was + text[edit.end :]
    return text


@pytest.fixture(scope="module")
def victims(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Victim]:
    """A classifier of each architecture with random weights and its own kind of tokenizer."""
    folder = tmp_path_factory.mktemp("victims")
    found = {}
    for name in ARCHITECTURES:
        start = tiny_encoder if name == "bert" else folder / name
        if name != "bert":
            save_checkpoint(name, start, PREMISES + HYPOTHESES)
        settings = TrainSettings(model=str(start), steps=0, learning_rate=0.1, head="classifier", max_length=WINDOW)
        train(table(HYPOTHESES, PREMISES), settings, 1, folder / f"{name}-victim", NLI)
        found[name] = Victim.open(folder / f"{name}-victim", WINDOW)
    return found


@pytest.fixture(params=ARCHITECTURES)
def victim(request: pytest.FixtureRequest, victims: dict[str, Victim]) -> Victim:
    return victims[request.param]


# A toy: logits = W . sum over tokens of (weight of the place) x (embedding), so that d loss / d embedding at a place
# is the place's weight times W' (p - y), and all of it can be worked out with numpy.

VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "man", "dog", "Dog", "play", "##ing", "runs", "sleep", "##s"),
    *("not", "never", "green", "river", "a", ".", "stage", "near"),
]


class Bag(torch.nn.Module):
    config = SimpleNamespace(is_encoder_decoder=False)

    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(38)
        vectors = random.normal(size=(len(VOCABULARY), 4)).astype(np.float32)
        weight = random.normal(size=(3, 4)).astype(np.float32)
        vectors[VOCABULARY.index("not")] = -4 * weight[0]  # what raises the loss of entailment most
        self.table = torch.nn.Embedding(len(VOCABULARY), 4, _weight=torch.tensor(vectors)).requires_grad_(False)
        self.head = torch.nn.Parameter(torch.tensor(weight))
        self.place = torch.nn.Parameter(torch.tensor(random.uniform(0.2, 0.6, 16).astype(np.float32)))

    def get_input_embeddings(self) -> torch.nn.Embedding:
        return self.table

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        weight = attention_mask * self.place[: input_ids.shape[1]]
        return SimpleNamespace(logits=(weight[..., None] * self.table(input_ids)).sum(1) @ self.head.T)


@pytest.fixture
def toy() -> Victim:
    numbers = {name: number for number, name in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(vocab=numbers, unk_token="[UNK]"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    inputs = ["input_ids", "attention_mask"]
    fast = fast_tokenizer(tokenizer_object=tokenizer, model_input_names=inputs, **names)
    return Victim(Classifier(Bag(), fast, NLI), 16)


TOY_ROWS = table(
    [
        *("playing dog runs near a river", "man sleeps", "green river near stage", "playing"),
        *("dog dog dog", "stage man river a", "man runs never", "a dog playing a man"),
    ],
    ["man near river", "green dog runs", "stage"],
)


def toy_pairs(toy: Victim, rows: pd.DataFrame, unit: str = "word") -> list[Pair]:
    return toy.pairs(asked(rows), unit)


def by_hand(toy: Victim, pair: Pair, scale: float = 1.0) -> tuple[float, Floats, Floats, Floats]:
    """Loss, gradient, embeddings and probabilities of a pair whose hypothesis' embeddings are scaled."""
    bag = cast(Any, toy.model)
    table_, head = bag.table.weight.double().numpy(), bag.head.detach().double().numpy()
    place = bag.place.detach().double().numpy()[: len(pair.owner)]
    vectors = table_[pair.inputs["input_ids"]]
    vectors[np.array(pair.owner) >= 0] *= scale
    power = np.exp(head @ (place @ vectors))
    p = power / power.sum()
    gold = np.array([name == pair.row.gold for name in THREE_WAY])
    if pair.row.gold == TWO_WAY[1]:
        gold = np.array([name != THREE_WAY[0] for name in THREE_WAY])
    slope = head.T @ (p - p * gold / p[gold].sum())
    return float(-np.log(p[gold].sum())), np.outer(place, slope), vectors, p


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_a_batch_gives_each_pair_the_gradient_it_has_alone(victim: Victim, scale: float) -> None:
    gold = ["entailment", "non-entailment", "contradiction", "neutral", "entailment"]
    pairs = victim.pairs(asked(table(HYPOTHESES, PREMISES).assign(label=gold)), "word")
    lengths = [len(pair.owner) for pair in pairs]
    assert len(set(lengths)) >= 4  # so that most are padded
    together = victim.slopes(pairs, scale)
    for row, (pair, length) in enumerate(zip(pairs, lengths, strict=True)):
        alone = victim.slopes([pair], scale)
        assert alone.gradient[0].abs().amax(-1)[torch.tensor(pair.owner) >= 0].min() > 1e-5
        assert torch.allclose(together.loss[row], alone.loss[0], rtol=0, atol=1e-5)
        assert torch.allclose(together.gradient[row, :length], alone.gradient[0], rtol=1e-5, atol=1e-5)
        weight = cast(Any, victim.model.get_input_embeddings()).weight[pair.inputs["input_ids"]]
        factor = torch.where(torch.tensor(pair.owner) >= 0, scale, 1.0)[:, None]
        assert torch.allclose(together.embedding[row, :length], factor * weight, rtol=0, atol=1e-5)
        assert not together.gradient[row, length:].any()  # padding is no one's input


def test_batches_order_and_padding_change_no_attack(victim: Victim) -> None:
    rows = table(HYPOTHESES * 2, PREMISES)
    chosen = set()
    for ranking in RANKINGS:
        one = run(victim, rows, 1, ranking=ranking, integration_steps=4)
        pd.testing.assert_frame_equal(run(victim, rows, 64, ranking=ranking, integration_steps=4), one)
        turned = run(victim, rows.iloc[::-1], 4, ranking=ranking, integration_steps=4)
        pd.testing.assert_frame_equal(turned.iloc[::-1].reset_index(drop=True), one)
        chosen.add(tuple(one["hypothesis"]))
    assert len(chosen) >= 5  # the rankings differ, or this test would say little


def test_special_tokens_and_the_premise_belong_to_no_word(victim: Victim) -> None:
    for unit in ("word", "token"):
        pairs = victim.pairs(asked(table(HYPOTHESES, PREMISES)), unit)
        for pair in pairs:
            special = set(victim.tokenizer.all_special_ids) - {victim.tokenizer.unk_token_id}
            owned = [place for place, owner in enumerate(pair.owner) if owner >= 0]
            numbers = pair.inputs["input_ids"]
            assert not special & {numbers[place] for place in owned}
            # The hypothesis is what the owned tokens say, and nothing before them is.
            said = victim.tokenizer.decode(numbers[owned[0] : owned[-1] + 1]).lower().replace(" ", "")
            assert said.strip(".!") == pair.hypothesis.lower().replace(" ", "").strip(".!")
            assert set(pair.owner) == {-1, *range(len(pair.spans))}
            assert len(pair.spans) >= len(words(pair.hypothesis))


def test_rankings_are_what_the_toys_paper_says(toy: Victim) -> None:
    rows = TOY_ROWS.assign(label=["entailment", "non-entailment", "contradiction", "neutral"] * 2)
    pairs = toy_pairs(toy, rows)
    slopes = toy.slopes(pairs)
    for number, pair in enumerate(pairs):
        loss, gradient, vectors, _ = by_hand(toy, pair)
        assert np.allclose(slopes.loss[number], loss, atol=1e-5)
        assert np.allclose(slopes.gradient[number, : len(pair.owner)], gradient, atol=1e-5)
        steps = [by_hand(toy, pair, (step + 0.5) / 16)[1] for step in range(16)]
        own = [[place for place, owner in enumerate(pair.owner) if owner == span] for span in range(len(pair.spans))]
        expected = {
            "l1": [np.abs(gradient[places]).sum() for places in own],
            "l2": [np.sqrt((gradient[places] ** 2).sum()) for places in own],
            "lowest": [-np.abs(gradient[places]).sum() for places in own],
            "grad_x_input": [abs((gradient * vectors)[places].sum()) for places in own],
            "integrated_gradients": [abs((np.mean(steps, axis=0) * vectors)[places].sum()) for places in own],
            "leave_one_out": [by_hand(toy, toy.pairs([pair.having({span: ""})], "word")[0])[0] for span in pair.spans],
        }
        for ranking, scores in expected.items():
            assert np.allclose(
                rank(toy, pairs, recipe(ranking=ranking), rows["id"].tolist(), 0).scores[number], scores, atol=1e-5
            )
        first = pair.spans[int(np.argmax(expected["l1"]))]
        assert run(toy, rows)["hypothesis"][number] == rewrite(pair.hypothesis, {first: "[MASK]"})[0]
    # Completeness: with one word, its attribution is the loss with it less the loss with its embeddings at zero.
    single = pairs[3]
    assert len(single.spans) == 1 and single.owner.count(0) == 2
    (score,) = rank(toy, [single], recipe(ranking="integrated_gradients", integration_steps=64), ["x"], 0).scores[0]
    assert score > 0.05
    assert score == pytest.approx(abs(by_hand(toy, single)[0] - by_hand(toy, single, 0.0)[0]), abs=1e-3)


@pytest.mark.parametrize("changes", [{}, {"keep_negation": True}, {"min_similarity": 0.8}])
def test_hotflip_finds_what_trying_every_word_finds(toy: Victim, changes: dict[str, Any]) -> None:
    rows = TOY_ROWS
    whole = [name for name in VOCABULARY if name.isalpha() and len(name) > 1]
    table_ = cast(Any, toy.model).table.weight.double().numpy()
    found = run(toy, rows, perturbation="hotflip", **changes)
    put_in, passed_over = [], 0
    for row, pair in zip(records(found), toy_pairs(toy, rows), strict=True):
        _, gradient, vectors, _ = by_hand(toy, pair)
        scores = np.array([np.abs(gradient[np.array(pair.owner) == span]).sum() for span in range(len(pair.spans))])
        expected = pair.hypothesis
        for span in scores.argsort()[::-1]:  # where no word can stand in, the next word's turn comes
            place, was = pair.owner.index(span), pair.hypothesis[slice(*pair.spans[span])]
            gain = {}
            for name in whole:
                new, old = table_[VOCABULARY.index(name)], vectors[place]
                near = new @ old / np.linalg.norm(new) / np.linalg.norm(old) >= changes.get("min_similarity", -1)
                negation = changes.get("keep_negation") and {name, was} & {"not", "never"}
                if near and not negation and name.lower() != was.lower():
                    gain[name] = (new - old) @ gradient[place]
            if gain:
                put_in.append(max(gain, key=lambda name: gain[name]))
                expected = rewrite(pair.hypothesis, {pair.spans[span]: put_in[-1]})[0]
                break
            passed_over += 1
        assert row.hypothesis == expected
    assert ("not" in put_in) == (changes == {}), put_in  # a constraint keeps it out, and without one it goes in
    assert len(put_in) >= 4 and (passed_over > 0) == ("min_similarity" in changes)


def test_hotflip_refuses_a_vocabulary_without_words(toy: Victim) -> None:
    with pytest.raises(UserError, match="no whole words"):
        toy.tokenizer.decode = lambda *_: "1"  # type: ignore[method-assign]
        run(toy, TOY_ROWS, perturbation="hotflip")


def test_a_two_way_label_is_right_where_either_of_its_two_is(toy: Victim) -> None:
    seen = set()
    for gold in (*THREE_WAY, TWO_WAY[1]):
        pairs = toy_pairs(toy, TOY_ROWS.assign(label=gold))
        wrong, loss = toy.wrong(pairs), toy.loss(toy.logits(pairs), [pair.row for pair in pairs])
        for number, pair in enumerate(pairs):
            p = by_hand(toy, pair)[3]
            says = THREE_WAY[int(p.argmax())]
            right = says == gold or (gold == TWO_WAY[1] and says != THREE_WAY[0])
            assert wrong[number] == (not right)
            mass = p[1] + p[2] if gold == TWO_WAY[1] else p[THREE_WAY.index(gold)]
            assert float(loss[number]) == pytest.approx(-np.log(mass), abs=1e-5)
            seen.add((gold, says))
    assert seen >= {(TWO_WAY[1], name) for name in THREE_WAY}


def test_a_budget_is_spent_or_stops_at_the_first_wrong_answer(toy: Victim) -> None:
    spent = run(toy, TOY_ROWS, max_words=3)
    assert [len(load(value)) for value in spent["changes"]] == [min(3, len(words(text))) for text in spent["original"]]
    stopped = run(toy, TOY_ROWS, max_words=3, until="wrong")
    lengths = set()
    for row, full in zip(records(stopped), records(spent), strict=True):
        before = Row(row.premise, row.original, "nli", row.label)
        order = rank(toy, toy.pairs([before], "word"), recipe(), ["x"], 0).scores[0].argsort()
        spans, text = words(row.original), ""
        for count in range(1, 4):  # one word more each time, until the model is wrong
            text, edits = rewrite(row.original, {spans[span]: "[MASK]" for span in order[::-1][:count]})
            (pair,) = toy.pairs([before._replace(hypothesis=text)], "word")
            if THREE_WAY[int(by_hand(toy, pair)[3].argmax())] != row.label or count == len(spans):
                break
        assert (row.hypothesis, row.changes) == (text, dump(edits))
        assert len(edits) < 3 or row.hypothesis == full.hypothesis
        lengths.add(len(edits))
    assert lengths == {1, 2, 3}


@pytest.mark.parametrize("perturbation", ["mask", "delete", "hotflip"])
def test_odd_hypotheses_are_changed_or_say_why_not(victim: Victim, perturbation: str) -> None:
    for unit, max_words in (("word", 1), ("token", 3)):
        found = run(victim, table(ODD, PREMISES), perturbation=perturbation, max_words=max_words, unit=unit)
        if perturbation == "delete" and unit == "word":
            assert set(found["reason"][found["original"].isin(["Yes", "🎸", "?!", "don't"])]) == {
                "nothing would be left of the hypothesis"
            }
        assert (found["reason"] == "").sum() >= 4
    left = attack(table(ODD, PREMISES), victim, recipe(perturbation="none"), 8, 0)
    assert left["hypothesis"].tolist() == ODD and set(left["changes"]) == {"[]"} and set(left["reason"]) == {""}


def test_words_outside_the_window_are_never_chosen(victim: Victim) -> None:
    long, premise = "word " * 80 + "end", "A man plays a guitar. " * 30
    rows = table([long, "A man sleeps", "a dog"], ["So.", premise])
    for ranking in ("l1", "leave_one_out", "random"):
        found = run(victim, rows, ranking=ranking, max_words=100, perturbation="hotflip", integration_steps=2)
        assert 0 < len(load(found["changes"][0])) < WINDOW and found["hypothesis"][0].endswith("word word word end")
        assert load(found["changes"][1])  # the premise alone fills the window: the longer side is cut


def test_the_seed_moves_the_dice_and_nothing_else(victims: dict[str, Victim]) -> None:
    rows = table(HYPOTHESES * 2, PREMISES)
    first, again, other = (run(victims["bert"], rows, ranking="random", seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert (first["hypothesis"] != other["hypothesis"]).sum() >= 3
    assert first["hypothesis"][0] != first["hypothesis"][5]  # the same sentence under another id
    pd.testing.assert_frame_equal(run(victims["bert"], rows, seed=0), run(victims["bert"], rows, seed=1))


@pytest.mark.parametrize("labels", [THREE_WAY, TWO_WAY])
def test_a_sample_is_balanced_and_holds_the_smaller_one(labels: tuple[str, ...]) -> None:
    rows = table(["text"] * 60, ["text"], (*labels, labels[0]))  # the first label is twice as frequent
    small, large, whole = (pick(rows, labels, size, 0) for size in (4, 9, 1000))
    fewest = int(rows["label"].value_counts().min())
    for sample, size in ((small, 4), (large, 9), (whole, fewest)):
        assert sample["label"].value_counts().to_dict() == dict.fromkeys(labels, size)
        assert sample["id"].tolist() == [name for name in rows["id"] if name in set(sample["id"])]
    assert set(small["id"]) < set(large["id"]) < set(whole["id"])
    assert set(small["id"]) != set(pick(rows, labels, 4, 1)["id"])
    backwards = pick(rows.iloc[::-1], labels, 4, 0)
    assert backwards["id"].tolist() == small["id"].tolist()[::-1]


@pytest.mark.parametrize(
    ("text", "chosen", "new", "expected"),
    [
        ("one two, three.", [0], "[MASK]", "[MASK] two, three."),
        ("one two, three.", [0, 1, 2], "x", "x x, x."),
        ("one two three", [0], "", "two three"),
        ("one two three", [1], "", "one three"),
        ("one two three", [2], "", "one two"),
        ("one two three", [0, 1], "", "three"),
        ("one two three", [0, 2], "", "two"),
        ("one two three.", [1, 2], "", "one ."),
        ("one two three", [0, 1, 2], "", ""),
        ("don't stop 🎸", [0], "", "stop 🎸"),
    ],
)
def test_edits_say_where_the_new_text_stands_and_what_stood_there(
    text: str, chosen: list[int], new: str, expected: str
) -> None:
    spans = [words(text)[number] for number in chosen]
    changed, edits = rewrite(text, dict.fromkeys(reversed(spans), new))
    assert changed == expected
    assert [edit.was.strip() for edit in edits] == [text[slice(*span)] for span in spans]
    assert [changed[edit.start : edit.end] for edit in edits] == [new] * len(spans)
    assert undo(changed, edits).replace(" ", "") == text.replace(" ", "")
    assert load(dump(edits)) == edits
    assert rewrite(text, {}) == (text, []) and load(dump([])) == []


def test_negation_is_neither_touched_nor_put_in(victims: dict[str, Victim]) -> None:
    rows = table(["Nobody sleeps", "I don't know", "It is not so", "never", "cannot"], PREMISES)
    for perturbation in ("mask", "delete", "hotflip"):
        found = run(victims["bert"], rows, perturbation=perturbation, keep_negation=True, max_words=9)
        for before, after in zip(found["original"], found["hypothesis"], strict=True):
            assert NEGATION.findall(after) == NEGATION.findall(before)
        assert (
            found["reason"].str.startswith("no word of the hypothesis may be changed").tolist()
            == [False] * 3 + [True] * 2
        )
    assert any(NEGATION.search(edit.was) for value in run(victims["bert"], rows)["changes"] for edit in load(value))


def test_a_filler_proposes_and_the_victim_chooses(
    victims: dict[str, Victim], tiny_encoder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_encoder)
    tokenizer.save_pretrained(tmp_path)
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), initializer_range=0.2, **SIZES)).save_pretrained(tmp_path)
    rows, bert = table(HYPOTHESES, PREMISES), victims["bert"]
    fill: dict[str, Any] = {"perturbation": "mlm_fill", "filler": str(tmp_path)}
    likeliest, best = (run(bert, rows, **fill, candidates=count) for count in (1, 64))
    filler: Any = AutoModelForMaskedLM.from_pretrained(tmp_path)
    pairs = bert.pairs(asked(rows), "word")
    for pair, one in zip(pairs, records(likeliest), strict=True):
        expected = pair.hypothesis
        for span in (
            rank(bert, [pair], recipe(), ["x"], 0).scores[0].argsort()[::-1]
        ):  # until the likeliest piece is a word
            masked = rewrite(pair.hypothesis, {pair.spans[span]: "[MASK]"})[0]
            batch = tokenizer(pair.row.premise, masked, return_tensors="pt")
            place = batch["input_ids"][0].tolist().index(tokenizer.mask_token_id)
            word = tokenizer.decode([int(filler(**batch).logits[0, place].argmax())])
            if word.isalpha():
                expected = masked.replace("[MASK]", word)
                break
        assert one.hypothesis == expected
    assert (likeliest["reason"] == "").any() and (best["reason"] == "").all()

    def losses(found: pd.DataFrame) -> Floats:
        return bert.losses(asked(found), 8)

    gain = (losses(best) - losses(likeliest))[likeliest["reason"] == ""]
    assert (gain >= 0).all() and gain.any()
    with pytest.raises(UserError, match=f"filler {tiny_encoder}: not a masked language model"):
        run(bert, rows, perturbation="mlm_fill", filler=str(tiny_encoder))
    with pytest.raises(UserError, match="cannot load the model no/such-model"):
        run(bert, rows, perturbation="mlm_fill", filler="no/such-model")


def test_every_recipe_loads_and_a_broken_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = list(read_yaml(ROOT / "conf/recipes.yaml"))
    rowless = [name for name in names if load_recipe(name, ROOT / "conf") is None]
    assert len(names) >= 15 and rowless == ["freelb"] and load_freelb("freelb", ROOT / "conf")
    monkeypatch.chdir(ROOT)
    assert load_attack("gradient-mask") == recipe(paper=load_attack("gradient-mask").paper)
    with pytest.raises(UserError, match="'freelb' perturbs embeddings and makes no rows"):
        load_attack("freelb")
    with pytest.raises(UserError, match=r"unknown recipe 'hotflap': .*did you mean 'hotflip'"):
        load_attack("hotflap")
    valid = "{paper: p, ranking: l1, perturbation: mask"
    for entry, message in {
        valid.replace("l1", "l3") + "}": r"recipes.yaml: x\.ranking: got 'l3'",
        valid + ", unti: wrong}": r"x\.unti: unknown parameter \(did you mean 'until'\?\)",
        valid + ", max_words: 0}": r"x\.max_words: got 0",
        valid + ", filler: f}": "mlm_fill and a filler .* go together",
        valid.replace("mask", "mlm_fill") + "}": "mlm_fill and a filler .* go together",
        valid + ", min_similarity: 0.5}": "which only hotflip replaces",
        "{paper: p, method: freelb, ascents: 0, start: 0, step_size: 1, limit: 1}": r"x\.ascents: got 0",
        "{paper: p, method: freelbb, ascents: 1, start: 0, step_size: 1, limit: 1}": r"x\.method: got 'freelbb'",
        "{ranking: l1, perturbation: mask}": r"x\.paper: is missing",
        "[mask]": r"recipes.yaml: x: got \['mask'\]",
    }.items():
        write_text(tmp_path / "recipes.yaml", f"x: {entry}\n")
        with pytest.raises(UserError, match=message):
            load_freelb("x", tmp_path) or load_recipe("x", tmp_path)


def test_names_that_nothing_makes_and_a_judge_that_is_attacked_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    harden = {"arms": ["human"], "against": ["gradient-mask", "freelb"]}
    chosen: dict[str, Any] = {"suites": ["hans"], "victims": ["human"], "readers": ["human", "other"]}
    chosen |= {"recipes": ["hotflip"], "judge": "other", "n_per_class": 1, "suite_rows_per_class": 1, "validate": True}

    both = ["human", "other"]

    def check(hardening: dict[str, Any] | None = None, **changes: object) -> None:
        top = {"tasks": ["nli"], "generators": [], "sets": [], "suites": ["hans"], "seeds": [1]}
        made = Run.model_validate({**top, "arms": both, "models": both, "harden": {**harden, **(hardening or {})}})
        check_attack(made, AttackSettings.model_validate({**chosen, **changes}))

    check()
    for changes, message in (
        ({"suites": ["hams"]}, r"attack\.suites: 'hams' is not among suites .*did you mean 'hans'"),
        ({"victims": ["humans"]}, r"attack\.victims: 'humans' is not among models"),
        ({"readers": ["nobody"]}, r"attack\.readers: 'nobody' is not among models"),
        ({"readers": ["other"]}, r"attack\.victims: 'human' is not among attack\.readers"),
        ({"recipes": ["freelb"]}, "can harden, not attack a suite"),
        ({"recipes": ["unknown"]}, "unknown recipe 'unknown'"),
        ({"judge": "nobody"}, r"attack\.judge: 'nobody' is not among arms"),
        ({"judge": "human"}, r"attack\.judge: 'human' is attacked itself"),
        ({"hardening": {"arms": ["nobody"]}}, r"harden\.arms: 'nobody' is not among arms"),
        ({"hardening": {"against": ["unknown"]}}, "unknown recipe 'unknown'"),
    ):
        with pytest.raises(UserError, match=message):
            check(**cast(dict[str, Any], changes))
    check(victims=[], readers=[], judge="nobody", hardening={"arms": [], "against": []})  # nothing to judge


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_hotflip_puts_in_whole_words(victims: dict[str, Victim], name: str) -> None:
    tokenizer = victims[name].tokenizer
    for row in records(run(victims[name], table(HYPOTHESES * 2, PREMISES), perturbation="hotflip", max_words=9)):
        for edit in load(row.changes):
            word = row.hypothesis[edit.start : edit.end]
            assert len(tokenizer.tokenize(f"A {word}")) == len(tokenizer.tokenize("A")) + 1, word


def test_negation_is_kept_when_single_tokens_are_masked(victims: dict[str, Victim]) -> None:
    found = run(victims["bert"], table(["I don't"], PREMISES), keep_negation=True, unit="token", max_words=9)
    assert "don't" in found["hypothesis"][0]


def test_leave_one_out_of_a_batch_without_any_token_to_leave_out(victims: dict[str, Victim]) -> None:
    found = run(victims["bert"], table(["\u200b"], PREMISES), ranking="leave_one_out", unit="token")
    assert found["reason"].str.startswith("no word of the hypothesis may be changed").all()


@pytest.mark.parametrize("unit", ["word", "token"])
def test_a_mask_that_the_hypothesis_spells_out_is_not_masked_again(victims: dict[str, Victim], unit: str) -> None:
    found = attack(table(["The [MASK] is here"], PREMISES), victims["bert"], recipe(unit=unit, max_words=9), 8, 0)
    assert {edit.was for edit in load(found["changes"][0])} == {"The", "is", "here"}


def test_until_wrong_changes_at_least_one_word(toy: Victim) -> None:
    near: dict[str, Any] = {"perturbation": "hotflip", "min_similarity": 0.8, "max_words": 1}
    for label in THREE_WAY:
        rows = TOY_ROWS.assign(label=label)
        pd.testing.assert_frame_equal(run(toy, rows, until="wrong", **near), run(toy, rows, **near))


@pytest.mark.parametrize(
    "spellings",
    [
        ["dog"],
        pytest.param(["dog", "Dog"]),
    ],
)
def test_hotflip_passes_over_the_word_itself(toy: Victim, spellings: list[str]) -> None:
    vectors, head = cast(Any, toy.model).table.weight, cast(Any, toy.model).head
    for name in spellings:
        vectors[VOCABULARY.index(name)] = -9 * head[0]  # nothing raises the loss more than the word itself
    assert run(toy, table(["dog"], ["man"]), perturbation="hotflip")["hypothesis"][0] == "not"


@pytest.mark.parametrize(
    ("text", "chosen", "expected"), [("one two three", [1, 2], "one"), ("a b c d", [0, 2, 3], "b"), ("a b", [1], "a")]
)
def test_deletions_leave_no_blank_at_the_end_and_undo_to_the_letter(
    text: str, chosen: list[int], expected: str
) -> None:
    changed, edits = rewrite(text, {words(text)[number]: "" for number in chosen})
    assert changed == expected and undo(changed, edits) == text


def test_a_word_keeps_its_combining_mark() -> None:
    for text in ("cafe\u0301 no", "हिन्दी नहीं है", "எப்படி நீங்கள்"):
        assert [text[slice(*span)] for span in words(text)] == text.split()


@pytest.mark.parametrize(("ranking", "count"), [("l1", 1), ("integrated_gradients", 5), ("random", 1)])
def test_a_batch_costs_the_gradients_of_its_ranking_and_hotflip_uses_them(
    toy: Victim, monkeypatch: pytest.MonkeyPatch, ranking: str, count: int
) -> None:
    calls: list[float] = []
    slopes = toy.slopes
    monkeypatch.setattr(toy, "slopes", lambda pairs, scale=1.0: calls.append(scale) or slopes(pairs, scale))
    run(toy, TOY_ROWS, ranking=ranking, integration_steps=5, max_words=3)
    assert len(calls) == (0 if ranking == "random" else count)
    calls.clear()
    run(toy, TOY_ROWS, ranking=ranking, integration_steps=5, max_words=3, perturbation="hotflip")
    assert len(calls) == count + (ranking == "integrated_gradients")
