"""Writes a GGUF from a checkpoint, a few rows at a time. A writing that was killed continues where it had been saved.

The file is written from its start to its end under the name NAME.part. A journal beside it lists how far the bytes
have reached the disk, with their checksum; what lies behind is written again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from omnireel.errors import OmnireelError
from omnireel.model.checkpoint.gguf.container import Format, Value, header_bytes, padding
from omnireel.model.checkpoint.gguf.formats import stored_bytes
from omnireel.model.checkpoint.gguf.layout import Part
from omnireel.model.checkpoint.gguf.source import Source

SAVE_EVERY_BYTES = 64 << 20
_COPY_BYTES = 1 << 20
_SPARE_BYTES = 64 << 20
OnBytes = Callable[[int, int], None]  # bytes written so far, bytes in all


@dataclass(frozen=True)
class Plan:
    """What is written.

    metadata: of the GGUF
    tensors:  in order, each with its format
    """

    metadata: dict[str, Value]
    tensors: list[tuple[Part, Format]]

    def header(self) -> bytes:
        """The start of the file, up to the first tensor."""
        return header_bytes(self.metadata, [(part.name, part.shape, stored) for part, stored in self.tensors])

    def num_bytes(self) -> int:
        """Size of the file."""
        sizes = (_num_bytes(part, stored) for part, stored in self.tensors)
        return len(self.header()) + sum(size + len(padding(size)) for size in sizes)


def journal_of(path: Path) -> Path:
    """The journal beside the GGUF `path`."""
    return path.with_name(f"{path.name}.journal")


def write_gguf(path: Path, source: Source, plan: Plan, on_bytes: OnBytes) -> str:
    """Write `path`, or the rest of it. Returns the SHA-256 of the file.

    The journal stays, so that the same call after this one has nothing to do.
    Raises CheckpointError, and OmnireelError where the disk is too small or another process writes the same file.
    """
    header, part_path = plan.header(), path.with_name(f"{path.name}.part")
    identity = hashlib.sha256(header + source.fingerprint().encode()).hexdigest()
    with _locked(journal_of(path)) as journal:
        if path.exists() and (digest := _digest_of_all(journal, identity)):
            return digest
        with part_path.open("a+b") as file:
            state = _resume(journal, file, identity) or _start(journal, file, identity, header)
            _check_disk(path, plan.num_bytes() - state.num_bytes)
            _write_rest(state, source, plan, on_bytes)
        part_path.rename(path)
    return state.digest


def _write_rest(state: _State, source: Source, plan: Plan, on_bytes: OnBytes) -> None:
    total = plan.num_bytes()
    on_bytes(state.num_bytes, total)
    for part, stored in plan.tensors[state.num_tensors :]:
        for piece in stored_bytes(source, part, stored):
            state.write(piece)
            on_bytes(state.num_bytes, total)
        state.write(padding(_num_bytes(part, stored)))
        state.end_tensor()
    state.save(is_complete=True)
    assert state.num_bytes == total, f"{state.num_bytes} bytes were written, {total} planned"


def _num_bytes(part: Part, stored: Format) -> int:
    return stored.num_bytes(math.prod(part.shape))


class _State:
    """How far a file is written, in memory and in the journal."""

    def __init__(self, journal: IO[str], file: BinaryIO) -> None:
        self._journal, self._file, self._hash = journal, file, hashlib.sha256()
        self.num_bytes, self.num_tensors, self._num_saved = 0, 0, 0

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def count(self, data: bytes) -> None:
        self._hash.update(data)
        self.num_bytes += len(data)

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.count(data)

    def end_tensor(self) -> None:
        self.num_tensors += 1
        if self.num_bytes - self._num_saved >= SAVE_EVERY_BYTES:
            self.save()

    def save(self, *, is_complete: bool = False) -> None:
        """The bytes have to be on the disk before the journal says so."""
        self._file.flush()
        os.fsync(self._file.fileno())
        line = {"bytes": self.num_bytes, "tensors": self.num_tensors, "sha256": self.digest}
        line |= {"complete": True} if is_complete else {}
        self._journal.write(json.dumps(line) + "\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())
        self._num_saved = self.num_bytes


def _start(journal: IO[str], file: BinaryIO, identity: str, header: bytes) -> _State:
    for opened in (journal, file):
        opened.truncate(0)
    journal.write(json.dumps({"identity": identity}) + "\n")
    state = _State(journal, file)
    state.write(header)
    state.save()
    return state


def _resume(journal: IO[str], file: BinaryIO, identity: str) -> _State | None:
    """The state that the journal has; None where it is of another file, or where the bytes are not those it names."""
    saved, state = _last_saved(journal, identity), _State(journal, file)
    if saved is None:
        return None
    file.seek(0)
    while left := saved["bytes"] - state.num_bytes:
        data = file.read(min(_COPY_BYTES, left))
        if not data:
            return None
        state.count(data)
    if state.digest != saved["sha256"]:
        return None
    file.truncate(state.num_bytes)
    state.num_tensors, state._num_saved = saved["tensors"], state.num_bytes
    return state


def _digest_of_all(journal: IO[str], identity: str) -> str | None:
    saved = _last_saved(journal, identity)
    return saved["sha256"] if saved and saved.get("complete") else None


def _last_saved(journal: IO[str], identity: str) -> dict[str, Any] | None:
    """The last whole line of a journal with this identity; None where there is none."""
    journal.seek(0)
    text = journal.read()
    lines = [found for line in text.splitlines() if (found := _parsed(line))]
    if text and not text.endswith("\n"):  # cut off by a kill: the next line must not be joined to it
        journal.write("\n")
    return lines[-1] if len(lines) > 1 and lines[0].get("identity") == identity else None


def _parsed(line: str) -> dict[str, Any]:
    """A line of the journal; empty for the last one of a process that was killed while it wrote it."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _locked(journal: Path) -> Iterator[IO[str]]:
    with journal.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OmnireelError(f"Another process is writing into {journal.parent}.") from None
        yield file


def _check_disk(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < needed + _SPARE_BYTES:
        raise OmnireelError(
            f"{path.name} needs {needed / 1e9:.2f} GB more; {path.parent} has {free / 1e9:.2f} GB free.",
            hint="Free some disk space, or choose another --out.",
        )
