"""The library's low-level interface, as little of it as these tests need: embeddings or ids in, rows of logits out."""

import ctypes

import llama_cpp.llama_cpp as library
import numpy as np

QUIET = library.llama_log_callback(lambda *_: None)
library.llama_log_set(QUIET, None)
library.llama_backend_init()


class Llama:
    """A GGUF with one sequence of up to 1024 positions."""

    def __init__(self, path, vocab_size):
        options = library.llama_model_default_params()
        self.model = library.llama_model_load_from_file(str(path).encode(), options)
        assert self.model, f"the library refuses {path}"
        context = library.llama_context_default_params()
        context.n_ctx, context.n_batch, context.n_ubatch = 1024, 1024, 256
        context.n_threads = context.n_threads_batch = 1
        context.type_k = context.type_v = library.GGML_TYPE_F32
        context.flash_attn_type = 0
        self.context = library.llama_init_from_model(self.model, context)
        self.vocab_size = vocab_size

    def close(self):
        library.llama_free(self.context)
        library.llama_model_free(self.model)

    def run(self, values, start=0):
        """values: [S, D] fp32 embeddings, or [S] ids. Returns logits [S, V]."""
        values = np.ascontiguousarray(values)
        is_ids = values.ndim == 1
        if not start:
            library.llama_memory_clear(library.llama_get_memory(self.context), True)
        batch = library.llama_batch_init(len(values), 0 if is_ids else values.shape[1], 1)
        batch.n_tokens = len(values)
        target = batch.token if is_ids else batch.embd
        values = values.astype(np.int32 if is_ids else np.float32)
        ctypes.memmove(target, values.ctypes.data, values.nbytes)
        for i in range(len(values)):
            batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = start + i, 1, 0, 1
        code = library.llama_decode(self.context, batch)
        assert code == 0, f"llama_decode gave {code}"
        rows = [library.llama_get_logits_ith(self.context, i) for i in range(len(values))]
        logits = np.stack([np.ctypeslib.as_array(row, (self.vocab_size,)).copy() for row in rows])
        library.llama_batch_free(batch)
        return logits
