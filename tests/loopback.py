"""A real HTTP server on loopback that speaks both wire protocols, misbehaves on command and counts what it served."""

import asyncio
import json
import random
import re
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

import wire
from wire import ERRORS, Batch, Item, Json

MODELS = ("model-a", "model-b")
CUSTOM_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
AIMED = {"create-then-reset": "POST *batches"}


@dataclass(frozen=True)
class Call:
    """One HTTP request; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def protocol(self) -> str:
        return "anthropic" if "anthropic-version" in self.headers else "openai"

    @property
    def key(self) -> str:
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")

    def json(self) -> Any:
        return json.loads(self.content)

    def body(self) -> Json:
        """The JSON object that came, if one did."""
        return self.json() if self.headers.get("content-type") == "application/json" else {}

    def file(self) -> bytes:
        """The part `file` of a multipart form."""
        boundary = b"--" + self.headers["content-type"].partition("boundary=")[2].encode()
        parts = [part.partition(b"\r\n\r\n") for part in self.content.split(boundary)]
        return next(content for head, _, content in parts if b'name="file"' in head).removesuffix(b"\r\n")


KEY = "sk-planted-0123456789abcdef"  # the key of tests: no file and no message may hold it


class Loopback:
    """The server's script and its books: `script` is used up in order, then every request is answered well."""

    def __init__(self) -> None:
        self.script: deque[tuple[str, str]] = deque()  # pattern of "METHOD /path", behaviour
        self.latency = 0.0
        self.answer: Callable[[str], str] = lambda prompt: f"echo: {prompt}"
        self.endings: dict[str, str] = {}  # prompt -> length, refused, empty or half, online and in batches
        self.down: Callable[[Json], bool] = lambda body: False  # whether a call of this body meets a 503, always
        self.shape: Callable[[Json], Json] = lambda answer: answer  # what becomes of every good answer's body
        self.cached = (0, 0)  # tokens of each input that the prompt cache gave and took
        self.calls: list[str] = []  # "METHOD /path" of all requests, in order
        self.requests: list[Json] = []  # the JSON bodies that came, in order
        self.answered: Counter[str] = Counter()  # good answers by the last message's content: what was bought
        self.most_at_once = 0
        self.times: list[float] = []
        self.batches: list[Batch] = []  # in the order of creation
        self.batch_looks = 1  # a batch is in progress for this many looks at its state, and then has ended
        self.batch_expire: float | set[str] = 0.0  # share of the calls, or the prompts, that expire unworked
        self.batch_errors: dict[str, str] = {}  # prompt -> one of ERRORS, the result of its call in a batch
        self.batch_fail: str | None = None  # OpenAI: the code with which a batch is refused after its creation
        self.url = ""
        self._uploads: dict[str, bytes] = {}
        self._at_once = 0
        self._loop = asyncio.new_event_loop()

    def do(self, *behaviours: str, on: str | None = None) -> None:
        """Queue behaviours for the next requests, or the next ones whose "METHOD /path" matches `on` ("POST *files").

        One of ERRORS, or ok, length, refused, empty, half (an emoji), malformed, cut, reset, slow; create-then-reset
        waits for the next creation of a batch.
        """
        self.script.extend((on or AIMED.get(behaviour, "*"), behaviour) for behaviour in behaviours)

    def _next(self, call: Call) -> str:
        if "messages" in call.body() and self.down(call.body()):
            return "503"
        for place, (pattern, behaviour) in enumerate(self.script):
            if fnmatchcase(call.name, pattern):
                del self.script[place]
                return behaviour
        return "ok"

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._one(reader, writer):
                    pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether the connection lives on."""
        call = await _read(reader)
        self._note(call)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            behaviour = self._next(call)
            await asyncio.sleep(30.0 if behaviour == "slow" else self.latency)
        finally:
            self._at_once -= 1
        if behaviour == "create-then-reset":
            self._reply(call, "ok")
        if behaviour in ("reset", "create-then-reset"):
            writer.transport.abort()
            return False
        status, payload = self._reply(call, behaviour)
        content = _written(payload) if behaviour != "malformed" else b'{"id": "x", "choi'
        kind = "application/x-jsonl" if isinstance(payload, list) else "application/json"
        extra = ERRORS[behaviour][1] if behaviour in ERRORS else {}
        head = {"Content-Type": kind, "Content-Length": str(len(content)), **extra}
        lines = [f"HTTP/1.1 {status} Loopback", *(f"{name}: {value}" for name, value in head.items())]
        cut = len(content) // 2 if behaviour == "cut" else len(content)
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content[:cut])
        await writer.drain()
        return behaviour != "cut"

    def _note(self, call: Call) -> None:
        self.calls.append(call.name)
        self.times.append(self._loop.time())
        if call.headers.get("content-type") == "application/json":
            self.requests.append(call.json())

    def _reply(self, call: Call, behaviour: str) -> tuple[int, Json | list[Json]]:
        """Status and body: an object, or a list of lines."""
        if behaviour in ERRORS:
            return ERRORS[behaviour][0], wire.error(behaviour, call.key)
        try:
            return 200, self._route(call, behaviour)
        except LookupError:
            return 404, wire.error("404", call.key)
        except ValueError:
            return 400, wire.error("400", call.key)

    def _route(self, call: Call, behaviour: str) -> Json | list[Json]:
        """The body of a good answer. LookupError where there is no such thing, ValueError where the call is wrong."""
        match call.method, [unquote(part) for part in call.path.split("/")[2:]]:
            case "POST", ["messages"] | ["chat", "completions"]:
                return self._answer(call.protocol, call.json(), behaviour, behaviour not in ("malformed", "cut"))
            case "POST", ["messages", "batches"]:
                calls = [(entry["custom_id"], entry["params"]) for entry in call.json()["requests"]]
                return self._told(self._create(call, calls, {}))
            case "POST", ["files"]:
                name = f"file-{len(self._uploads) + 1}"
                self._uploads[name] = call.file()
                return wire.file(name, len(self._uploads[name]))
            case "POST", ["batches"]:
                lines = [json.loads(line) for line in self._uploads[call.json()["input_file_id"]].splitlines()]
                calls = [(line["custom_id"], line["body"]) for line in lines]
                return self._told(self._create(call, calls, call.json().get("metadata") or {}))
            case "GET", ["messages", "batches"] | ["batches"]:
                mine = [batch for batch in self.batches if batch.protocol == call.protocol]
                return wire.listing([self._told(batch) for batch in reversed(mine)])
            case "GET", ["messages", "batches", name] | ["batches", name]:
                told = self._told(self._batch(name))
                self._batch(name).looks += 1
                return told
            case "GET", ["messages", "batches", name, "results"]:
                return wire.anthropic_results(self._batch(name))
            case "GET", ["files", name, "content"]:
                batch, _, kind = name.partition("-")
                return wire.openai_results(self._batch(batch), errors=kind == "errors")
            case "GET", ["models"]:
                return wire.listing([wire.model(name, call.protocol) for name in MODELS])
            case "GET", ["models", name] if name.startswith("model"):
                return wire.model(name, call.protocol)
        raise LookupError(call.name)

    def _answer(self, protocol: str, body: Json, behaviour: str, good: bool) -> Json:
        prompt = body["messages"][-1]["content"]
        ending = self.endings.get(prompt, behaviour)
        text = {"empty": "", "refused": "", "half": "half \ud83d"}.get(ending, self.answer(prompt))
        if good:
            self.answered[prompt] += 1
        return self.shape(wire.ANSWERS[protocol](body["model"], text, ending, *self.cached))

    def _create(self, call: Call, calls: Sequence[tuple[str, Json]], metadata: dict[str, str]) -> Batch:
        """Enter a batch into the books: all that becomes of it, and what is bought, is settled now."""
        keys = [key for key, _ in calls]
        if not keys or len(set(keys)) < len(keys) or not all(map(CUSTOM_ID.fullmatch, keys)):
            raise ValueError("custom_id")
        prefix, failed = ("msgbatch", None) if call.protocol == "anthropic" else ("batch", self.batch_fail)
        expiring = 1.0 if failed else self.batch_expire
        chance = random.Random(len(self.batches))
        items = []
        for key, body in calls:
            prompt, drawn = body["messages"][-1]["content"], chance.random()
            expires = prompt in expiring if isinstance(expiring, set) else drawn < expiring
            items.append(Item(key, prompt, wire.EXPIRED, {}) if expires else self._item(call, key, prompt, body))
        self.batches.append(Batch(f"{prefix}_{len(self.batches) + 1}", call.protocol, items, metadata, failed))
        return self.batches[-1]

    def _item(self, call: Call, key: str, prompt: str, body: Json) -> Item:
        if self.down(body):
            return Item(key, prompt, 503, wire.error("503", call.key))
        if fate := self.batch_errors.get(prompt):
            return Item(key, prompt, ERRORS[fate][0], wire.error(fate, call.key))
        return Item(key, prompt, 200, self._answer(call.protocol, body, "ok", True))

    def _batch(self, name: str) -> Batch:
        return {batch.id: batch for batch in self.batches}[name]

    def _told(self, batch: Batch) -> Json:
        ended = batch.looks >= self.batch_looks
        if batch.protocol == "anthropic":
            return wire.anthropic_batch(batch, ended, self.url)
        return wire.openai_batch(batch, ended)


async def _read(reader: asyncio.StreamReader) -> Call:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    method, target, _ = first.split()
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    return Call(method, target.partition("?")[0], headers, content)


def _written(payload: Json | list[Json]) -> bytes:
    """JSON or JSON lines in UTF-8, unescaped but for what UTF-8 does not know (half an emoji)."""
    lines = payload if isinstance(payload, list) else [payload]
    return "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode(errors="backslashreplace")


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
