"""Makes real clips with PyAV's encoders, for every test that needs a video."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CODECS = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "vp8": "libvpx",
    "mpeg4": "mpeg4",
}
_FAST = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:bframes=3:b-adapt=0"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
}
Paint = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class ClipSpec:
    """What to encode.

    codec:   a key of CODECS, or the name of an encoder
    paint:   frame number → RGB [H, W, 3] uint8; None paints a moving square on a gradient
    options: for the encoder, over the fast defaults
    times:   pts of each frame in units of 1/rate; None counts up
    """

    codec: str = "h264"
    width: int = 160
    height: int = 90
    num_frames: int = 60
    rate: Fraction = Fraction(30)
    gop_size: int = 30
    pix_fmt: str = "yuv420p"
    paint: Paint | None = None
    options: dict[str, str] = field(default_factory=dict)
    times: Sequence[int] | None = None
    with_audio: bool = False
    container_options: dict[str, str] = field(default_factory=dict)
    rotation: float = 0.0
    mirrored: bool = False
    sample_aspect: Fraction | None = None


def moving_square(number: int, width: int, height: int) -> np.ndarray:
    """A picture that differs from those of all other frame numbers up to a few hundred."""
    x = np.linspace(0, 255, width, dtype=np.uint8)
    y = np.linspace(0, 255, height, dtype=np.uint8)
    rgb = np.stack(
        [
            np.broadcast_to(x, (height, width)),
            np.broadcast_to(y[:, None], (height, width)),
            np.full((height, width), number * 7 % 256, np.uint8),
        ],
        axis=2,
    ).copy()
    side = max(min(width, height) // 4, 1)
    left, top = number * 3 % max(width - side, 1), number * 2 % max(height - side, 1)
    rgb[top : top + side, left : left + side] = (255, 255 - number % 200, 0)
    return rgb


def write_clip(path: Path, spec: ClipSpec = ClipSpec()) -> Path:
    """Encode a clip. The suffix of the path selects the container."""
    with av.open(str(path), "w", options=spec.container_options) as container:
        name = CODECS.get(spec.codec, spec.codec)
        video = container.add_stream(name, rate=spec.rate, options=_FAST.get(name, {}) | spec.options)
        video.width, video.height, video.pix_fmt = spec.width, spec.height, spec.pix_fmt
        video.codec_context.gop_size = spec.gop_size
        video.codec_context.thread_count = 1
        if spec.sample_aspect:
            video.codec_context.sample_aspect_ratio = spec.sample_aspect
        if spec.rotation or spec.mirrored:
            video.set_display_rotation(spec.rotation, hflip=spec.mirrored)
        audio = _add_audio(container) if spec.with_audio else None
        for frame in _frames(spec):
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio:
            _write_tone(container, audio, seconds=float(spec.num_frames / spec.rate))
    return path


def write_sound(path: Path, *, seconds: float = 1.0) -> Path:
    """Encode a file with sound and without pictures."""
    with av.open(str(path), "w") as container:
        _write_tone(container, _add_audio(container), seconds=seconds)
    return path


def frames_of(path: Path) -> list[np.ndarray]:
    """Every frame of a clip in RGB, as PyAV alone decodes and converts it."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _frames(spec: ClipSpec) -> Iterable[av.VideoFrame]:
    paint = spec.paint or (lambda number: moving_square(number, spec.width, spec.height))
    for number in range(spec.num_frames):
        frame = av.VideoFrame.from_ndarray(paint(number), format="rgb24")
        frame.pts = spec.times[number] if spec.times else number
        frame.time_base = 1 / spec.rate
        yield frame.reformat(format=spec.pix_fmt)


def _add_audio(container: av.container.OutputContainer) -> av.AudioStream:
    name = "libopus" if container.format.name in ("webm", "matroska") else "aac"
    return container.add_stream(name, rate=48_000, layout="mono")


def _write_tone(container: av.container.OutputContainer, stream: av.AudioStream, *, seconds: float) -> None:
    samples = np.sin(np.arange(int(48_000 * seconds)) * (2 * np.pi * 440 / 48_000)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
    fifo = av.AudioFifo()
    fifo.write(frame)
    size = stream.codec_context.frame_size or 960
    while (piece := fifo.read(size, partial=True)) is not None:
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))
