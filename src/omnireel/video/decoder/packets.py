"""A clip's packets: the intact ones, and why a clip cannot be read.

Runs in the decoding child only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from omnireel.video.decoder.bitstream.gif import ends_within_picture
from omnireel.video.messages import Failure, Reason


class ClipError(Exception):
    """The clip cannot be read; `failure` is the record that says why."""

    def __init__(
        self, reason: Reason, *, width: int = 0, height: int = 0, value: float = 0.0, name: str = ""
    ) -> None:
        super().__init__(reason.name)
        self.failure = Failure(reason, width, height, value, name.encode()[:16])


class Packets:
    """The intact packets of one stream, in file order. `is_damaged` is true after a damaged one was found."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container = container
        self._stream = stream
        self._is_gif = stream.codec_context.name == "gif"
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
            if packet.is_corrupt or (self._is_gif and ends_within_picture(bytes(packet))):
                self.is_damaged = True
            elif packet.size:
                yield packet


def whole(
    held: Sequence[Packet[VideoStream]], packet: Packet[VideoStream], pts: int | None
) -> Packet[VideoStream]:
    """A picture with what came before it in packets of its own, which decoders take for damage."""
    if not held:
        if packet.pts != pts:
            packet.pts = pts
        return packet
    parts = [*held, packet]
    joined = cast("Packet[VideoStream]", Packet(b"".join(map(bytes, parts))))
    joined.pts, joined.dts, joined.time_base = pts, packet.dts, packet.time_base
    joined.is_keyframe = packet.is_keyframe
    for part in parts:
        if part.has_sidedata("new_extradata"):
            joined.set_sidedata(part.get_sidedata("new_extradata"))
    return joined
