"""The second pass over a clip's packets: it decodes what the chosen frames need.

Runs in the decoding child only. Frames are numbered in display order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from omnireel.video.decoder.bitstream.roles import Role
from omnireel.video.decoder.bitstream.sizes import Size
from omnireel.video.decoder.packets import ClipError, Packets, whole
from omnireel.video.decoder.plan import Action, plan_packets
from omnireel.video.decoder.survey import Timeline
from omnireel.video.messages import Reason

MAX_THREADS = 4
_MAX_BAD_SHARE = 0.1
# Places at which sizes are measured; each takes the decoding of a picture.
_MAX_SIZE_CHANGES = 64


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
    last = number = -1
    for frame in decoder:
        # A stray has no time, and is no frame of the clip.
        number += frame.pts is not None or not timeline.num_strays
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
        self._pictures = timeline.pictures
        self._actions = _actions(timeline, chosen)
        self.num_sent = self.num_bad = 0

    def __iter__(self) -> Iterator[VideoFrame]:
        last = max((i for i, action in enumerate(self._actions) if action), default=-1)
        held: list[Packet[VideoStream]] = []
        for packet, picture, action in zip(
            self._packets, self._pictures, self._actions[: last + 1], strict=False
        ):
            if action is Action.SKIP:
                continue
            if picture.role & Role.NO_PICTURE:
                held.append(packet)
                continue
            if action is Action.RESTART:
                yield from self._intact(None)
                self._context.flush_buffers()
            self.num_sent += 1
            yield from self._intact(whole(held, packet, picture.pts))
            held = []
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


def measured_sizes(container: InputContainer, stream: VideoStream, timeline: Timeline) -> set[Size]:
    """The sizes of the first pictures after changes of parameters, decoded one by one; damaged ones are left out.

    For clips that change their parameters in the stream. It looks at 64 changes at most.
    """
    sizes: set[Size] = set()
    held: list[Packet[VideoStream]] = []
    num_changes, has_changed = 0, False
    for packet, picture in zip(Packets(container, stream), timeline.pictures, strict=False):
        has_changed |= bool(picture.role & Role.CHANGES_PARAMETERS)
        held.append(packet)
        if picture.role & Role.NO_PICTURE:
            continue
        if has_changed and packet.is_keyframe:
            sizes |= _decoded_sizes(stream, held)
            num_changes, has_changed = num_changes + 1, False
        held = []
        if num_changes == _MAX_SIZE_CHANGES:
            break
    return sizes


def _decoded_sizes(stream: VideoStream, held: Sequence[Packet[VideoStream]]) -> set[Size]:
    """The size of the last packet's picture, which needs none before it."""
    context = stream.codec_context
    sizes: set[Size] = set()
    for packet in (whole(held[:-1], held[-1], held[-1].pts), None):
        try:
            sizes |= {(frame.width, frame.height) for frame in context.decode(packet)}
        except av.FFmpegError:
            break
    context.flush_buffers()
    return sizes
