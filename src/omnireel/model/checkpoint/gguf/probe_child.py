"""The child of `probe_library`: load the GGUF of the command line, feed it 64 ids and then one. Exit code 0 or 1."""

from __future__ import annotations

import sys

_IDS = (list(range(64)), [1])


def main() -> None:
    """Exits with 1 and a last line on stderr that says why, where the library refuses the file."""
    try:
        import llama_cpp.llama_cpp as library  # noqa: PLC0415  loading it may fail, which is what is tried
    except (ImportError, OSError, RuntimeError) as error:
        sys.exit(f"it cannot be loaded: {error}")
    said: list[str] = []
    keep = library.llama_log_callback(
        lambda _, text, __: said.append(text.decode("utf-8", "replace").strip())
    )
    library.llama_log_set(keep, None)
    library.llama_backend_init()
    model = library.llama_model_load_from_file(sys.argv[1].encode(), library.llama_model_default_params())
    if not model:
        sys.exit(f"it refuses a model of this kind: {_reason(said)}")
    options = library.llama_context_default_params()
    options.n_ctx = options.n_batch = options.n_ubatch = 128
    context = library.llama_init_from_model(model, options)
    if not context:
        sys.exit(f"it makes no context: {_reason(said)}")
    for ids in _IDS:
        tokens = (library.llama_token * len(ids))(*ids)  # the batch only points to them
        batch = library.llama_batch_get_one(tokens, len(ids))
        if code := library.llama_decode(context, batch):
            sys.exit(f"it fails with code {code}: {_reason(said)}")


def _reason(said: list[str]) -> str:
    told = [line for line in said if "error" in line.lower() or "fail" in line.lower()]
    return " ".join((told or said or ["it gave no reason"])[:1])


if __name__ == "__main__":
    main()
