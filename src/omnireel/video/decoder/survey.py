"""The first pass over a clip's packets: it measures the clip without decoding it.

Runs in the decoding child only. Frames are numbered in display order.
"""

from __future__ import annotations

from typing import NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from omnireel.video.decoder.bitstream.dolby_vision import is_profile_5
from omnireel.video.decoder.bitstream.roles import Role, role_reader
from omnireel.video.decoder.bitstream.sizes import Size, size_reader
from omnireel.video.decoder.packets import ClipError, Packets
from omnireel.video.decoder.plan import Picture
from omnireel.video.decoder.times import Stamp, TimeLine, time_line
from omnireel.video.limits import DURATION_TOLERANCE_S
from omnireel.video.messages import Reason, Request

# Packets for each picture, on average: messages, delimiters and headers may have packets of their own.
_MAX_PACKETS_PER_PICTURE = 8
# With this many frames beyond the limit of duration, reading ends; a few may be strays.
_MAX_LATE = 64
_STARTS = Role.START | Role.OPEN_START
_WITHOUT_STARTS = frozenset({"mpeg4"})  # codecs whose starts bitstream/roles.py does not tell


class Timeline(NamedTuple):
    """A clip as measured from its packets, without decoding.

    pictures:     every packet of the stream, in file order
    shown_pts:    pts of the shown frames, ascending; empty when pts are missing or not unique
    times_s:      seconds from the first shown frame, ascending, one per frame
    duration_s:   from the first frame to the end of the last one
    sizes:        those that headers of pictures name
    is_truncated: a packet is damaged or the file ends early
    num_strays:   frames that are left out because their times are far from all others
    is_dolby_5:   colours need metadata that is not applied
    """

    pictures: list[Picture]
    shown_pts: list[int]
    times_s: list[float]
    duration_s: float
    sizes: frozenset[Size]
    is_truncated: bool
    num_strays: int
    is_dolby_5: bool

    @property
    def has_packets_without_pictures(self) -> bool:
        """Whether the container's frame rate counts more than pictures."""
        return any(picture.role & Role.NO_PICTURE for picture in self.pictures)

    @property
    def changes_parameters(self) -> bool:
        """Whether pictures may have sizes that no header in `sizes` names."""
        return any(picture.role & Role.CHANGES_PARAMETERS for picture in self.pictures)


def survey(container: InputContainer, stream: VideoStream, codec: str, request: Request) -> Timeline:
    """Demux the whole stream once, and measure it.

    Raises ClipError at the first packet beyond a limit, whatever the headers claim.
    """
    packets = Packets(container, stream)
    found = _Found(container, stream, codec, request)
    for packet in packets:
        found.add(packet)
    return found.timeline(is_damaged=packets.is_damaged)


class _Found:
    """What the packets so far hold."""

    def __init__(self, container: InputContainer, stream: VideoStream, codec: str, request: Request) -> None:
        self._role_of = role_reader(codec, stream.codec_context.extradata or b"")
        self._sizes_of = size_reader(codec)
        self._codec = codec
        self._request = request
        self._time_base = float(stream.time_base or 1)
        self._rate = float(stream.average_rate or 0)
        self._is_reordered = bool(stream.codec_context.has_b_frames)
        self._claimed_s = (container.duration or 0) / av.time_base
        self._limit_s = request.max_duration_s + DURATION_TOLERANCE_S
        self._pictures: list[Picture] = []
        self._frames: list[int] = []  # positions in _pictures
        self._stamps: list[Stamp] = []
        self._sizes: set[Size] = set()
        self._is_dolby_5 = False
        self._num_starts = self._num_late = 0
        self._earliest: int | None = None  # pts of a frame

    def add(self, packet: Packet[VideoStream]) -> None:
        """Take note of the next packet. Raises ClipError when it is beyond a limit."""
        if packet.has_sidedata("encryption_info"):
            raise ClipError(Reason.CODEC, name="encrypted")
        content = bytes(packet)
        role = self._role(packet, content)
        self._pictures.append(Picture(packet.pts, role))
        self._sizes.update(self._sizes_of(content))
        if role & Role.NO_PICTURE:
            self._extend_frame(packet)
        elif not role & Role.HIDDEN and not packet.is_discard:
            self._add_frame(packet, content, role)
        self._check_number()

    def _role(self, packet: Packet[VideoStream], content: bytes) -> Role:
        role = self._role_of(content)
        # The first sample of another sample description has this, as in joined clips.
        if packet.has_sidedata("new_extradata"):
            role |= Role.CHANGES_PARAMETERS
        self._num_starts += bool(role & _STARTS)
        # The pictures that these are predicted from are not in the file, and decoders leave them out.
        return role | Role.HIDDEN if role & Role.LEADING and self._num_starts <= 1 else role

    def _add_frame(self, packet: Packet[VideoStream], content: bytes, role: Role) -> None:
        if not self._stamps and self._codec == "hevc":
            self._is_dolby_5 = is_profile_5(content)
        is_key = packet.is_keyframe if self._codec in _WITHOUT_STARTS else bool(role & _STARTS)
        self._frames.append(len(self._pictures) - 1)
        self._stamps.append(Stamp(packet.pts, packet.duration or 0, is_key))
        self._check_time(packet.pts)

    def _extend_frame(self, packet: Packet[VideoStream]) -> None:
        """The last frame is shown for as long as packets without a picture follow it."""
        if not self._stamps or packet.pts is None or packet.is_discard:
            return
        last = self._stamps[-1]
        if last.pts is not None:
            duration = max(last.duration, packet.pts + (packet.duration or 0) - last.pts)
            self._stamps[-1] = last._replace(duration=duration)

    def _check_number(self) -> None:
        max_frames = self._request.max_num_packets
        if len(self._stamps) > max_frames or len(self._pictures) > max_frames * _MAX_PACKETS_PER_PICTURE:
            if self._stamps:
                self._time_line()  # a clip that is too long as well is called too long
            raise ClipError(Reason.NUM_FRAMES, value=len(self._stamps))

    def _check_time(self, pts: int | None) -> None:
        """End early at a clip that is far too long; `timeline` has the exact check."""
        if pts is None:
            return
        self._earliest = pts if self._earliest is None else min(self._earliest, pts)
        self._num_late += (pts - self._earliest) * self._time_base > self._limit_s
        if self._num_late == _MAX_LATE:
            self._num_late += 1  # checked once, because it takes time
            self._time_line()

    def _time_line(self) -> tuple[TimeLine, float]:
        """The frames so far, and how long they last in seconds. Raises ClipError beyond the limit."""
        frame_s = 1 / self._rate if self._rate > 0 else 0.0
        line = time_line(self._stamps, self._time_base, frame_s, is_reordered=self._is_reordered)
        duration_s = line.duration_s(self._time_base, frame_s)
        if duration_s > self._limit_s:
            raise ClipError(Reason.DURATION, value=max(duration_s, self._claimed_s))
        return line, duration_s

    def timeline(self, *, is_damaged: bool) -> Timeline:
        """The clip, now that all packets are known. Raises ClipError when it has no frames or lasts too long."""
        if not self._stamps:
            raise ClipError(Reason.CORRUPT)
        line, duration_s = self._time_line()
        for position, pts in zip(self._frames, line.pts, strict=True):
            self._pictures[position] = self._pictures[position]._replace(pts=pts)
        return Timeline(
            pictures=self._pictures,
            shown_pts=[int(tick) for tick in line.ticks] if line.has_pts else [],
            times_s=line.times_s(self._time_base),
            duration_s=duration_s,
            sizes=frozenset(self._sizes),
            is_truncated=is_damaged,
            num_strays=line.num_strays,
            is_dolby_5=self._is_dolby_5,
        )
