"""The messages between the reader and its decoding child: fixed structs, so that reading one executes nothing.

The reader sends one Request, with the clip and the shared memory as file descriptors, and later one byte for
each slot that is free again. The child answers with records of RECORD_BYTES each: one Facts, any number of
FrameReady, then End. For sound it sends SoundReady records and End. A Failure may come at any point.
Every unpack of a record checks ranges, because the child has read hostile bytes and may send anything.
"""

import math
import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple, Self

from omnireel.video.limits import SUPPORTED_CODECS

RECORD_BYTES = 128
SAMPLE_RATE = 16_000
SAMPLE_BYTES = 4
NUM_SLOTS = 4
MAX_COUNT = 1 << 24
MAX_SIDE = 1 << 16
MAX_CHANNELS = 64


class Container(IntEnum):
    """The family of container formats; the value is what a Request holds."""

    MOV = 1
    MATROSKA = 2
    GIF = 3


class Mode(IntEnum):
    """What the child reads from the clip."""

    FRAMES = 0
    SOUND = 1


class Reason(IntEnum):
    """Why a clip cannot be read."""

    CORRUPT = 1
    NO_VIDEO = 2
    DURATION = 3
    NUM_FRAMES = 4
    RESOLUTION = 5
    TOO_SMALL = 6
    CODEC = 7
    START = 8


class Flag(IntFlag):
    """Further facts about a clip.

    STRAYS:  frames are left out because their times are far from all others
    DOLBY_5: profile 5 of Dolby Vision, whose colours need metadata that is not applied
    """

    HAS_AUDIO = 1
    TRUNCATED = 2
    PQ = 4
    HLG = 8
    STRAYS = 16
    DOLBY_5 = 32


class Request(NamedTuple):
    """What to read and how. In fps, max_frames, start_s and end_s, NaN or 0 means "not given".

    mode: a Mode; container: a Container; timeout_s: the time the reader waits, as VideoLimits has it
    """

    mode: int
    slot_bytes: int
    container: int
    max_duration_s: float
    max_long_side: int
    max_short_side: int
    min_side: int
    max_num_packets: int
    timeout_s: float
    fps: float
    max_frames: int
    start_s: float
    end_s: float

    def pack(self) -> bytes:
        """The bytes to send to the child."""
        return REQUEST.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """The request in `data`; nothing is checked, because the reader is trusted."""
        return cls(*REQUEST.unpack(data))


REQUEST = struct.Struct("<BqBdiiiiddqdd")


class Facts(NamedTuple):
    """A clip as measured by the child; sizes in stored pixels, before `turns` and `mirrored` are applied.

    turns:    quarter turns to the left that make the picture upright, after mirroring
    codec:    index into SUPPORTED_CODECS
    first_index, num_in_window: the frames between the requested start and end
    flags:    with PQ or HLG, pixel components in the slots have 16 bits and that transfer function, else 8 bits
    """

    width: int
    height: int
    turns: int
    mirrored: int
    codec: int
    flags: int
    num_source_frames: int
    first_index: int
    num_in_window: int
    source_fps: float
    duration_s: float

    @property
    def num_bytes(self) -> int:
        """Size of one frame in its slot."""
        return self.width * self.height * (6 if self.flags & (Flag.PQ | Flag.HLG) else 3)

    def pack(self) -> bytes:
        """The bytes of the record."""
        return _record(_FACTS, *self)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Raises ValueError when a field is out of range."""
        facts = cls(*_FACTS.unpack_from(data, 1))
        num_frames = facts.num_source_frames
        _check(0 < facts.width <= MAX_SIDE and 0 < facts.height <= MAX_SIDE)
        _check(facts.turns <= 3 and facts.mirrored <= 1 and facts.codec < len(SUPPORTED_CODECS))
        _check(0 < num_frames <= MAX_COUNT and 0 <= facts.first_index < num_frames)
        _check(0 < facts.num_in_window <= num_frames - facts.first_index)
        _check(math.isfinite(facts.source_fps) and facts.source_fps > 0)
        _check(math.isfinite(facts.duration_s) and facts.duration_s >= 0)
        return facts


_FACTS = struct.Struct("<iiBBBBiiidd")


class FrameReady(NamedTuple):
    """A slot holds the RGB pixels of one chosen frame."""

    frame_index: int
    slot: int
    time_s: float

    def pack(self) -> bytes:
        """The bytes of the record."""
        return _record(_FRAME, *self)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Raises ValueError when a field is out of range."""
        frame = cls(*_FRAME.unpack_from(data, 1))
        _check(0 <= frame.frame_index < MAX_COUNT and frame.slot < NUM_SLOTS)
        _check(math.isfinite(frame.time_s))
        return frame


_FRAME = struct.Struct("<iBd")


class SoundReady(NamedTuple):
    """A slot holds sound: fp32 samples at 16 kHz, channels interleaved."""

    slot: int
    num_samples: int
    num_channels: int

    def pack(self) -> bytes:
        """The bytes of the record."""
        return _record(_SOUND, *self)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Raises ValueError when a field is out of range; the reader checks the size against the slot's."""
        sound = cls(*_SOUND.unpack_from(data, 1))
        _check(sound.slot < NUM_SLOTS and 0 <= sound.num_samples <= MAX_COUNT)
        _check(1 <= sound.num_channels <= MAX_CHANNELS)
        return sound


_SOUND = struct.Struct("<BiB")


class End(NamedTuple):
    """Every frame or sample that can be decoded has been sent."""

    def pack(self) -> bytes:
        """The bytes of the record."""
        return _record(_END)

    @classmethod
    def unpack(cls, _data: bytes) -> Self:
        """The record has no fields."""
        return cls()


_END = struct.Struct("<")


class Failure(NamedTuple):
    """The clip cannot be read. width, height, value and name are set where the reason needs them."""

    reason: int
    width: int
    height: int
    value: float
    name: bytes

    @property
    def codec(self) -> str:
        """The codec's name in letters, digits and underscores; "unknown" where the child sent anything else."""
        text = self.name.rstrip(b"\0").decode("ascii", "replace")
        return text if text.replace("_", "").isalnum() and text.isascii() else "unknown"

    def pack(self) -> bytes:
        """The bytes of the record."""
        return _record(_FAILURE, *self)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Raises ValueError when a field is out of range."""
        failure = cls(*_FAILURE.unpack_from(data, 1))
        Reason(failure.reason)
        _check(math.isfinite(failure.value))
        return failure


_FAILURE = struct.Struct("<Biid16s")

Record = Facts | FrameReady | End | Failure | SoundReady
_STRUCTS: tuple[tuple[type[Record], struct.Struct], ...] = (
    (Facts, _FACTS),
    (FrameReady, _FRAME),
    (End, _END),
    (Failure, _FAILURE),
    (SoundReady, _SOUND),
)


def read_record(data: bytes) -> Record:
    """The record in RECORD_BYTES bytes. Raises ValueError for an unknown tag or a field out of range."""
    tag = data[0]
    _check(tag < len(_STRUCTS))
    return _STRUCTS[tag][0].unpack(data)


def _record(layout: struct.Struct, *values: float | bytes) -> bytes:
    tag = [known for _, known in _STRUCTS].index(layout)
    return (bytes([tag]) + layout.pack(*values)).ljust(RECORD_BYTES, b"\0")


def _check(is_valid: bool) -> None:
    if not is_valid:
        raise ValueError("a record of the decoding child has a value out of range")
