"""Small pictures of frames, for people to look at. The standard library writes them, so no decoder is loaded."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

MAX_SIDE = 160
# The lowest bits of filmed pictures are noise, and noise is most of a PNG.
_KEPT_BITS = 0b1111_1100
_RGB_8 = struct.pack(">BBBBB", 8, 2, 0, 0, 0)
_DIFFERENCE_TO_THE_LEFT = 1


def thumbnail(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture [H, W, 3] made smaller by a whole factor, so that no side is longer than MAX_SIDE."""
    factor = -(-max(rgb.shape[:2]) // MAX_SIDE)
    # Every second pixel of a block is enough, and averaging all of 1080p takes as long as decoding it.
    step = factor // 2 if factor % 2 == 0 else 1
    rows, cols = (max(side // factor, 1) for side in rgb.shape[:2])
    high, wide = (min(factor // step, -(-side // step)) for side in rgb.shape[:2])
    blocks = rgb[::step, ::step][: rows * high, : cols * wide].reshape(rows, high, cols, wide, 3)
    return np.asarray(blocks.mean((1, 3)), np.uint8)


def png(rgb: NDArray[np.uint8]) -> bytes:
    """A picture [H, W, 3] as a PNG with six bits a colour."""
    height, width, _ = rgb.shape
    pixels = rgb & np.uint8(_KEPT_BITS)
    rows = np.empty((height, 1 + 3 * width), np.uint8)
    rows[:, 0] = _DIFFERENCE_TO_THE_LEFT
    rows[:, 1:4] = pixels[:, 0]
    rows[:, 4:] = (pixels[:, 1:] - pixels[:, :-1]).reshape(height, -1)  # modulo 256, as PNG has it
    header = struct.pack(">II", width, height) + _RGB_8
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
