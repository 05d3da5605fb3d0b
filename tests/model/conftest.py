import pytest

from omnireel.model.checkpoint.load import load_checkpoint
from tools.scaled_checkpoint import Sizes, write_checkpoint


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """The directory of a small random checkpoint, fp32, two shards; tests must not change it."""
    directory = tmp_path_factory.mktemp("written")
    write_checkpoint(directory, Sizes())
    return directory


@pytest.fixture(scope="session")
def model(written):
    return load_checkpoint(written)
