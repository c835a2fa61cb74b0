"""All frames with their shares, and the sentence around them."""

from collections.abc import Callable
from dataclasses import replace

from nlilab.llm.grammar.cast import Dice, Scene, setting
from nlilab.llm.grammar.frames_count import comparison, numeral, quantified
from nlilab.llm.grammar.frames_open import attitude, conditional, disjunction, implicative, modal, notice
from nlilab.llm.grammar.frames_plain import (
    caption,
    crowd,
    encounter,
    negation,
    relative,
    snapshot,
    statement,
    time_order,
)
from nlilab.llm.grammar.lexicon import Domain
from nlilab.llm.grammar.morphology import sentence
from nlilab.llm.grammar.speech import clause

# How many of a domain's premises come from each frame, interleaved. Three in four are the shortest captions: on longer
# texts alone MiniLM stayed at the loss of chance for 120 steps.
_PLAN: tuple[tuple[Callable[[Dice, Domain], Scene], int], ...] = (
    (snapshot, 90),
    (caption, 6),
    (crowd, 1),
    (statement, 2),
    (encounter, 3),
    (negation, 2),
    (implicative, 1),
    (attitude, 2),
    (disjunction, 1),
    (time_order, 2),
    (relative, 2),
    (conditional, 1),
    (modal, 1),
    (notice, 1),
    (quantified, 1),
    (numeral, 1),
    (comparison, 1),
)


def finish(dice: Dice, scene: Scene) -> Scene:
    """Now and then set the scene in a sentence of its own or a clause before or after."""
    if not dice.chance(0.15):
        return replace(scene, text=sentence(scene.text))
    fact = setting(dice)
    said = clause(fact, scene.tense)
    core = sentence(scene.text)
    lower = scene.text if scene.text[:1].islower() else None
    ways = [f"{sentence(said)} {core}", f"{core} {sentence(said)}"]
    if lower and core.count(".") == 1:
        ways.append(sentence(f"{said}, and {lower}"))
    worlds = tuple(replace(world, true=(*world.true, fact)) for world in scene.worlds)
    return replace(scene, text=dice.pick(ways), worlds=worlds, events=(*scene.events, fact))


def draw(dice: Dice, domain: Domain, number: int, long: bool = False) -> Scene:
    """The scene with this number in its domain's sequence; `long`: none of the shortest captions."""
    frames = [frame for frame, share in _PLAN[1 if long else 0 :] for _ in range(share)]
    return finish(dice, frames[number * 17 % len(frames)](dice, domain))
