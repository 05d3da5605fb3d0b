"""Decodes a clip's sound track to 16 kHz samples. Runs in the decoding child only, as it imports PyAV."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from omnireel.video.decoder.packets import ClipError
from omnireel.video.messages import MAX_CHANNELS, SAMPLE_BYTES, SAMPLE_RATE, Reason, Request

# With a larger share of undecodable packets the track counts as damaged.
_MAX_BAD_SHARE = 0.5


class Chunk(NamedTuple):
    """Little-endian fp32 samples, channels interleaved."""

    content: bytes
    num_channels: int


def sound_chunks(
    container: InputContainer, begins_s: float, request: Request, *, max_bytes: int
) -> Iterator[Chunk]:
    """The sound of the first track between the requested start and end, in chunks of at most max_bytes.

    begins_s: when the clip's first frame is shown, on the container's clock
    Raises ClipError(CORRUPT) where the track cannot be decoded, ClipError(NO_VIDEO) where there is none.
    """
    if not container.streams.audio:
        raise ClipError(Reason.NO_VIDEO)
    stream = container.streams.audio[0]
    if stream.codec_context is None:  # a codec that this FFmpeg does not support
        raise ClipError(Reason.CORRUPT)
    # All channels are kept: FFmpeg's own mix to one makes a signal that is equal in both about 1.5 times as loud.
    layout = stream.codec_context.layout
    if not 1 <= layout.nb_channels <= MAX_CHANNELS:
        raise ClipError(Reason.CORRUPT)
    resampler = AudioResampler(format="flt", layout=layout, rate=SAMPLE_RATE)
    width = SAMPLE_BYTES * layout.nb_channels
    max_bytes -= max_bytes % width
    start_s = 0.0 if math.isnan(request.start_s) else request.start_s
    end_s = math.inf if math.isnan(request.end_s) else request.end_s
    # One sample beyond the limit, so that the reader knows that there was more.
    left = round(request.max_duration_s * SAMPLE_RATE) + 1
    to_skip: int | None = None
    for frame in _frames(container, stream):
        at_s = (frame.time or 0.0) - begins_s
        if at_s >= end_s:
            break
        if to_skip is None:
            to_skip = max(0, round((start_s - at_s) * SAMPLE_RATE))
            if end_s < math.inf:
                left = min(left, round((end_s - max(at_s, start_s)) * SAMPLE_RATE))
        for part in _samples(resampler, frame, width):
            kept = part[to_skip * width :][: left * width]
            to_skip = max(0, to_skip - len(part) // width)
            left -= len(kept) // width
            for start in range(0, len(kept), max_bytes):
                yield Chunk(kept[start : start + max_bytes], layout.nb_channels)
        if left <= 0:
            return
    for part in _samples(resampler, None, width):
        kept = part[(to_skip or 0) * width :][: left * width]
        left -= len(kept) // width
        if kept:
            yield Chunk(kept, layout.nb_channels)


def _samples(resampler: AudioResampler, frame: AudioFrame | None, width: int) -> Iterator[bytes]:
    for out in resampler.resample(frame):
        yield bytes(out.planes[0])[: out.samples * width]


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    num_good = num_bad = 0
    for packet in container.demux(stream):
        try:
            frames = stream.codec_context.decode(packet)
        except av.FFmpegError:
            num_bad += 1
            continue
        num_good += len(frames)
        yield from frames
    if not num_good or num_bad > _MAX_BAD_SHARE * (num_good + num_bad):
        raise ClipError(Reason.CORRUPT)
