"""A model server that behaves as vLLM's was seen to, and misbehaves on cue. It runs no model.

It streams the words of `answer`, one chunk each, in the shape of a chat completion. `Script` says what goes wrong.
"""

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import Any, Self

MODEL = "nvidia/Nemotron-3-Nano-Omni-30B-A3B-Reasoning-BF16"


@dataclass
class Script:
    """How the server behaves.

    reasoning:  words of the chain of thought, in `reasoning_field`; in the answer's field where that is None
    status:     of every answer, with `body` and `headers`; 200: it streams
    stall_at, drop_at, error_at: before the word of this number it falls silent, closes, or reports an error
    kill_at:    where the whole server dies: request (before its status), head, role, the number of a word (before it),
                end (after the last word), finish (after the finish reason), usage
    kill_on:    the request of this number is the one that it dies of
    token_s:    time before each word
    usage:      what it says it used; None: nothing
    failures:   so many requests get `status`, then it streams
    models_body: of its answer about `models`, in place of them
    """

    answer: str = "A square moves to the right."
    reasoning: str = ""
    reasoning_field: str | None = "reasoning"
    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    failures: int | None = None
    stall_at: int | None = None
    drop_at: int | None = None
    error_at: int | None = None
    kill_at: str | int | None = None
    kill_on: int = 1
    is_silent: bool = False
    token_s: float = 0.0
    finish_reason: str | None = "stop"
    usage: dict[str, Any] | None = field(
        default_factory=lambda: {"prompt_tokens": 258, "completion_tokens": 7}
    )
    models: list[dict[str, Any]] = field(
        default_factory=lambda: [{"id": MODEL, "root": MODEL, "max_model_len": 131_072}]
    )
    models_body: str = ""


class ModelServer:
    """The server, in a thread of its own; a context manager. Scripts can be changed at any time.

    requests: the parsed bodies of chat completions, in order
    heads:    their headers, in lower case
    num_cancelled: streams that their client closed before the end
    num_probes: requests about models
    """

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script()
        self.requests: list[dict[str, Any]] = []
        self.heads: list[dict[str, str]] = []
        self.num_cancelled = 0
        self.num_running = 0
        self.num_probes = 0
        self.most_running = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port and every connection, as a killed process would. A second call does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stopping.wait()
        server.close()
        # Also those that were accepted a moment ago, or their clients would wait for ever.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.wait(others)
        await asyncio.sleep(0)  # closes the sockets

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort() if self._stopping.is_set() else writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        head = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(head.get("content-length", 0)))
        if first.startswith("GET"):
            self.num_probes += 1
            listed = json.dumps({"object": "list", "data": self.script.models})
            _write(writer, 200, self.script.models_body or listed)
            return
        self.requests.append(json.loads(body))
        self.heads.append(head)
        self.num_running += 1
        self.most_running = max(self.most_running, self.num_running)
        watching = asyncio.ensure_future(reader.read())
        streaming = asyncio.ensure_future(self._complete(writer))
        try:
            await asyncio.wait({watching, streaming}, return_when=asyncio.FIRST_COMPLETED)
            if not streaming.done():
                self.num_cancelled += 1
            await writer.drain()
        finally:
            self.num_running -= 1
            for task in (watching, streaming):
                task.cancel()
            await asyncio.wait({watching, streaming})

    async def _complete(self, writer: asyncio.StreamWriter) -> None:
        script = self.script
        number = len(self.requests)
        await self._die_at("request", number, writer)
        if script.is_silent:
            await asyncio.Event().wait()
        if script.status != 200 and script.failures != 0:
            if script.failures:
                script.failures -= 1
            _write(writer, script.status, script.body, script.headers)
            return
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        await self._die_at("head", number, writer)
        await self._stream(writer, script, number)

    async def _die_at(self, point: str | int, number: int, writer: asyncio.StreamWriter) -> None:
        if self.script.kill_at == point and number >= self.script.kill_on:
            self.script.kill_at = None  # servers may share a script, and only one dies
            await writer.drain()
            self._stopping.set()
            await asyncio.Event().wait()

    async def _stream(self, writer: asyncio.StreamWriter, script: Script, request: int) -> None:
        _event(
            writer, {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}], "usage": None}
        )
        await self._die_at("role", request, writer)
        for number, (name, word) in enumerate(_words(script)):
            await self._die_at(number, request, writer)
            await asyncio.sleep(script.token_s)
            if number == script.stall_at:
                await writer.drain()
                await asyncio.Event().wait()
            if number == script.drop_at:
                return
            if number == script.error_at:
                _event(writer, {"error": {"message": "Traceback: /srv/secret.py", "code": 500}})
                return
            _event(writer, {"choices": [{"index": 0, "delta": {name: word}, "finish_reason": None}]})
            await writer.drain()
        await self._die_at("end", request, writer)
        _event(writer, {"choices": [{"index": 0, "delta": {}, "finish_reason": script.finish_reason}]})
        await self._die_at("finish", request, writer)
        if script.usage is not None:
            _event(writer, {"choices": [], "usage": script.usage})
        await self._die_at("usage", request, writer)
        _chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")


def _words(script: Script) -> list[tuple[str, str]]:
    """The field and the text of each chunk."""
    chain = [(script.reasoning_field or "content", word) for word in _split(script.reasoning)]
    closing = [("content", "</think>")] if script.reasoning and script.reasoning_field is None else []
    return [*chain, *closing, *(("content", word) for word in _split(script.answer))]


def _split(text: str) -> list[str]:
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)] if text else []


def _event(writer: asyncio.StreamWriter, event: dict[str, Any]) -> None:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    _chunk(writer, f"data: {json.dumps(head | event)}\n\n".encode())


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _write(
    writer: asyncio.StreamWriter, status: int, body: str, headers: dict[str, str] | None = None
) -> None:
    lines = [
        f"HTTP/1.1 {status} X",
        "content-type: application/json",
        f"content-length: {len(body.encode())}",
    ]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body.encode())
