"""Finds checkpoints on the Hugging Face hub, downloads their files and checks them.

huggingface_hub itself reads HF_ENDPOINT, HF_TOKEN and its other variables.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented under this name

from omnireel.errors import OmnireelError, UpstreamError
from omnireel.net.errors import why_not_connected

# The files that are downloaded. None of these types can hold code. Names with folders are left out, so that no
# name leads out of the directory.
WANTED = re.compile(r"[A-Za-z0-9][\w.-]*\.(safetensors|json|jinja)")
# It becomes the name of a directory.
_REVISION = re.compile(r"[0-9a-f]{40,64}")
# Without llama.cpp's own files for pictures and sound.
GGUF = re.compile(r"(?!mmproj)[A-Za-z0-9][\w.-]*\.gguf")
_WEIGHTS = (".safetensors", ".safetensors.index.json")
_BUFFER_BYTES = 1024 * 1024


@dataclass(frozen=True)
class HubFile:
    """A file as the hub describes it. digest: sha256 of the bytes if is_lfs, else git's sha1 of a blob"""

    name: str
    num_bytes: int
    digest: str
    is_lfs: bool


@dataclass(frozen=True)
class HubModel:
    """One revision of a model's repository.

    is_gated: the hub requires that its licence is accepted first
    files:    what belongs to a checkpoint in safetensors
    ggufs:    the GGUFs of a language part
    """

    model_id: str
    revision: str
    licence: str
    is_gated: bool
    files: tuple[HubFile, ...]
    ggufs: tuple[HubFile, ...] = ()

    def without_weights(self) -> tuple[HubFile, ...]:
        """The files without the weights and their index: config, tokenizer and template."""
        return tuple(file for file in self.files if not file.name.endswith(_WEIGHTS))


def find_model(model_id: str) -> HubModel:
    """Look a model up on the hub; nothing is downloaded. Raises OmnireelError, UpstreamError."""
    with _hub_errors_translated(model_id):
        info = HfApi().model_info(model_id, files_metadata=True)
    files = tuple(_file(s) for s in info.siblings or () if WANTED.fullmatch(s.rfilename))
    ggufs = tuple(_file(s) for s in info.siblings or () if GGUF.fullmatch(s.rfilename))
    if not _REVISION.fullmatch(info.sha or ""):
        raise UpstreamError(f"The hub states no revision of {model_id} that can be used.")
    return HubModel(model_id, str(info.sha), _licence(info), bool(info.gated), files, ggufs)


def download(model: HubModel, file: HubFile, directory: Path) -> None:
    """Download one file into `directory`, or the rest of it after an interruption, and check its digest.

    The file gets its own name only after this check. Raises UpstreamError.
    The Range requests are made here, because the downloads of huggingface_hub start again in each process.
    """
    target, part = directory / file.name, directory / f"{file.name}.part"
    if target.exists():
        return
    with _hub_errors_translated(model.model_id):
        _fetch(hf_hub_url(model.model_id, file.name, revision=model.revision), part, file)
    if digest_of(part, is_lfs=file.is_lfs) != file.digest:
        part.unlink()
        raise UpstreamError(
            f"{file.name} was damaged on the way: its checksum is not the one that the hub states.",
            hint="Pull again. Files that are complete are kept.",
        )
    part.rename(target)


class _Bounded:
    """A file that takes no more bytes than the hub stated. Raises UpstreamError beyond them.

    num_bytes: those that it has already
    """

    def __init__(self, sink: BinaryIO, file: HubFile, num_bytes: int) -> None:
        self._sink = sink
        self._file = file
        self._num_bytes = num_bytes

    def write(self, data: bytes) -> int:
        """Write as the file does."""
        self._num_bytes += len(data)
        if self._num_bytes > self._file.num_bytes:
            raise UpstreamError(
                f"The hub sends more of {self._file.name} than the {self._file.num_bytes} bytes that it states.",
                hint="Pull again later.",
            )
        return self._sink.write(data)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # any attribute of a file
        return getattr(self._sink, name)


def _fetch(url: str, part: Path, file: HubFile) -> None:
    num_bytes = part.stat().st_size if part.exists() else 0
    if num_bytes > file.num_bytes:
        part.unlink()
        num_bytes = 0
    with part.open("ab") as sink:
        if num_bytes < file.num_bytes:
            http_get(
                url,
                cast(BinaryIO, _Bounded(sink, file, num_bytes)),
                resume_size=num_bytes,
                headers=build_hf_headers(),
                expected_size=file.num_bytes,
                displayed_filename=file.name,
            )


def digest_of(path: Path, *, is_lfs: bool) -> str:
    """The digest that the hub states for a file: sha256 of the bytes, or git's sha1 of a blob."""
    digest = hashlib.sha256() if is_lfs else hashlib.sha1(usedforsecurity=False)
    if not is_lfs:
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as source:
        while buffer := source.read(_BUFFER_BYTES):
            digest.update(buffer)
    return digest.hexdigest()


def _file(sibling: RepoSibling) -> HubFile:
    lfs = sibling.lfs
    digest = sibling.blob_id if lfs is None else lfs.sha256
    if sibling.size is None or not digest:
        raise UpstreamError(f"The hub does not state the size and checksum of {sibling.rfilename}.")
    return HubFile(sibling.rfilename, sibling.size, digest, is_lfs=lfs is not None)


def _licence(info: ModelInfo) -> str:
    known = (getattr(info.card_data, name, None) for name in ("license", "license_name", "license_link"))
    return " ".join(str(part) for part in known if part) or "not stated"


@contextmanager
def _hub_errors_translated(model_id: str) -> Iterator[None]:
    try:
        yield
    except GatedRepoError:
        raise OmnireelError(
            f"The hub gives {model_id} only to accounts that have accepted its licence.",
            hint="Accept it on the model's page, and set HF_TOKEN to a token of that account.",
        ) from None
    except RepositoryNotFoundError:
        raise OmnireelError(
            f"The hub has no model {model_id}, or it is private.",
            hint="Check the id. For a private model, set HF_TOKEN.",
        ) from None
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise UpstreamError(
            f"{model_id} could not be fetched from {constants.ENDPOINT}: {why_not_connected(error).rstrip('.')}.",
            hint="Pull again. The download continues where it stopped. HF_ENDPOINT names another hub.",
        ) from None
