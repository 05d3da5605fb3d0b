import sys

import pytest

from omnireel.engine.runners.llama import LlamaOptions, LlamaRunner
from omnireel.errors import CheckpointError


def test_without_the_library_the_command_that_installs_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(CheckpointError, match="not installed") as caught:
        LlamaRunner(tmp_path / "model.gguf", lambda ids: ids, LlamaOptions(max_context=64))
    assert "make gguf" in caught.value.hint
