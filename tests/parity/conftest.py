import pytest
from oracle import load_oracle

from omnireel.model.checkpoint.load import load_checkpoint
from tools.scaled_checkpoint import Sizes, write_checkpoint

SHAPES = {
    "plain": Sizes(),
    "many groups, three kv heads": Sizes(
        pattern="*MEMM*EE", num_groups=4, num_heads=6, num_kv_heads=3, head_dim=8, num_experts=16,
        num_experts_per_token=6, state_size=24, chunk_size=32, num_prefix=4, vision_heads=6, seed=1,
    ),
    "with sound": Sizes(sound_width=64, sound_layers=2, pattern="ME*E", seed=3),
    "one group, all experts": Sizes(
        hidden_size=96, pattern="EM*M", num_groups=1, num_heads=3, num_kv_heads=1, head_dim=32, num_experts=4,
        num_experts_per_token=4, mamba_num_heads=6, mamba_head_dim=32, chunk_size=128, position_side=8,
        vision_layers=3, projector_width=200, num_shards=1, seed=2,
    ),
}  # fmt: skip


@pytest.fixture(scope="session", params=SHAPES.values(), ids=SHAPES)
def checkpoint(request, tmp_path_factory):
    """The directory of a random checkpoint, fp32."""
    directory = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(directory, request.param)
    return directory


@pytest.fixture(scope="session")
def model(checkpoint):
    return load_checkpoint(checkpoint)


@pytest.fixture(scope="session")
def oracle(checkpoint):
    return load_oracle(checkpoint)
