"""A directory that `omnireel pack` has made: a GGUF, the encoders, the text files, and a list with checksums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from omnireel.errors import CheckpointError

MANIFEST = "pack.json"  # written last: a directory that has it is complete
LANGUAGE = "language.gguf"
_VERSION = 1
_BUFFER_BYTES = 1 << 20
_HINT = "Pack the checkpoint again into an empty directory."


@dataclass(frozen=True)
class PackedFile:
    """A file of the directory."""

    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What was packed and how.

    source:  name of the checkpoint
    type:    of the matrices; experts: of those of routed experts; both as `pack --type` takes them
    formats: format → number of tensors that have it
    files:   name → size and checksum
    """

    source: str
    type: str
    experts: str
    formats: Mapping[str, int]
    files: Mapping[str, PackedFile]


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write it in one piece, after all other files."""
    unfinished = directory / f"{MANIFEST}.part"
    unfinished.write_text(json.dumps({"version": _VERSION} | asdict(manifest), indent=1), "utf-8")
    unfinished.rename(directory / MANIFEST)


def read_manifest(directory: Path) -> Manifest:
    """Read it, and compare the files' sizes. Raises CheckpointError."""
    path = directory / MANIFEST
    try:
        raw = json.loads(path.read_text("utf-8"))
        files = {name: PackedFile(**facts) for name, facts in raw["files"].items()}
        manifest = Manifest(raw["source"], raw["type"], raw["experts"], raw["formats"], files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{path} is not a list of packed files.", hint=_HINT) from None
    for name, file in files.items():
        if "/" in name or not (directory / name).is_file():
            raise CheckpointError(f"{directory} lacks the packed file {name!r}.", hint=_HINT)
        if (found := (directory / name).stat().st_size) != file.num_bytes:
            raise CheckpointError(
                f"{directory / name} has {found:,} bytes; {file.num_bytes:,} were packed.", hint=_HINT
            )
    return manifest


def verify_files(directory: Path, on_bytes: Callable[[int, int], None]) -> None:
    """Read every packed file and compare its checksum; on_bytes: gets bytes read and in all. Raises CheckpointError."""
    files = read_manifest(directory).files
    done, total = 0, sum(file.num_bytes for file in files.values())
    for name, file in files.items():
        before = done

        def count(num_bytes: int, before: int = before) -> None:
            on_bytes(before + num_bytes, total)

        if sha256_of(directory / name, count) != file.sha256:
            raise CheckpointError(
                f"{directory / name} is damaged: its checksum is not the packed one.", hint=_HINT
            )
        done += file.num_bytes


def sha256_of(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """The checksum of a file, in hexadecimal."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while data := file.read(_BUFFER_BYTES):
            digest.update(data)
            done += len(data)
            if on_bytes is not None:
                on_bytes(done)
    return digest.hexdigest()
