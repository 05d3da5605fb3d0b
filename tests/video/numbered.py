"""Pictures that hold their own number, so that a test can tell which ones reach the model and when.

Eight blocks in a row, a quarter of the height from the top: light is 1, and the lowest bit is on the left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from clips import ClipSpec, write_clip

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


def clip_of(path: Path, numbers: Sequence[int], **spec: object) -> Path:
    """A clip of these pictures, 30 a second unless told otherwise."""
    size = {"width": spec.get("width", 128), "height": spec.get("height", 96)}
    whole = {"num_frames": len(numbers), "paint": lambda i: painted(numbers[i], **size), **size} | spec
    return write_clip(path, ClipSpec(**whole))


@dataclass(frozen=True)
class Sample:
    """A packet to write; times in units of the source's time base."""

    content: bytes
    pts: int | None
    dts: int | None
    is_key: bool
    duration: int = 0


def samples_of(path: Path, track: int = 0) -> list[Sample]:
    """The packets of a video track, in file order."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=track) if packet.size]
        return [Sample(bytes(p), p.pts, p.dts, p.is_keyframe, p.duration or 0) for p in packets]


def header_of(path: Path) -> bytes:
    """What a track's header says to the decoder."""
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.extradata or b""


def remuxed(
    path: Path,
    *tracks: tuple[Path, Sequence[Sample]],
    disposition: dict[int, Disposition] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A file with these tracks: each has the header of a clip, and samples.

    disposition: of tracks by their number, where it is not the muxer's own
    """
    with av.open(str(path), "w", options=options or {}) as container:
        packets = []
        for number, (source, samples) in enumerate(tracks):
            with av.open(str(source)) as template:
                stream = template.streams.video[0]
                target = container.add_stream_from_template(stream, opaque=True)
                target.disposition = (disposition or {}).get(number, target.disposition)
                packets += [_packet(sample, target, stream.time_base) for sample in samples]
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            container.mux(packet)
    return path


def _packet(sample: Sample, stream: av.VideoStream, time_base: Fraction) -> av.Packet:
    packet = av.Packet(sample.content)
    packet.pts, packet.dts, packet.time_base = sample.pts, sample.dts, time_base
    packet.duration, packet.is_keyframe, packet.stream = sample.duration, sample.is_key, stream
    return packet
