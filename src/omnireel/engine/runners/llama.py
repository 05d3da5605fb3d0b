"""Runs a GGUF through libllama: quantised weights on a CPU, CUDA or Vulkan. Needs the extra omnireel[gguf].

A sequence that failed in the library has a state of which nothing is known; its slot has to be cleared.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnireel.engine.runner import Capacity, Outcome, Segment, Snapshot, Stop, never
from omnireel.engine.runners.llama_batch import Part, Progress, arrays, next_parts, point_to
from omnireel.engine.runners.llama_library import drop_errors, first_error, load_library
from omnireel.errors import Cancelled, CheckpointError, GenerationError, OmnireelError, SettingsError
from omnireel.model.out_of_memory import as_out_of_memory

# [n] int64 → [n, D]
Embeddings = Callable[[Tensor], Tensor]

_BATCH, _MICRO_BATCH = 2048, 512
_MAX_OUTPUTS = 64  # in one call; a row of logits of the published model takes half a megabyte
_PROBED_POSITIONS = 256  # the library rounds a context up to it
_CACHE_TYPES = {"f32": 0, "f16": 1, "bf16": 30}  # enum ggml_type
_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}
_NO_ROOM, _ABORTED, _INVALID, _NO_MEMORY = 1, 2, -1, -2  # of llama_decode; other codes below zero are fatal


@dataclass(frozen=True)
class LlamaOptions:
    """How a GGUF is opened.

    max_context:     positions of one sequence; memory for all slots is taken at once
    num_slots:       sequences at the same time
    max_bytes:       most memory that the sequences may take together; None: whatever there is. Not looked at where
                     a GPU computes layers, since their memory is there
    gpu_layers:      layers that a GPU computes; None: all
    threads:         None: all processors of this process
    flash_attention: auto, on or off
    cache_type:      of keys and values: f16, bf16 or f32
    repack:          copy weights into a faster layout; the copy takes as much memory as the file
    """

    max_context: int
    num_slots: int = 1
    max_bytes: int | None = None
    gpu_layers: int | None = None
    threads: int | None = None
    flash_attention: str = "auto"
    cache_type: str = "f16"
    repack: bool = False


@dataclass(frozen=True, eq=False)
class BytesSnapshot:
    """A sequence in the library's own format."""

    data: ctypes.Array[ctypes.c_uint8]
    num_tokens: int

    @property
    def num_bytes(self) -> int:
        """See Snapshot."""
        return len(self.data)


class LlamaRunner:
    """One GGUF in this process.

    path:       the file, or the first one of several
    embeddings: those of the file, for segments that also have rows: a batch of the library has one kind of input
    Raises CheckpointError where the library is missing, or refuses the file or the options, and SettingsError where
    the sequences would take more memory than they may.
    """

    def __init__(self, path: Path, embeddings: Embeddings, options: LlamaOptions) -> None:
        self._library = load_library()
        self._embeddings = embeddings
        self._stop: Stop = never
        self._abort = self._library.ggml_abort_callback(lambda _: self._stop())
        self._num_tokens = [0] * options.num_slots
        self._max_outputs = max(_MAX_OUTPUTS, options.num_slots)
        self._context = None
        self._model = self._open_model(path, options)
        self._vocabulary = self._library.llama_vocab_n_tokens(
            self._library.llama_model_get_vocab(self._model)
        )
        self._width = self._library.llama_model_n_embd(self._model)
        try:
            self.capacity = self._measured(path, options)
            self._check_memory(options)
            self._open_context(path, options)
        except OmnireelError:
            self.close()
            raise

    def forward(self, batch: Sequence[Segment], *, stop: Stop = never) -> list[Outcome]:
        """See Runner.forward. A pass may end early inside a layer."""
        progress = [Progress(segment, error=self._refusal(segment)) for segment in batch]
        with_ids = [one for one in progress if not one.segment.rows]
        with_rows = [one for one in progress if one.segment.rows]
        for group in (with_ids, with_rows):
            while parts := next_parts(group, max_positions=_BATCH, max_outputs=self._max_outputs):
                self._run(parts, stop)
        return [one.outcome() for one in progress]

    def copy(self, source: int, target: int) -> None:
        """See Runner.copy. The attention cache is shared until one of both grows."""
        self.clear(target)
        self._library.llama_memory_seq_cp(self._memory, source, target, -1, -1)
        self._num_tokens[target] = self._num_tokens[source]

    def snapshot(self, slot: int) -> Snapshot:
        """See Runner.snapshot. Raises GenerationError(out_of_memory)."""
        size = self._library.llama_state_seq_get_size(self._context, slot)
        data = (ctypes.c_uint8 * size)()
        written = self._library.llama_state_seq_get_data(self._context, data, size, slot)
        if written != size:
            raise GenerationError("The state of a sequence could not be copied.", kind="out_of_memory")
        return BytesSnapshot(data, self._num_tokens[slot])

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """See Runner.restore. Raises GenerationError(out_of_memory)."""
        assert isinstance(snapshot, BytesSnapshot), "a snapshot of another runner"
        self.clear(slot)
        size = len(snapshot.data)
        if self._library.llama_state_seq_set_data(self._context, snapshot.data, size, slot) != size:
            self.clear(slot)
            raise GenerationError("The state of a sequence could not be restored.", kind="out_of_memory")
        self._num_tokens[slot] = snapshot.num_tokens

    def clear(self, slot: int) -> None:
        """See Runner.clear."""
        self._library.llama_memory_seq_rm(self._memory, slot, -1, -1)
        self._num_tokens[slot] = 0

    def close(self) -> None:
        """See Runner.close."""
        self._close_context()
        if self._model is not None:
            self._library.llama_model_free(self._model)
        self._model = None

    def _open_model(self, path: Path, options: LlamaOptions) -> Any:  # noqa: ANN401 - a pointer of the library
        params = self._library.llama_model_default_params()
        params.n_gpu_layers = -1 if options.gpu_layers is None else options.gpu_layers
        params.use_extra_bufts = options.repack
        drop_errors()
        model = self._library.llama_model_load_from_file(os.fsencode(path), params)
        if not model:
            raise CheckpointError(f"libllama cannot load {path}: {first_error()}.")
        return model

    def _open_context(self, path: Path, options: LlamaOptions) -> None:
        """The library takes the memory of all sequences here."""
        params = self._library.llama_context_default_params()
        params.n_ctx = options.max_context * options.num_slots
        params.n_seq_max = options.num_slots
        params.kv_unified = True  # one cache for all slots, so that a copy of a sequence shares its cells
        params.n_batch, params.n_ubatch = _BATCH, _MICRO_BATCH
        params.n_outputs_max = self._max_outputs
        params.n_threads = params.n_threads_batch = options.threads or num_processors()
        params.type_k = params.type_v = _CACHE_TYPES[options.cache_type]
        params.flash_attn_type = _FLASH_ATTENTION[options.flash_attention]
        drop_errors()
        context = self._library.llama_init_from_model(self._model, params)
        if not context:
            raise CheckpointError(
                f"{path} cannot be opened for {options.num_slots} sequences of {options.max_context} tokens: "
                f"{first_error()}.",
                hint="Choose a smaller context or fewer slots.",
            )
        self._context, self._memory = context, self._library.llama_get_memory(context)

    def _close_context(self) -> None:
        if self._context is not None:
            self._library.llama_free(self._context)
        self._context = self._memory = None

    def _measured(self, path: Path, options: LlamaOptions) -> Capacity:
        """What a sequence takes, measured in a small context: that of all slots could take more than there is.

        The library does not say what a state takes, so that of one position is compared with that of two.
        """
        self.capacity = Capacity(1, _PROBED_POSITIONS, 0, 0)
        self._open_context(path, replace(options, max_context=_PROBED_POSITIONS, num_slots=1))
        sizes = []
        for position in (0, 1):
            (outcome,) = self.forward([Segment(0, position, [0])])
            if outcome.error is not None:
                raise outcome.error
            sizes.append(self._library.llama_state_seq_get_size(self._context, 0))
        self.clear(0)
        self._close_context()
        per_token = sizes[1] - sizes[0]
        return Capacity(options.num_slots, options.max_context, sizes[0] - per_token, per_token)

    def _check_memory(self, options: LlamaOptions) -> None:
        """Raise SettingsError where the sequences would take too much memory."""
        is_elsewhere = options.gpu_layers != 0 and self._library.llama_supports_gpu_offload()
        if options.max_bytes is None or is_elsewhere or self.capacity.num_bytes <= options.max_bytes:
            return
        raise SettingsError(
            f"{options.num_slots} sequences of {options.max_context:,} tokens take "
            f"{self.capacity.num_bytes / 1e9:.2f} GB of memory ({self.capacity.bytes_per_token:,} bytes a token); "
            f"{options.max_bytes / 1e9:.2f} GB are available.",
            hint="Choose a smaller --context or fewer --slots.",
        )

    def _refusal(self, segment: Segment) -> Exception | None:
        try:
            self.capacity.check(segment)
        except GenerationError as error:
            return error
        held = self._num_tokens[segment.slot]
        assert held == segment.start, "the slot holds other positions than those before the segment"
        return None

    def _run(self, parts: Sequence[Part], stop: Stop) -> None:
        code = _ABORTED if stop() else self._decode(parts, stop)
        if code == 0:
            self._keep_logits(parts)
        elif (
            code in (_NO_ROOM, _INVALID) and len(parts) > 1
        ):  # nothing was changed: the fault is in one of them
            for part in parts:
                self._run([part], stop)
        else:
            for part in parts:
                part.progress.error = _error_of(code)

    def _decode(self, parts: Sequence[Part], stop: Stop) -> int:
        """The library's code."""
        try:
            batch = self._batch(parts)
        except (MemoryError, RuntimeError) as error:
            if as_out_of_memory(error) is None:
                raise
            return _NO_ROOM
        self._stop = stop
        self._set_abort(self._abort if stop is not never else None)
        drop_errors()
        return int(self._library.llama_decode(self._context, batch))

    def _set_abort(self, callback: Any) -> None:  # noqa: ANN401
        """Without a callback nothing is asked: for each operation of a small model that would take longer than it."""
        self._library.llama_set_abort_callback(
            self._context, callback or self._library.ggml_abort_callback(), None
        )

    def _batch(self, parts: Sequence[Part]) -> Any:  # noqa: ANN401
        """The library's batch. Its arrays are kept until the next one is made."""
        embeddings = None
        if any(part.segment.rows for part in parts):
            embeddings = torch.cat([self._embedded(part) for part in parts])
        self._arrays = arrays(parts, embeddings)
        batch = self._library.llama_batch()
        point_to(batch, self._arrays)
        return batch

    def _embedded(self, part: Part) -> Tensor:
        """[n, D] fp32"""
        x = self._embeddings(torch.tensor(list(part.ids))).to(torch.float32)
        assert x.shape[1] == self._width, "the embeddings are not those of the file"
        for rows in part.segment.rows:
            if (inside := rows.part(part.start, part.end)) is not None:
                x[inside.start - part.start : inside.end - part.start] = inside.embeddings.to(x.dtype)
        return x

    def _keep_logits(self, parts: Sequence[Part]) -> None:
        index = 0
        for part in parts:
            rows = [self._row(index + n) for n in np.flatnonzero(part.wanted()).tolist()]
            if rows:
                part.progress.logits.append(torch.from_numpy(np.stack(rows)))
            index += part.length
            self._num_tokens[part.segment.slot] += part.length
            part.progress.done += part.length

    def _row(self, index: int) -> NDArray[np.float32]:
        """[V]; overwritten by the next call of the library."""
        pointer = self._library.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(pointer, (self._vocabulary,))


def num_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _error_of(code: int) -> Exception:
    if code == _ABORTED:
        return Cancelled("The forward pass was ended on request.")
    if code in (_NO_ROOM, _NO_MEMORY):
        return GenerationError("The model's memory for sequences is full.", kind="out_of_memory")
    return GenerationError(f"libllama failed with code {code}: {first_error()}.")
