"""Finds checkpoints on the Hugging Face hub, downloads their files and checks them.

huggingface_hub itself reads HF_ENDPOINT, HF_TOKEN and its other variables.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented under this name

from omnireel.errors import OmnireelError, UpstreamError

# The files that are downloaded. None of these types can hold code. Names with folders are left out, so that no
# name leads out of the directory.
WANTED = re.compile(r"[A-Za-z0-9][\w.-]*\.(safetensors|json|jinja)")
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
    """One revision of a model's repository, with the files that are downloaded from it.

    is_gated: the hub requires that its licence is accepted first
    """

    model_id: str
    revision: str
    licence: str
    is_gated: bool
    files: tuple[HubFile, ...]

    @property
    def num_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.num_bytes for file in self.files)

    @property
    def has_weights(self) -> bool:
        """Whether the weights are among the files."""
        return any(file.name.endswith(_WEIGHTS) for file in self.files)

    def without_weights(self) -> "HubModel":
        """The same model with config, tokenizer and template only."""
        return replace(self, files=tuple(file for file in self.files if not file.name.endswith(_WEIGHTS)))


def find_model(model_id: str) -> HubModel:
    """Look a model up on the hub; nothing is downloaded. Raises OmnireelError, UpstreamError."""
    with _hub_errors_translated(model_id):
        info = HfApi().model_info(model_id, files_metadata=True)
    files = tuple(_file(s) for s in info.siblings or () if WANTED.fullmatch(s.rfilename))
    if not info.sha or not any(file.name.endswith(".safetensors") for file in files):
        raise OmnireelError(f"{model_id} has no safetensors files.", hint="Check the id on the hub.")
    return HubModel(model_id, info.sha, _licence(info), bool(info.gated), files)


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


def _fetch(url: str, part: Path, file: HubFile) -> None:
    num_bytes = part.stat().st_size if part.exists() else 0
    if num_bytes > file.num_bytes:
        part.unlink()
        num_bytes = 0
    with part.open("ab") as sink:
        if num_bytes < file.num_bytes:
            http_get(
                url,
                sink,
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
            f"{model_id} could not be fetched: {error}",
            hint="Pull again. The download continues where it stopped.",
        ) from None
