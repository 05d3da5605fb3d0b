"""The main function of the decoding child, which parses hostile bytes in place of the server.

fork_server.py forks it. It exchanges the messages of messages.py on stdin and stdout, receives the clip and the
shared memory as open file descriptors, and opens no file itself. It reads one clip and exits. PyAV is imported only
here and by the modules it uses; torch and numpy are not.
The choice of frames is in sample.py, the choice of packets in plan.py.
"""

from __future__ import annotations

import math
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from io import FileIO
from itertools import chain
from typing import Any, NamedTuple, NoReturn, TypeVar, cast

import av

# PyAV imports these at the first subtitle track; by then the sandbox blocks the file system.
import av.subtitles.codeccontext
import av.subtitles.stream
import av.subtitles.subtitle
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import ColorTrc, VideoReformatter
from av.video.stream import VideoStream

from omnireel.video.decoder.bitstream.sizes import Size, display_size, fitted
from omnireel.video.decoder.decoding import MAX_THREADS, decoded_frames, measured_sizes
from omnireel.video.decoder.packets import ClipError
from omnireel.video.decoder.sandbox import confine, die_with
from omnireel.video.decoder.slots import Slots
from omnireel.video.decoder.sound import sound_chunks
from omnireel.video.decoder.survey import Timeline, survey
from omnireel.video.decoder.tracks import (
    best_track,
    codec_name,
    counted,
    has_missing_samples,
    known_counts,
    video_tracks,
)
from omnireel.video.limits import SUPPORTED_CODECS
from omnireel.video.messages import (
    REQUEST,
    SAMPLE_BYTES,
    Container,
    End,
    Facts,
    Flag,
    FrameReady,
    Mode,
    Reason,
    Request,
    SoundReady,
)
from omnireel.video.sample import choose_frames_between, window

T = TypeVar("T")
_DEMUXERS = {Container.MOV: "mov", Container.MATROSKA: "matroska", Container.GIF: "gif"}
_MAX_TRACKS = 16
_MAX_PIXELS_TO_MEASURE = 8192 * 4320  # to name the size of a picture that is too large
_RGB_16 = "rgb48le" if sys.byteorder == "little" else "rgb48be"


def main(parent_pid: int) -> None:
    """Receive one request, enter the sandbox, and send the records for the clip.

    parent_pid: the fork server; this process ends with it
    """
    die_with(parent_pid)
    request, clip_fd, memory_fd = _receive()
    slots = Slots(memory_fd, request.slot_bytes)
    clip = open(clip_fd, "rb", buffering=0, closefd=False)  # noqa: SIM115  until the process ends
    confine(cpu_s=request.timeout_s * MAX_THREADS + 1)
    threading.Thread(target=slots.follow_reader, daemon=True).start()
    try:
        (_read_sound if request.mode == Mode.SOUND else _read_clip)(request, clip, slots)
        _send(End().pack())
    except ClipError as error:
        _send(error.failure.pack())
    except (av.FFmpegError, OSError):  # OSError: a damaged table has an offset before the start of the file
        _send(ClipError(Reason.CORRUPT).failure.pack())


def _receive() -> tuple[Request, int, int]:
    """The request, the clip and the shared memory. Exits when the reader closes its end instead."""
    with socket.socket(fileno=os.dup(0)) as control:
        data, fds, _, _ = socket.recv_fds(control, REQUEST.size, 2)
    if not data:
        sys.exit(0)
    clip_fd, memory_fd = fds
    return Request.unpack(data), clip_fd, memory_fd


def _send(record: bytes) -> None:
    # A record is shorter than PIPE_BUF, so it is written as a whole.
    os.write(1, record)


def _read_clip(request: Request, clip: FileIO, slots: Slots) -> None:
    track, codec, timeline, flags = _on_track(
        request, clip, lambda container, stream: _measure(container, stream, request)
    )
    sizes = set(timeline.sizes)
    if timeline.changes_parameters:
        with _open(request, clip) as container:
            stream = container.streams.video[track]
            stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS_TO_MEASURE)}
            sizes |= measured_sizes(container, stream, timeline)
    with _open(request, clip) as container:
        stream = container.streams.video[track]
        first_index, count = _window(timeline, request)
        source_fps = _source_fps(stream, timeline)
        chosen = choose_frames_between(first_index, count, source_fps, **_sampling(request))
        stream.codec_context.options = {"max_pixels": _max_pixels(request)}
        frames = decoded_frames(container, stream, timeline, chosen)
        first_frame, shape = _first_frame(frames, stream, sizes, request)
        transfer = _transfer_flag(first_frame[1])
        facts = Facts(
            *shape,
            codec=SUPPORTED_CODECS.index(codec),
            flags=flags | transfer,
            num_source_frames=len(timeline.times_s),
            first_index=first_index,
            num_in_window=count,
            source_fps=source_fps,
            duration_s=timeline.duration_s,
        )
        _send(facts.pack())
        painter = _Painter(stream.sample_aspect_ratio, shape, slots, is_hdr=bool(transfer))
        for index, frame in chain([first_frame], frames):
            if index is not None:
                _check_largest(*painter.size(frame), request)
                _send(FrameReady(index, painter.put(frame), timeline.times_s[index]).pack())


def _on_track(
    request: Request,
    clip: FileIO,
    use: Callable[[InputContainer, VideoStream], T],
    *,
    is_to_be_counted: bool = False,
) -> T:
    """What `use` returns for the opened clip and the best of its video tracks.

    is_to_be_counted: the container does not say how many frames the tracks have
    """
    counts = None
    if is_to_be_counted:
        with _open(request, clip) as container:
            counts = counted(container, video_tracks(container), request.max_num_packets)
    with _open(request, clip) as container:
        tracks = video_tracks(container)
        counts = counts or known_counts(tracks)
        if counts is not None:
            return use(container, best_track(tracks, counts))
    return _on_track(request, clip, use, is_to_be_counted=True)


def _measure(
    container: InputContainer, stream: VideoStream, request: Request
) -> tuple[int, str, Timeline, Flag]:
    """The track's number among those of video, its codec, its timeline, and flags."""
    codec = codec_name(stream)
    _check_size(stream.codec_context.width, stream.codec_context.height, request)
    timeline = survey(container, stream, codec, request)
    flags = Flag.HAS_AUDIO if container.streams.audio else Flag(0)
    if timeline.is_truncated or has_missing_samples(container):
        flags |= Flag.TRUNCATED
    if timeline.num_strays:
        flags |= Flag.STRAYS
    if timeline.is_dolby_5:
        flags |= Flag.DOLBY_5
    return container.streams.video.index(stream), codec, timeline, flags


def _read_sound(request: Request, clip: FileIO, slots: Slots) -> None:
    def read(container: InputContainer, origin: VideoStream) -> None:
        begins_s = float((origin.start_time or 0) * (origin.time_base or 0))
        for chunk in sound_chunks(container, begins_s, request, max_bytes=slots.slot_bytes):
            num_samples = len(chunk.content) // (SAMPLE_BYTES * chunk.num_channels)
            _send(SoundReady(slots.put_bytes(chunk.content), num_samples, chunk.num_channels).pack())

    _on_track(request, clip, read)


def _open(request: Request, clip: FileIO) -> InputContainer:
    clip.seek(0)
    options = {
        "format_whitelist": _DEMUXERS[Container(request.container)],
        "protocol_whitelist": "",
        "enable_drefs": "0",
        "use_absolute_path": "0",
        "max_streams": str(_MAX_TRACKS),
        "max_pixels": _max_pixels(request),
    }
    return av.open(
        clip,
        "r",
        format=_DEMUXERS[Container(request.container)],
        options=options,
        buffer_size=1 << 18,
        metadata_errors="replace",
        io_open=_refuse_other_files,
    )


def _max_pixels(request: Request) -> str:
    """FFmpeg's limit on a picture, so that none far beyond ours is allocated; twice ours leaves room for padding."""
    return str(2 * request.max_long_side * request.max_short_side)


def _refuse_other_files(*_args: object) -> NoReturn:
    raise PermissionError


def _check_size(width: int, height: int, request: Request) -> None:
    if width < 1 or height < 1:
        raise ClipError(Reason.CORRUPT)
    _check_largest(width, height, request)
    if min(width, height) < request.min_side:
        raise ClipError(Reason.TOO_SMALL, width=width, height=height)


def _check_largest(width: int, height: int, request: Request) -> None:
    if max(width, height) > request.max_long_side or min(width, height) > request.max_short_side:
        raise ClipError(Reason.RESOLUTION, width=width, height=height)


def _window(timeline: Timeline, request: Request) -> tuple[int, int]:
    start_s = None if math.isnan(request.start_s) else request.start_s
    end_s = None if math.isnan(request.end_s) else request.end_s
    if start_s is not None and start_s >= max(timeline.duration_s, timeline.times_s[-1] + 1e-3):
        raise ClipError(Reason.START, value=timeline.duration_s)
    return window(timeline.times_s, start_s, end_s)


def _sampling(request: Request) -> dict[str, Any]:
    return {
        "fps": None if math.isnan(request.fps) else request.fps,
        "max_frames": request.max_frames or None,
    }


def _source_fps(stream: VideoStream, timeline: Timeline) -> float:
    """Frames per second: the container's value, unless the times or the number of the frames contradict it."""
    claimed = float(stream.average_rate or 0)
    num_frames = len(timeline.times_s)
    if timeline.duration_s <= 0:
        return claimed if claimed > 0 else 1.0
    measured = num_frames / timeline.duration_s
    is_plausible = measured / 2 <= claimed <= measured * 2 and not timeline.has_packets_without_pictures
    return claimed if is_plausible else measured


class Shape(NamedTuple):
    """Size of the pixels in a slot, and the turns and mirroring that make them upright; see Facts."""

    width: int
    height: int
    turns: int
    mirrored: int


def _first_frame(
    frames: Iterator[tuple[int | None, VideoFrame]],
    stream: VideoStream,
    sizes: Iterable[Size],
    request: Request,
) -> tuple[tuple[int | None, VideoFrame], Shape]:
    """The first decoded frame with its index, and the shape into which all frames are fitted: the largest one.

    sizes: of other frames, in stored pixels
    """
    first = next(frames, None)
    if first is None:
        raise ClipError(Reason.CORRUPT)
    frame, ratio = first[1], stream.sample_aspect_ratio
    largest = display_size((frame.width, frame.height), ratio)
    _check_size(*largest, request)
    for size in sorted(display_size(size, ratio) for size in sizes):
        _check_largest(*size, request)
        largest = max(largest, size, key=math.prod)
    return first, Shape(*largest, *_orientation(frame))


def _orientation(frame: VideoFrame) -> tuple[int, int]:
    """Quarter turns to the left and mirroring, which is applied first, from the frame's display matrix."""
    matrix = cast("SideData | None", frame.side_data.get("DISPLAYMATRIX"))
    if matrix is None:
        return 0, 0
    a, b, _, c, d = struct.unpack_from("<5i", bytes(matrix))
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    angle = math.degrees(math.atan2(-b, a))
    return round(angle / 90) % 4, int(mirrored)


def _transfer_flag(frame: VideoFrame) -> Flag:
    """PQ or HLG for a high dynamic range picture, otherwise no flag; see reader/hdr.py."""
    known: dict[int, Flag] = {ColorTrc.SMPTE2084: Flag.PQ, ColorTrc.ARIB_STD_B67: Flag.HLG}
    return known.get(int(frame.color_trc), Flag(0))


class _Painter:
    """Converts frames to RGB and puts them into slots.

    shape: of all pictures; a frame of other proportions has black bars
    """

    def __init__(self, ratio: Fraction | None, shape: Shape, slots: Slots, *, is_hdr: bool) -> None:
        self._ratio, self._shape, self._slots = ratio, shape, slots
        self._reformatter = VideoReformatter()
        self._kind, self._pixel_bytes = (_RGB_16, 6) if is_hdr else ("rgb24", 3)

    def size(self, frame: VideoFrame) -> Size:
        """Width and height at which a frame is shown."""
        return display_size((frame.width, frame.height), self._ratio)

    def put(self, frame: VideoFrame) -> int:
        """Fill the next free slot with a frame. Returns the slot's number."""
        shape = self._shape
        width, height = fitted(self.size(frame), (shape.width, shape.height))
        rgb = self._reformatter.reformat(frame, width=width, height=height, format=self._kind)
        if (width, height) == (shape.width, shape.height):
            return self._slots.put(rgb.planes[0], self._pixel_bytes * width)
        margins = (shape.width - width) // 2, (shape.height - height) // 2
        row_bytes = self._pixel_bytes * width
        return self._slots.put_within(
            rgb.planes[0],
            row_bytes,
            canvas=(self._pixel_bytes * shape.width, shape.height),
            at=(self._pixel_bytes * margins[0], margins[1]),
        )
