"""The two passes over a clip's packets: one measures, the other decodes what the chosen frames need.

Runs in the decoding child only. Frames are numbered in display order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from omnireel.video.decoder.bitstream import Role, RoleOf
from omnireel.video.decoder.plan import Action, Picture, plan_packets
from omnireel.video.messages import Failure, Reason, Request

MAX_THREADS = 4
# A clip cut at the limit may end a little later: containers round durations up to their time base.
_DURATION_TOLERANCE_S = 0.05
_MAX_BAD_SHARE = 0.1


class ClipError(Exception):
    """The clip cannot be read; `failure` is the record that says why."""

    def __init__(
        self, reason: Reason, *, width: int = 0, height: int = 0, value: float = 0.0, name: str = ""
    ) -> None:
        super().__init__(reason.name)
        self.failure = Failure(reason, width, height, value, name.encode()[:16])


class Timeline(NamedTuple):
    """A clip as measured from its packets, without decoding.

    pictures:     every packet of the stream, in file order
    shown_pts:    pts of the shown frames, ascending; empty when pts are missing or not unique
    times_s:      seconds from the first shown frame, ascending, one per frame
    duration_s:   from the first frame to the end of the last one
    is_truncated: a packet is damaged or the file ends early
    """

    pictures: list[Picture]
    shown_pts: list[int]
    times_s: list[float]
    duration_s: float
    is_truncated: bool


class Packets:
    """The intact packets of one stream, in file order. `is_damaged` is true after a damaged one was found."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container = container
        self._stream = stream
        self.is_damaged = False

    def __iter__(self) -> Iterator[Packet[VideoStream]]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self.is_damaged = True
                return
            if packet is None:
                return
            if packet.is_corrupt:
                self.is_damaged = True
            elif packet.size:
                yield packet


def survey(container: InputContainer, stream: VideoStream, role_of: RoleOf, request: Request) -> Timeline:
    """Demux the whole stream once, and measure it.

    Raises ClipError at the first packet beyond a limit, whatever the headers claim.
    """
    packets = Packets(container, stream)
    pictures: list[Picture] = []
    shown: list[int | None] = []
    span = Span(container, stream, request.max_duration_s)
    for packet in packets:
        if packet.has_sidedata("encryption_info"):
            raise ClipError(Reason.CODEC, name="encrypted")
        role = role_of(bytes(packet))
        # The first sample of another sample description has this, as in joined clips.
        if packet.has_sidedata("new_extradata"):
            role |= Role.CHANGES_PARAMETERS
        pictures.append(Picture(packet.pts, role))
        if not packet.is_discard:
            shown.append(packet.pts)
            span.add(packet)
        if len(pictures) > request.max_num_packets:
            raise ClipError(Reason.NUM_FRAMES, value=len(pictures))
    if not shown:
        raise ClipError(Reason.CORRUPT)
    times_s, shown_pts = _times(shown, stream)
    return Timeline(pictures, shown_pts, times_s, span.seconds(len(shown)), packets.is_damaged)


class Span:
    """The time from the first to the last of the frames added so far."""

    def __init__(self, container: InputContainer, stream: VideoStream, max_duration_s: float) -> None:
        self._time_base = float(stream.time_base or 1)
        self._rate = float(stream.average_rate or 0)
        self._claimed_s = (container.duration or 0) / av.time_base
        self._limit_s = max_duration_s + _DURATION_TOLERANCE_S
        self._first: int | None = None
        self._end = self._last = 0

    def add(self, packet: Packet[VideoStream]) -> None:
        """Extend the span by a frame. Raises ClipError beyond the limit."""
        if packet.pts is None:
            return
        if self._first is None:
            self._first = self._last = self._end = packet.pts
        self._first = min(self._first, packet.pts)
        self._last = max(self._last, packet.pts)
        self._end = max(self._end, packet.pts + (packet.duration or 0))
        measured_s = (self._end - self._first) * self._time_base
        if measured_s > self._limit_s:
            raise ClipError(Reason.DURATION, value=max(measured_s, self._claimed_s))

    def seconds(self, num_frames: int) -> float:
        """From the first frame to the end of the last one."""
        frame_s = 1 / self._rate if self._rate > 0 else 0.0
        if self._first is None:
            return num_frames * frame_s
        if self._end > self._last:
            return (self._end - self._first) * self._time_base
        return (self._last - self._first) * self._time_base + frame_s


def _times(shown: Sequence[int | None], stream: VideoStream) -> tuple[list[float], list[int]]:
    """Seconds of each frame in display order, and their pts; no pts where they do not identify the frames."""
    known = [pts for pts in shown if pts is not None]
    if len(known) < len(shown):
        rate = float(stream.average_rate or 0) or 1.0
        return [i / rate for i in range(len(shown))], []
    ordered = sorted(known)
    times_s = [(pts - ordered[0]) * float(stream.time_base or 1) for pts in ordered]
    is_unique = len(set(ordered)) == len(ordered)
    return times_s, ordered if is_unique else []


def decoded_frames(
    container: InputContainer, stream: VideoStream, timeline: Timeline, chosen: Sequence[int]
) -> Iterator[tuple[int | None, VideoFrame]]:
    """Frames in the order of the decoder's output, each with its index or, if it was not chosen, None.

    Indices ascend. Raises ClipError when more than a tenth of the decoded packets is damaged.
    """
    stream.thread_type = "AUTO"
    stream.thread_count = min(len(os.sched_getaffinity(0)), MAX_THREADS)
    decoder = Decoder(container, stream, timeline, chosen)
    index_of: dict[int | None, int] = {timeline.shown_pts[i]: i for i in chosen} if timeline.shown_pts else {}
    chosen_set = set(chosen)
    last = -1
    for number, frame in enumerate(decoder):
        index = index_of.get(frame.pts) if index_of else number
        if index is None or index not in chosen_set or index <= last:
            yield None, frame
            continue
        last = index
        yield index, frame
        if index == chosen[-1]:
            break
    if decoder.num_bad > _MAX_BAD_SHARE * decoder.num_sent:
        raise ClipError(Reason.CORRUPT)


class Decoder:
    """Decodes the planned packets: intact frames in display order. Damaged ones are counted and left out."""

    def __init__(
        self, container: InputContainer, stream: VideoStream, timeline: Timeline, chosen: Sequence[int]
    ) -> None:
        self._packets = Packets(container, stream)
        self._context = stream.codec_context
        self._actions = _actions(timeline, chosen)
        self.num_sent = self.num_bad = 0

    def __iter__(self) -> Iterator[VideoFrame]:
        last = max((i for i, action in enumerate(self._actions) if action), default=-1)
        for packet, action in zip(self._packets, self._actions[: last + 1], strict=False):
            if action is Action.SKIP:
                continue
            if action is Action.RESTART:
                yield from self._intact(None)
                self._context.flush_buffers()
            self.num_sent += 1
            yield from self._intact(packet)
        yield from self._intact(None)

    def _intact(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError:
            self.num_bad += 1
            return []
        self.num_bad += sum(frame.is_corrupt for frame in frames)
        return [frame for frame in frames if not frame.is_corrupt]


def _actions(timeline: Timeline, chosen: Sequence[int]) -> list[Action]:
    if not timeline.shown_pts:
        return [Action.SEND] * len(timeline.pictures)
    return plan_packets(timeline.pictures, {timeline.shown_pts[index] for index in chosen})
