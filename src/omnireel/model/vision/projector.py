"""From the vision tower to the language model: 2×2 pixel shuffle, then an MLP."""

from torch import Tensor, nn

from omnireel.model.layers import Relu2, RMSNorm


def pixel_shuffle(x: Tensor) -> Tensor:
    """Merge each 2×2 square of tokens into one.

    x: [n, R, K, C] → [n, R/2, K/2, 4·C]; channel (2·row parity + column parity)·C + c
    Example: a 2×2 grid a b / c d becomes one token [a, b, c, d].
    """
    n, rows, cols, width = x.shape
    quads = x.reshape(n, rows // 2, 2, cols // 2, 2, width).transpose(2, 3)
    return quads.reshape(n, rows // 2, cols // 2, 4 * width)


def vision_projector(vision_width: int, projector_width: int, hidden_size: int, eps: float) -> nn.Sequential:
    """RMSNorm → up → relu² → down, without biases; indices 0, 1, 3 carry the checkpoint's names."""
    return nn.Sequential(
        RMSNorm(4 * vision_width, eps),
        nn.Linear(4 * vision_width, projector_width, bias=False),
        Relu2(),
        nn.Linear(projector_width, hidden_size, bias=False),
    )
