"""What the two providers' servers send, as pure functions: answers, batches and their results, models, errors."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

INPUT_TOKENS, OUTPUT_TOKENS = 7, 5
WHEN = "2026-01-01T00:00:00Z"
EXPIRED = 0  # the status of a batch's call that was never worked on

# Behaviours that are an HTTP error: status, extra headers, the body's error object.
ERRORS: dict[str, tuple[int, dict[str, str], Json]] = {
    "429": (429, {}, {"type": "rate_limit_error", "message": "slower, please"}),
    "429-after": (429, {"Retry-After": "1"}, {"type": "rate_limit_error", "message": "slower, please"}),
    "quota": (429, {}, {"type": "insufficient_quota", "code": "insufficient_quota", "message": "no credit left"}),
    "credit": (400, {}, {"type": "invalid_request_error", "message": "Your credit balance is too low"}),
    "401": (401, {}, {"type": "authentication_error", "message": "invalid key {key}"}),
    "400": (400, {}, {"type": "invalid_request_error", "message": "no such parameter, said {key}"}),
    "no-system": (400, {}, {"type": "BadRequestError", "message": "System role not supported"}),
    "404": (404, {}, {"type": "not_found_error", "message": "no such thing here"}),
    "500": (500, {}, {"type": "api_error", "message": "internal"}),
    "503": (503, {}, {"type": "api_error", "message": "not now"}),
    "529": (529, {}, {"type": "overloaded_error", "message": "overloaded"}),
}


@dataclass(frozen=True)
class Item:
    """One call of a batch: its custom_id, its prompt and what came of it (`answer` with its HTTP `status`)."""

    key: str
    prompt: str
    status: int
    answer: Json


@dataclass
class Batch:
    """One batch; `failed` is the code with which it was refused as a whole, `looks` how often its state was asked."""

    id: str
    protocol: str
    items: list[Item]
    metadata: dict[str, str] = field(default_factory=dict)
    failed: str | None = None
    looks: int = 0

    def shuffled(self) -> list[Item]:
        """The items in the order of the results, which is any but the same each time."""
        return random.Random(self.id).sample(self.items, len(self.items))


def error(behaviour: str, key: str) -> Json:
    """The body of an HTTP error; servers do quote keys back."""
    _, _, told = ERRORS[behaviour]
    return {"type": "error", "error": {**told, "message": told["message"].format(key=key)}}


def message(model: str, text: str, behaviour: str, read: int, written: int) -> Json:
    """Anthropic's answer; `read` and `written` are the cached tokens among the input."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{model}-20260101",
        "content": [{"type": "text", "text": text}],
        "stop_reason": {"length": "max_tokens", "refused": "refusal"}.get(behaviour, "end_turn"),
        "usage": {
            "input_tokens": INPUT_TOKENS - read - written,  # Anthropic leaves the cached ones out
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
            "output_tokens": OUTPUT_TOKENS,
        },
    }


def completion(model: str, text: str, behaviour: str, read: int, written: int) -> Json:
    """OpenAI's answer; it says nothing of what was written into the cache."""
    reason = {"length": "length", "refused": "content_filter"}.get(behaviour, "stop")
    return {
        "id": "cmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": f"{model}-20260101",
        "choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": text}}],
        "usage": {
            "prompt_tokens": INPUT_TOKENS,
            "completion_tokens": OUTPUT_TOKENS,
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
            "prompt_tokens_details": {"cached_tokens": read},
        },
    }


ANSWERS = {"anthropic": message, "openai": completion}


def anthropic_batch(batch: Batch, ended: bool, url: str) -> Json:
    """A message batch; the server counts nothing before all of it has ended."""
    tally = Counter(_result_type(item) if ended else "processing" for item in batch.items)
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        "request_counts": {n: tally[n] for n in ("processing", "succeeded", "errored", "canceled", "expired")},
        "created_at": WHEN,
        "expires_at": WHEN,
        "ended_at": WHEN if ended else None,
        "results_url": f"{url}/v1/messages/batches/{batch.id}/results" if ended else None,
    }


def anthropic_results(batch: Batch) -> list[Json]:
    """The lines of the one results file."""
    return [{"custom_id": item.key, "result": _result(item)} for item in batch.shuffled()]


def _result(item: Item) -> Json:
    kind = _result_type(item)
    part = {"succeeded": "message", "errored": "error"}.get(kind)
    return {"type": kind} | ({part: item.answer} if part else {})


def _result_type(item: Item) -> str:
    return {200: "succeeded", EXPIRED: "expired"}.get(item.status, "errored")


def openai_batch(batch: Batch, ended: bool) -> Json:
    """A batch; it is `expired` as a whole where one of its calls is."""
    statuses = Counter(item.status for item in batch.items)
    good, bad = statuses[200], len(batch.items) - statuses[200]
    reason = {"code": batch.failed, "message": f"refused: {batch.failed}", "line": None, "param": None}
    ran = ended and batch.failed is None
    status = "failed" if batch.failed else "expired" if statuses[EXPIRED] else "completed"
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "created_at": 0,
        "input_file_id": "file-of-" + batch.id,
        "status": status if ended else "in_progress",
        "errors": {"object": "list", "data": [reason]} if ended and batch.failed else None,
        "output_file_id": f"{batch.id}-output" if ran and good else None,
        "error_file_id": f"{batch.id}-errors" if ran and bad else None,
        "request_counts": {
            "total": 0 if batch.failed else len(batch.items),
            "completed": good if ran else 0,
            "failed": bad - statuses[EXPIRED] if ran else 0,
        },
        "metadata": batch.metadata or None,
    }


def openai_results(batch: Batch, errors: bool) -> list[Json]:
    """The lines of the output file or of the error file."""
    return [_line(item) for item in batch.shuffled() if (item.status != 200) is errors]


def _line(item: Item) -> Json:
    if item.status == EXPIRED:
        told = {"code": "batch_expired", "message": "This request could not be executed before the window ended."}
        return {"id": f"req-{item.key}", "custom_id": item.key, "response": None, "error": told}
    response = {"status_code": item.status, "request_id": "1", "body": item.answer}
    return {"id": f"req-{item.key}", "custom_id": item.key, "response": response, "error": None}


def file(name: str, size: int) -> Json:
    """OpenAI's file object."""
    return {
        "id": name,
        "object": "file",
        "bytes": size,
        "created_at": 0,
        "filename": f"{name}.jsonl",
        "purpose": "batch",
        "status": "processed",
    }


def model(name: str, protocol: str) -> Json:
    """A model as either protocol describes it."""
    if protocol == "anthropic":
        return {"id": name, "type": "model", "display_name": name, "created_at": WHEN, "lifecycle": "active"}
    return {"id": name, "object": "model", "created": 0, "owned_by": "loopback"}


def listing(objects: Sequence[Json]) -> Json:
    """A page that is the only one."""
    ends = {"first_id": objects[0]["id"], "last_id": objects[-1]["id"]} if objects else {}
    return {"object": "list", "data": list(objects), "has_more": False, **ends}
