"""A real HTTP server on loopback that speaks both wire protocols, misbehaves on command and counts what it served."""

import asyncio
import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

PATHS = {"/v1/messages": "anthropic", "/v1/chat/completions": "openai"}

# Behaviours that are an HTTP error: status, extra headers, the body's error object.
ERRORS: dict[str, tuple[int, dict[str, str], dict[str, Any]]] = {
    "429": (429, {}, {"type": "rate_limit_error", "message": "slower, please"}),
    "429-after": (429, {"Retry-After": "1"}, {"type": "rate_limit_error", "message": "slower, please"}),
    "quota": (429, {}, {"type": "insufficient_quota", "code": "insufficient_quota", "message": "no credit left"}),
    "credit": (400, {}, {"type": "invalid_request_error", "message": "Your credit balance is too low"}),
    "401": (401, {}, {"type": "authentication_error", "message": "invalid key {key}"}),
    "400": (400, {}, {"type": "invalid_request_error", "message": "no such parameter, said {key}"}),
    "500": (500, {}, {"type": "api_error", "message": "internal"}),
    "529": (529, {}, {"type": "overloaded_error", "message": "overloaded"}),
}


class Loopback:
    """The server's script and its books: `script` is used up in order, then every request is answered well."""

    def __init__(self) -> None:
        self.script: deque[str] = deque()
        self.latency = 0.0
        self.answer: Callable[[str], str] = lambda prompt: f"echo: {prompt}"
        self.requests: list[dict[str, Any]] = []  # the bodies that came, in order
        self.answered: Counter[str] = Counter()  # good answers by the last message's content
        self.most_at_once = 0
        self.times: list[float] = []
        self.url = ""
        self._at_once = 0
        self._loop = asyncio.new_event_loop()

    def do(self, *behaviours: str) -> None:
        """Queue behaviours for the next requests.

        One of ERRORS, or ok, length, refused, empty, half (an emoji), malformed, cut, reset, slow.
        """
        self.script.extend(behaviours)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._one(reader, writer):
                    pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether the connection lives on."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.requests.append(body)
        self.times.append(self._loop.time())
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            behaviour = self.script.popleft() if self.script else "ok"
            await asyncio.sleep(30.0 if behaviour == "slow" else self.latency)
        finally:
            self._at_once -= 1
        if behaviour == "reset":
            writer.transport.abort()
            return False
        status, extra, payload = self._reply(first.split()[1], headers, body, behaviour)
        content = json.dumps(payload).encode() if behaviour != "malformed" else b'{"id": "x", "choi'
        head = {"Content-Type": "application/json", "Content-Length": str(len(content)), **extra}
        lines = [f"HTTP/1.1 {status} Loopback", *(f"{name}: {value}" for name, value in head.items())]
        cut = len(content) // 2 if behaviour == "cut" else len(content)
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content[:cut])
        await writer.drain()
        return behaviour != "cut"

    def _reply(
        self, path: str, headers: dict[str, str], body: dict[str, Any], behaviour: str
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        if behaviour in ERRORS:
            status, extra, error = ERRORS[behaviour]
            key = headers.get("authorization", "").removeprefix("Bearer ")  # servers do quote keys back
            return status, extra, {"type": "error", "error": {**error, "message": error["message"].format(key=key)}}
        prompt = body["messages"][-1]["content"]
        text = {"empty": "", "refused": "", "half": "half \ud83d"}.get(behaviour, self.answer(prompt))
        if behaviour not in ("malformed", "cut"):
            self.answered[prompt] += 1
        return 200, {}, (_message if PATHS[path] == "anthropic" else _completion)(body["model"], text, behaviour)


def _message(model: str, text: str, behaviour: str) -> dict[str, Any]:
    reason = {"length": "max_tokens", "refused": "refusal"}.get(behaviour, "end_turn")
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{model}-20260101",
        "content": [{"type": "text", "text": text}],
        "stop_reason": reason,
        "usage": {"input_tokens": 7, "output_tokens": 5},
    }


def _completion(model: str, text: str, behaviour: str) -> dict[str, Any]:
    reason = {"length": "length", "refused": "content_filter"}.get(behaviour, "stop")
    return {
        "id": "cmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": f"{model}-20260101",
        "choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
    }


@contextmanager
def serve() -> Iterator[Loopback]:
    """Run a server in a thread of its own; `url` is its root (the OpenAI SDK wants `url` + /v1)."""
    server = Loopback()
    ready = threading.Event()
    stop = asyncio.Event()

    async def main() -> None:
        listening = await asyncio.start_server(server._connection, "127.0.0.1", 0)
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        ready.set()
        await stop.wait()
        listening.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: server._loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        server._loop.call_soon_threadsafe(stop.set)
        thread.join()
