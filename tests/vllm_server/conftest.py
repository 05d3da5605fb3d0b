import asyncio
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from bodies import sent_bodies as bodies_of
from clips import ClipSpec, write_clip
from scaled import write_scaled
from vllm_process import PYTHON, VLLMServer

from omnireel.engine.runners.torch import TorchRunner
from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.prompting.clip import MediaDefaults
from omnireel.prompting.counts import TokenCounter
from omnireel.prompting.encoding import PromptEncoder

RATE = 0.5


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """The directory of a random checkpoint, fp32, with an audio encoder."""
    return write_scaled(tmp_path_factory.mktemp("models") / "Nemotron-3-Nano-Omni-scaled")


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """The same clip with sound and without, in a size that the model resizes."""
    folder = tmp_path_factory.mktemp("clips")
    plain = ClipSpec(codec="mpeg4", num_frames=90, rate=Fraction(30))
    loud = ClipSpec(codec="mpeg4", num_frames=90, rate=Fraction(30), with_audio=True)
    return {
        "silent": write_clip(folder / "silent.mp4", plain),
        "with sound": write_clip(folder / "loud.mp4", loud),
    }


@pytest.fixture(scope="session")
def server(checkpoint, tmp_path_factory):
    """A real vLLM with the checkpoint."""
    with VLLMServer(tmp_path_factory.mktemp("vllm"), checkpoint, rate=RATE) as server:
        yield server


@pytest.fixture(scope="session")
def make_counter(checkpoint):
    """Makes a counter of its tokens; a backend limits the context of the one it gets."""
    return lambda: TokenCounter.from_directory(checkpoint, media=MediaDefaults(pruning_rate=RATE))


@pytest.fixture
def counter(make_counter):
    return make_counter()


@pytest.fixture(scope="session")
def encoder(checkpoint, make_counter):
    """omnireel's own model of the checkpoint."""
    return PromptEncoder(load_checkpoint(checkpoint, torch.float32), make_counter())


@pytest.fixture(scope="session")
def runner(encoder):
    return TorchRunner(encoder.model, max_context=encoder.counter.max_context)


@pytest.fixture(scope="session")
def run_vllms_python():
    """Runs a program with vLLM's own packages. Returns what it prints."""

    def run(program: Path, *arguments: object) -> str:
        command = [str(PYTHON), str(program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=540, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def sent_bodies(clips, text_directory):
    """What a task about a clip becomes for vLLM: compact and exact."""
    return asyncio.run(bodies_of(clips["with sound"], text_directory))
