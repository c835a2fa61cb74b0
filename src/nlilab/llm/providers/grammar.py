"""The embedded generator and judge `grammar`: a compositional English grammar, not a language model.

It needs neither key nor network and never reads the prompt: `Request.meta` tells it the task and which step to answer.
It writes and judges only its own texts. Three parameters make its answers as imperfect as a language model's: `noise`
(share of instances that break the asked label), `judge_accuracy` (share of true judgements), `mess` (share of answers
in a chatty format, a tenth of them unusable).
"""

import json
from collections.abc import Callable, Mapping, Sequence

from nlilab.llm.errors import ErrorKind, ProviderError
from nlilab.llm.grammar import KINDS, ForeignText, Kind, contexts
from nlilab.llm.grammar.balance import LABELS
from nlilab.llm.grammar.cast import fraction
from nlilab.llm.request import Finish, Request, Response

__all__ = ["LABELS", "Grammar"]
JUDGE_ACCURACY = 0.95
UNUSABLE = 0.1  # of the messy answers

# Which of three labels a broken answer has, by the asked one: the near misses first, with the share of the first.
_MISSES = {
    "entailment": ("neutral", "contradiction", 0.85),
    "neutral": ("entailment", "contradiction", 0.6),
    "contradiction": ("neutral", "entailment", 0.85),
}
_LIMITS = (
    "`grammar` is no language model: it writes and judges only on its own texts; for anything else set "
    "plan.generator (to write) or correct.judge (to judge) to a language model"
)


class Grammar:
    """A provider that answers from the grammar; the same request gives the same answer on every machine."""

    batch = 256

    def __init__(self, model: str, base_url: str | None = None) -> None:
        self._model = model
        self._base_url = base_url

    async def answer(self, requests: Sequence[Request]) -> list[Response | ProviderError]:
        """One response or error for each request, in order."""
        return [_answer(request) for request in requests]


def _answer(request: Request) -> Response | ProviderError:
    step = request.meta.get("step", "")
    try:
        if step not in _STEPS:
            raise ValueError(f"step {step!r} is none of {', '.join(_STEPS)}")
        value = _STEPS[step](request, request.meta)
        text, finish = _written(request, value)
    except (ForeignText, ValueError, TypeError) as error:
        return ProviderError(ErrorKind.BAD_REQUEST, " ".join(f"{error}; {_LIMITS}".split()))
    except KeyError as error:
        return ProviderError(ErrorKind.BAD_REQUEST, f"step {step!r} came without {error}; {_LIMITS}")
    asked = sum(len(content.split()) for _, content in request.messages)
    return Response(request.key, text, finish, request.model, asked, len(text.split()))


def _share(request: Request, name: str, default: float) -> float:
    value = float(request.parameters.get(name, default))
    if not 0 <= value <= 1:
        raise ValueError(f"parameter {name} is {value}, expected a share between 0 and 1")
    return value


def _chance(request: Request, purpose: str, share: float) -> bool:
    return fraction(request.key, purpose) < share


def _contexts(request: Request, meta: Mapping[str, str]) -> dict[str, object]:
    return {"contexts": contexts()[: int(meta["n"])]}


def _kind(meta: Mapping[str, str]) -> Kind:
    task = meta.get("task", "nli")
    if task not in KINDS:
        raise ValueError(f"task {task!r} is none of {', '.join(KINDS)}")
    return KINDS[task]


def _seeds(request: Request, meta: Mapping[str, str]) -> dict[str, object]:
    """Texts where the task has one seed field, else objects."""
    offset = int(meta.get("offset", "0"))
    found = [dict(seed) for seed in _kind(meta).seeds(meta["context"], offset + int(meta["n"]))[offset:]]
    return {"seeds": [next(iter(seed.values())) if len(seed) == 1 else seed for seed in found]}


def _label(kind: Kind, name: str) -> str:
    if name not in kind.labels:
        raise ValueError(f"label {name!r} is none of {', '.join(kind.labels)}")
    return name


def _missed(request: Request, kind: Kind, label: str) -> str:
    """The label that an answer has which breaks the one that is asked for."""
    if label in _MISSES and len(kind.labels) > 2:
        near, far, share = _MISSES[label]
        return near if _chance(request, "miss", share) else far
    return next(name for name in kind.labels if name != label)


def _generate(request: Request, meta: Mapping[str, str]) -> dict[str, object]:
    kind = _kind(meta)
    label = _label(kind, meta["label"])
    if _chance(request, "noise", _share(request, "noise", 0.0)):
        label = _missed(request, kind, label)
    given = {name: meta[name] for name in kind.given}
    options = sorted(
        (made.fields for made in kind.instances(meta["context"], given) if made.label == label),
        key=lambda fields: fraction(*given.values(), meta["label"], *(fields[name] for name in kind.writes)),
    )
    chosen = options[request.sample % len(options)]
    return {name: chosen[name] for name in meta.get("writes", ",".join(kind.writes)).split(",")}


def _correct(request: Request, meta: Mapping[str, str]) -> dict[str, object]:
    kind = _kind(meta)
    found = kind.judge(meta["context"], meta)
    label = found.label
    if not _chance(request, "judge", _share(request, "judge_accuracy", JUDGE_ACCURACY)):
        others = [name for name in kind.labels if name != label]
        label = others[_chance(request, "error", 0.5) and len(others) > 1]
    return {"label": label, "explanation": found.why[label]}


_STEPS: dict[str, Callable[[Request, Mapping[str, str]], dict[str, object]]] = {
    "contexts": _contexts,
    "seeds": _seeds,
    "generate": _generate,
    "correct": _correct,
}


def _written(request: Request, value: dict[str, object]) -> tuple[str, Finish]:
    """The answer's text: plain JSON, or in one of the formats in which chatty models wrap it."""
    text = json.dumps(value, ensure_ascii=False)
    if not _chance(request, "mess", _share(request, "mess", 0.0)):
        return text, Finish.STOP
    if _chance(request, "unusable", UNUSABLE):
        if _chance(request, "empty", 0.5):
            return "", Finish.EMPTY
        return "I'm sorry, but I can't help with that request.", Finish.STOP
    ways = (
        f"```json\n{text}\n```",
        f"Sure! Here is the answer:\n\n```json\n{json.dumps(value, ensure_ascii=False, indent=2)}\n```",
        _listed(value) or text,
        f"{text}\n\nI hope this helps! Let me know if you need anything else.",
    )
    return ways[int(fraction(request.key, "way") * len(ways))], Finish.STOP


def _listed(value: dict[str, object]) -> str:
    """The answer without JSON: a numbered list for lists, "Name: text" lines for texts; "" where lines will not do."""
    lines: list[str] = []
    for name, content in value.items():
        entries = content if isinstance(content, list) else [content]
        if not all(isinstance(entry, str) and "\n" not in entry for entry in entries):
            return ""
        if isinstance(content, list):
            lines += [f"{number}. {entry}" for number, entry in enumerate(content, start=1)]
        else:
            lines.append(f"{name.capitalize()}: {content}")
    return "\n".join(lines)
