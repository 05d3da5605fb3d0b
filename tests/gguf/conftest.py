import pytest
import torch
from lowlevel import Llama

from omnireel.cli.backend import DEMO
from omnireel.cli.models.pack import pack_once
from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.settings import Settings


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def demo():
    """The demo model in torch, fp32."""
    return load_checkpoint(DEMO, torch.float32)


@pytest.fixture(scope="session")
def packed(tmp_path_factory):
    """A function: type and experts → the directory of the packed demo."""
    made = {}

    def pack(matrices, experts=None):
        if (matrices, experts) not in made:
            out = tmp_path_factory.mktemp("packed") / matrices
            pack_once(Settings(), out, matrices=matrices, experts=experts, as_json=True)
            made[matrices, experts] = out
        return made[matrices, experts]

    return pack


@pytest.fixture
def opened():
    """A function: path and size of the vocabulary → an open model."""
    models = []

    def load(path, vocab_size=1024):
        models.append(Llama(path, vocab_size))
        return models[-1]

    yield load
    for model in models:
        model.close()
