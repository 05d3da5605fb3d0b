"""Pictures that hold their own number, so that a test can tell which ones reach the model and when.

Eight blocks in a row, a quarter of the height from the top: light is 1, and the lowest bit is on the left.
"""

from pathlib import Path

import numpy as np

from omnireel.video.reader.frames import ClipFacts, Sampling, open_clip

DATA = Path(__file__).parent.parent / "data"
EVERY_FRAME = Sampling(fps=None, max_frames=None)


def painted(number: int, width: int = 128, height: int = 96) -> np.ndarray:
    """The picture of a number from 0 to 255."""
    rgb = np.full((height, width, 3), 60, np.uint8)
    for bit in range(8):
        left, right = bit * width // 8, (bit + 1) * width // 8
        rgb[: height // 2, left:right] = 235 if number >> bit & 1 else 20
    return rgb


def number_in(rgb: np.ndarray) -> int:
    """The number that a picture shows."""
    height, width = rgb.shape[:2]
    row = rgb[height // 4].mean(-1)
    return sum(int(row[(2 * bit + 1) * width // 16] > 128) << bit for bit in range(8))


def read(path: Path, sampling: Sampling = EVERY_FRAME) -> tuple[ClipFacts, list[int], list[float]]:
    """The facts of a clip once it is read, and number and time of each picture that reaches the model."""
    with open_clip(path, sampling) as reader:
        frames = list(reader.read_frames())
        facts = reader.facts
    assert all(frame.rgb.shape == (facts.height, facts.width, 3) for frame in frames)
    assert [frame.index for frame in frames] == list(facts.indices)
    return facts, [number_in(frame.rgb) for frame in frames], [frame.time_s for frame in frames]
