"""Loads libllama through llama-cpp-python's low-level API, whose structs are those of the library it comes with."""

from __future__ import annotations

import importlib
import logging
from functools import cache
from typing import Any

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.gguf.library import require_library

log = logging.getLogger("omnireel.llama")
_ERROR_LEVEL = 4  # GGML_LOG_LEVEL_ERROR
_errors: list[str] = []


@cache
def load_library() -> Any:  # noqa: ANN401 - the module of an optional package
    """The module llama_cpp.llama_cpp, initialised once. Raises CheckpointError where it cannot be loaded."""
    require_library()
    try:
        library = importlib.import_module("llama_cpp.llama_cpp")
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"llama-cpp-python cannot be loaded: {error}") from None
    library.llama_log_set(_log_callback(library), None)
    library.llama_backend_init()
    return library


def drop_errors() -> None:
    """Drop what the library reported before the next call."""
    _errors.clear()


def first_error() -> str:
    """The first error that the library reported; those after it only follow from it."""
    return _errors[0].rstrip(".") if _errors else "it gave no reason"


@cache
def _log_callback(library: Any) -> Any:  # noqa: ANN401
    """The library calls it as long as the process lives, so it is kept."""

    def on_line(level: int, text: bytes, _: object) -> None:
        line = text.decode("utf-8", "replace").strip()
        if level == _ERROR_LEVEL:
            _errors.append(line)
        if line:
            log.debug("%s", line)

    return library.llama_log_callback(on_line)
