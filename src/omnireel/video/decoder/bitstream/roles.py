"""What a packet holds and which later frames may depend on it, read from the bitstream without decoding it.

With it, pictures that no chosen frame needs can be left out, and the chosen frames still have the same pixels, bit
for bit. In doubt a packet counts as a picture that is shown and needed.
Sources: ITU-T H.264 7.4.1 (nal_ref_idc), ITU-T H.265 7.4.2.2 (table 7-1) and 8.1.3, ISO/IEC 14496-2 6.3.5
(vop_coding_type), RFC 6386 9.1 (VP8), VP9 bitstream specification 6.2 and annex B, AV1 bitstream specification 5.9.2.
"""

import re
from collections.abc import Callable, Iterator
from enum import IntFlag
from itertools import accumulate

from omnireel.video.decoder.bitstream.parameters import (
    ParameterSets,
    ParameterTracker,
    add_set,
    sets_of_avcc,
    sets_of_hvcc,
)


class Role(IntFlag):
    """What the bitstream says about a coded picture.

    DROPPABLE:  no other picture is predicted from it
    START:      starts a closed group: neither it nor a later picture in file order is predicted from earlier ones
    OPEN_START: starts an open group: as START, except for the LEADING pictures that follow it
    LEADING:    shown before the OPEN_START that it follows; trailing pictures do not need it
    CHANGES_PARAMETERS: the decoder's parameters change in the stream: later pictures may be decoded differently
                when this packet or earlier ones are left out
    NO_PICTURE: the packet holds no coded picture; what it holds belongs to the next one
    HIDDEN:     the picture is not shown; others may be predicted from it
    """

    PLAIN = 0
    DROPPABLE = 1
    START = 2
    OPEN_START = 4
    LEADING = 8
    CHANGES_PARAMETERS = 16
    NO_PICTURE = 32
    HIDDEN = 64


RoleOf = Callable[[bytes], Role]
_Parse = Callable[[bytes], tuple[Role, ParameterSets]]
_WHOLE_PACKET = -1  # not a NAL unit type; no header has such a set, so the packet counts as a change
_VOL = re.compile(rb"\x00\x00\x01[\x20-\x2f].*?(?=\x00\x00\x01|\Z)", re.DOTALL)
_VOL_KIND = 0x20
_AV1_FRAMES = (3, 6)  # OBU types: a frame header, a frame
_X264_BUILD = re.compile(rb"x264 - core (\d{1,4})")


def role_reader(codec: str, extradata: bytes) -> RoleOf:
    """The function from a packet to its role. It has to be called for every packet, in file order."""
    if codec == "h264" and len(extradata) > 4 and extradata[0] == 1:
        prefix = (extradata[4] & 3) + 1
        # For earlier builds of x264, FFmpeg reproduces their bugs in 4:4:4 with CABAC and in direct prediction.
        first_build = 151 if extradata[1] == 244 else 34
        return _with_parameters(
            lambda packet: _h264_picture(packet, prefix, first_build), sets_of_avcc(extradata)
        )
    if codec == "hevc" and len(extradata) > 21 and extradata[0] == 1:
        prefix = (extradata[21] & 3) + 1
        top_layer = (extradata[21] >> 3 & 7) - 1
        return _with_parameters(
            lambda packet: _hevc_picture(packet, prefix, top_layer), sets_of_hvcc(extradata)
        )
    if codec == "av1":
        # The decoder takes sequence headers from packets only, not from the container's header.
        return _with_parameters(_av1_picture, {})
    if codec == "mpeg4":
        return _with_parameters(_mpeg4_picture, _mpeg4_sets(extradata))
    return {"vp8": _vp8_role, "vp9": _vp9_role}.get(codec, _unknown_role)


def _with_parameters(parse: _Parse, stored: ParameterSets) -> RoleOf:
    """Roles by `parse`, and CHANGES_PARAMETERS where a packet's parameter sets differ from those of every start.

    stored: the parameter sets in the container's header
    """
    tracker = ParameterTracker(stored)

    def role_of(packet: bytes) -> Role:
        role, sets = parse(packet)
        # Compared whole, because testing bits of an IntFlag takes longer than all the rest. A role that has
        # CHANGES_PARAMETERS already needs no answer.
        is_start = role in (Role.START, Role.OPEN_START)
        return role | Role.CHANGES_PARAMETERS if tracker.is_change(sets, is_start=is_start) else role

    return role_of


def _unknown_role(_packet: bytes) -> Role:
    return Role.PLAIN


def _units(packet: bytes, prefix: int) -> Iterator[tuple[int, int]]:
    """Start and end of each length-prefixed NAL unit; stops at a length that does not fit."""
    offset = 0
    while offset + prefix < len(packet):
        start = offset + prefix
        offset = start + int.from_bytes(packet[offset:start], "big")
        yield start, offset


def _role_without_slices(packet: bytes, prefix: int) -> Role:
    """NO_PICTURE where the packet is whole units of nothing but messages, headers and delimiters.

    A packet whose lengths do not add up is a damaged picture.
    """
    end = 0
    for _, end in _units(packet, prefix):  # noqa: B007  the last one
        pass
    return Role.NO_PICTURE if 0 < end == len(packet) else Role.PLAIN


def _h264_picture(packet: bytes, prefix: int, first_build: int) -> tuple[Role, ParameterSets]:
    """first_build: the first build of x264 for which FFmpeg reproduces no bugs"""
    if _has_other_framing(packet, prefix):
        return Role.PLAIN, {_WHOLE_PACKET: [packet]}
    sets: ParameterSets = {}
    slices: list[int] = []
    has_old_encoder = False
    for start, stop in _units(packet, prefix):
        kind = packet[start] & 31
        if kind in (7, 8):
            add_set(sets, kind, packet[start:stop])
        elif 1 <= kind <= 5:
            slices.append(packet[start])
        elif kind == 6 and (build := _X264_BUILD.search(packet, start, stop)):
            has_old_encoder |= int(build[1]) < first_build
    role = _h264_role(slices) if slices else _role_without_slices(packet, prefix)
    return role | Role.CHANGES_PARAMETERS if has_old_encoder else role, sets


def _has_other_framing(packet: bytes, prefix: int) -> bool:
    """Whether a packet has start codes instead of lengths, or is an avcC; FFmpeg's H.264 decoder accepts both.

    A unit of one byte, as at the end of a sequence, is the same with either.
    """
    if packet[:4] == b"\0\0\0\1":
        return prefix == 4 and len(packet) > 5
    return packet[:1] == b"\1" and packet[2:3] == b"\0" and packet[4:5] >= b"\xfc"


def _h264_role(slices: list[int]) -> Role:
    """slices: the first byte of each slice, at least one"""
    if all(head & 31 == 5 for head in slices):
        return Role.START
    return Role.PLAIN if any(head >> 5 & 3 for head in slices) else Role.DROPPABLE


def _hevc_picture(packet: bytes, prefix: int, top_layer: int) -> tuple[Role, ParameterSets]:
    sets: ParameterSets = {}
    slices: list[tuple[int, int]] = []
    for start, stop in _units(packet, prefix):
        if start + 1 == len(packet):
            break
        kind = packet[start] >> 1 & 63
        if kind < 32:
            slices.append((kind, (packet[start + 1] & 7) - 1))
        elif kind <= 34:
            add_set(sets, kind, packet[start:stop])
    return _hevc_role(slices, top_layer) if slices else _role_without_slices(packet, prefix), sets


def _hevc_role(slices: list[tuple[int, int]], top_layer: int) -> Role:
    """slices: kind and temporal layer of each slice, at least one"""
    kinds = {kind for kind, _ in slices}
    if kinds <= {19, 20}:
        return Role.START
    if kinds <= {16, 17, 18, 21}:
        return Role.OPEN_START
    role = Role.LEADING if kinds <= {8, 9} else Role.PLAIN
    # Pictures of even types up to 14 are not referred to within their temporal layer, but may be from a higher one.
    is_unreferenced = all(kind <= 14 and kind % 2 == 0 and layer == top_layer for kind, layer in slices)
    return role | Role.DROPPABLE if is_unreferenced else role


def _mpeg4_picture(packet: bytes) -> tuple[Role, ParameterSets]:
    """Droppable only when the packet starts with its picture: a VOL header before it applies to later pictures."""
    code = b"\0\0\1\xb6"
    if packet.startswith(code):
        is_droppable = packet.find(code, 4) < 0 and packet[4:5] and packet[4] >> 6 == 2
        return Role.DROPPABLE if is_droppable else Role.PLAIN, {}
    has_only_headers = packet[:3] == b"\0\0\1" and packet.find(code) < 0
    return Role.NO_PICTURE if has_only_headers else Role.PLAIN, _mpeg4_sets(packet)


def _mpeg4_sets(data: bytes) -> ParameterSets:
    """The VOL headers, each up to the next start code."""
    sets: ParameterSets = {}
    for unit in _VOL.findall(data):
        add_set(sets, _VOL_KIND, unit)
    return sets


def _vp8_role(packet: bytes) -> Role:
    """A shown key frame replaces everything that later frames can refer to."""
    head = packet[0] if packet else 0x11
    if not head & 0x10:
        return Role.HIDDEN
    return Role.PLAIN if head & 1 else Role.START


def _vp9_role(packet: bytes) -> Role:
    """A shown key frame of profile 0 to 2 resets everything that later frames can refer to.

    It also gives its own size, depth and sampling, and resets probabilities, filter and segmentation. So later
    frames need nothing from before it, and no packet of VP9 has CHANGES_PARAMETERS.
    """
    heads = [packet[start] for start, _ in vp9_frames(packet)]
    if not heads or not any(_is_vp9_shown(head) for head in heads):
        return Role.HIDDEN if heads else Role.PLAIN
    head = heads[0]
    is_profile_3 = head & 0x30 == 0x30
    return Role.START if head >> 6 == 2 and not is_profile_3 and head & 0x0E == 0x02 else Role.PLAIN


def _is_vp9_shown(head: int) -> bool:
    """head: the first byte of a frame: marker 2, profile 2, [reserved 1,] show existing 1, type 1, shown 1"""
    if head >> 6 != 2:
        return True  # damaged
    if head & 0x30 == 0x30:
        return bool(head & 0x04) or bool(head & 0x01)
    return bool(head & 0x08) or bool(head & 0x02)


def vp9_frames(packet: bytes) -> list[tuple[int, int]]:
    """Start and end of each VP9 frame in a packet: one, or those that the index at its end names."""
    tail = packet[-1] if packet else 0
    count, width = (tail & 7) + 1, (tail >> 3 & 3) + 1
    at = len(packet) - 2 - count * width
    if tail & 0xE0 != 0xC0 or at < 0 or packet[at] != tail:
        return [(0, len(packet))] if packet else []
    sizes = [int.from_bytes(packet[at + 1 + i * width :][:width], "little") for i in range(count)]
    ends = list(accumulate(sizes))
    return [(end - size, end) for size, end in zip(sizes, ends, strict=True) if size and end <= at]


def _av1_picture(packet: bytes) -> tuple[Role, ParameterSets]:
    """A shown key frame resets all eight reference slots, but may need an earlier sequence header."""
    sets: ParameterSets = {}
    role: Role | None = None
    is_still = False
    offset = 0
    while offset < len(packet):
        head = packet[offset]
        kind, has_extension, has_size = head >> 3 & 15, head >> 2 & 1, head >> 1 & 1
        offset += 1 + has_extension
        size, offset = _leb128(packet, offset) if has_size else (len(packet) - offset, offset)
        if kind in _AV1_FRAMES and role in (None, Role.HIDDEN):
            shown = Role.PLAIN if is_still else _av1_frame_role(packet[offset : offset + 1])
            # A frame that is shown after hidden ones of its packet starts nothing.
            role = shown if role is None or shown is Role.HIDDEN else Role.PLAIN
        if kind == 1:
            add_set(sets, kind, packet[offset : offset + size])
            # reduced_still_picture_header: the header of the frame has no flags
            is_still = bool(packet[offset : offset + 1]) and bool(packet[offset] & 8)
        offset += size
    return (Role.HIDDEN if offset == len(packet) else Role.PLAIN) if role is None else role, sets


def _av1_frame_role(header: bytes) -> Role:
    """header: begins with show existing 1, type 2, shown 1; empty where the packet is cut"""
    flags = header[0] >> 4 if header else 0b1000
    if flags == 0b0001:
        return Role.START
    return Role.PLAIN if flags & 0b1001 else Role.HIDDEN


def _leb128(data: bytes, offset: int) -> tuple[int, int]:
    """The variable-length integer at `offset`, and the offset after it."""
    value = 0
    for i in range(8):
        byte = data[offset + i] if offset + i < len(data) else 0
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, offset + i + 1
    return value, offset + 8
