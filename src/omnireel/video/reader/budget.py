"""How much processor time the decoder may take for a clip: by the clip's size, so that a small one takes no minute."""

from __future__ import annotations

from omnireel.video.limits import SUPPORTED_CODECS
from omnireel.video.messages import Facts

# Any clip may take so much: most of it is for slow processors.
_LEAST_S = 10.0
# To read the packets of the file, several times.
_S_PER_MEBIBYTE = 0.1
# A processor may be so much slower, or a clip so much harder to decode, than expected.
_PATIENCE = 8.0
# Expected time to decode a megapixel on one processor.
_S_PER_MEGAPIXEL = {
    "h264": 0.004, "hevc": 0.006, "av1": 0.008, "vp9": 0.005, "mpeg4": 0.003, "vp8": 0.004, "gif": 0.004,
}  # fmt: skip


def reading_s(num_bytes: int) -> float:
    """The processor time that a decoding child may take to read a file of this size and decode its first frame."""
    return _LEAST_S + num_bytes / (1 << 20) * _S_PER_MEBIBYTE


def decoding_s(facts: Facts) -> float:
    """The further processor time that it may take for the frames between the requested start and end."""
    return _PATIENCE * expected_s(facts)


def expected_s(facts: Facts) -> float:
    """The processor time to decode all frames between the requested start and end."""
    megapixels = facts.width * facts.height * facts.num_in_window / 1e6
    return megapixels * _S_PER_MEGAPIXEL[SUPPORTED_CODECS[facts.codec]]
