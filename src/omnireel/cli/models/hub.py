"""Checkpoints on the Hugging Face hub: what one consists of, and how its files get here whole.

HF_ENDPOINT, HF_TOKEN and the like are read by huggingface_hub itself.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented under this name

from omnireel.errors import OmnireelError, UpstreamError

# What is read from a checkpoint: nothing here can hold code that runs. No folders, so no paths to escape by.
WANTED = re.compile(r"[A-Za-z0-9][\w.-]*\.(safetensors|json|jinja)")
_PIECE = 1024 * 1024


@dataclass(frozen=True)
class HubFile:
    """digest: sha256 where is_lfs, else git's sha1 of a blob; both as the hub states them."""

    name: str
    num_bytes: int
    digest: str
    is_lfs: bool


@dataclass(frozen=True)
class HubModel:
    """One state of a model's repository: the files that are wanted of it, and under which licence.

    is_gated: the hub wants its licence accepted first
    """

    model_id: str
    revision: str
    licence: str
    is_gated: bool
    files: tuple[HubFile, ...]

    @property
    def num_bytes(self) -> int:
        """Of all files together."""
        return sum(file.num_bytes for file in self.files)


def find_model(model_id: str) -> HubModel:
    """Ask the hub; nothing is downloaded. Raises OmnireelError, UpstreamError."""
    with _naming_failures(model_id):
        info = HfApi().model_info(model_id, files_metadata=True)
    files = tuple(_file(s) for s in info.siblings or () if WANTED.fullmatch(s.rfilename))
    if not info.sha or not any(file.name.endswith(".safetensors") for file in files):
        raise OmnireelError(f"{model_id} has no safetensors files", hint="check the id on the hub")
    return HubModel(model_id, info.sha, _licence(info), bool(info.gated), files)


def download(model: HubModel, file: HubFile, directory: Path) -> None:
    """Bring one file into `directory`, going on where an earlier try was cut off, and check its digest.

    A file has its own name only once its digest was found right. Raises UpstreamError.
    Ranges are ours: huggingface_hub's own downloads begin anew in each process.
    """
    target, part = directory / file.name, directory / f"{file.name}.part"
    if target.exists():
        return
    with _naming_failures(model.model_id):
        _fetch(hf_hub_url(model.model_id, file.name, revision=model.revision), part, file)
    if digest_of(part, is_lfs=file.is_lfs) != file.digest:
        part.unlink()
        raise UpstreamError(
            f"{file.name} arrived damaged: its checksum is not the one that the hub states",
            hint="pull again; files that arrived whole are kept",
        )
    part.rename(target)


def _fetch(url: str, part: Path, file: HubFile) -> None:
    here = part.stat().st_size if part.exists() else 0
    if here > file.num_bytes:
        part.unlink()
        here = 0
    with part.open("ab") as sink:
        if here < file.num_bytes:
            http_get(
                url,
                sink,
                resume_size=here,
                headers=build_hf_headers(),
                expected_size=file.num_bytes,
                displayed_filename=file.name,
            )


def digest_of(path: Path, *, is_lfs: bool) -> str:
    """The digest by which the hub knows a file: sha256 of the bytes, or git's name for the blob."""
    digest = hashlib.sha256() if is_lfs else hashlib.sha1(usedforsecurity=False)
    if not is_lfs:
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as source:
        while piece := source.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _file(sibling: RepoSibling) -> HubFile:
    lfs = sibling.lfs
    digest = sibling.blob_id if lfs is None else lfs.sha256
    if sibling.size is None or not digest:
        raise UpstreamError(f"the hub does not state size and checksum of {sibling.rfilename}")
    return HubFile(sibling.rfilename, sibling.size, digest, is_lfs=lfs is not None)


def _licence(info: ModelInfo) -> str:
    known = (getattr(info.card_data, name, None) for name in ("license", "license_name", "license_link"))
    return " ".join(str(part) for part in known if part) or "not stated"


@contextmanager
def _naming_failures(model_id: str) -> Iterator[None]:
    try:
        yield
    except GatedRepoError:
        raise OmnireelError(
            f"the hub gives {model_id} only to those who accepted its licence",
            hint="accept it on the model's page, and set HF_TOKEN to a token of that account",
        ) from None
    except RepositoryNotFoundError:
        raise OmnireelError(
            f"the hub has no model {model_id} for you", hint="check the id; private ones need HF_TOKEN"
        ) from None
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise UpstreamError(
            f"{model_id} could not be fetched: {error}", hint="pull again; it goes on where it stopped"
        ) from None
