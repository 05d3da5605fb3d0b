"""ggml's own packing of values, from the library that will read them. Needs the extra omnireel[gguf].

Its functions are called by name; no struct of the library is described here, because they change between builds.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import threading
from functools import cache

import numpy as np
from numpy.typing import NDArray

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.gguf.container import Format

INSTALL = "Install it with `make gguf`, or with: pip install 'omnireel[gguf]' (it is compiled, which takes minutes)."
_LOCK = threading.Lock()  # the library prepares tables at the first use of a format


def is_installed() -> bool:
    """Whether llama-cpp-python is there; it is not loaded."""
    try:
        return importlib.util.find_spec("llama_cpp") is not None
    except ValueError:
        return False


def require_library() -> None:
    """Raise CheckpointError, which names the command that installs the library, where it is missing."""
    if not is_installed():
        raise CheckpointError("GGUF needs llama-cpp-python, which is not installed.", hint=INSTALL)


def pack(values: NDArray[np.float32], stored: Format) -> bytes:
    """values: [rows, columns]. Returns the rows in `stored`. Raises CheckpointError without the library."""
    rows, columns = values.shape
    values = np.ascontiguousarray(values, np.float32)
    out = np.empty(stored.num_bytes(values.size), np.uint8)
    with _LOCK:
        written = _ggml().ggml_quantize_chunk(
            stored.code, values.ctypes.data, out.ctypes.data, 0, rows, columns, None
        )
    assert written == out.nbytes, f"{stored.name} takes {written} bytes, not {out.nbytes}"
    return out.tobytes()


def unpack(raw: NDArray[np.uint8], stored: Format, columns: int) -> NDArray[np.float32]:
    """raw: [rows, bytes of a row]. Returns [rows, columns]. Raises CheckpointError without the library."""
    raw = np.ascontiguousarray(raw)
    out = np.empty((len(raw), columns), np.float32)
    try:
        convert = getattr(_ggml(), f"dequantize_row_{stored.name}")
    except AttributeError:
        raise CheckpointError(f"llama-cpp-python has no function that unpacks {stored.name}.") from None
    convert.argtypes, convert.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64], None
    convert(raw.ctypes.data, out.ctypes.data, out.size)
    return out


@cache
def _ggml() -> ctypes.CDLL:
    require_library()
    try:
        library: ctypes.CDLL = importlib.import_module("llama_cpp._ggml").libggml
    except (ImportError, OSError, RuntimeError, FileNotFoundError) as error:
        raise CheckpointError(f"llama-cpp-python cannot be loaded: {error}", hint=INSTALL) from None
    count = ctypes.c_int64
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, count, count, count, ctypes.c_void_p,
    ]  # fmt: skip
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    return library
