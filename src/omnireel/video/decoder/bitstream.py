"""What other frames can depend on a coded picture, read from its first bytes.

This lets the reader leave out pictures that no chosen frame needs and still get the same pixels, bit for
bit. Every answer errs on the side of decoding: what is not recognised is needed.
Sources: ITU-T H.264 7.4.1 (nal_ref_idc), ITU-T H.265 7.4.2.2 (table 7-1) and 8.1.3, ISO/IEC 14496-2 6.3.5
(vop_coding_type), VP9 bitstream specification 6.2, AV1 bitstream specification 5.9.2.
"""

import re
from collections.abc import Callable, Iterator
from enum import IntFlag

from omnireel.video.decoder.parameters import Parameters, Sets, add_set, sets_of_avcc, sets_of_hvcc


class Role(IntFlag):
    """What is known of a coded picture.

    DROPPABLE  no other picture is predicted from it
    START      nothing from here on, in file order, is predicted from before
    OPEN_START the same, except for the LEADING pictures after it
    LEADING    shown before the OPEN_START it follows; trailing pictures do not need it
    RENEWING   pictures after it may be decoded differently when packets before it, or it, are left out:
               decoder parameters change in the stream
    """

    PLAIN = 0
    DROPPABLE = 1
    START = 2
    OPEN_START = 4
    LEADING = 8
    RENEWING = 16


RoleOf = Callable[[bytes], Role]
_Read = Callable[[bytes], tuple[Role, Sets]]
_WHOLE_PACKET = -1  # a kind that no header has
_ENCODER = re.compile(rb"x264 - core (\d{1,4})")


def role_reader(codec: str, extradata: bytes) -> RoleOf:
    """The function that reads a picture's role; give it every packet of this stream, in file order."""
    if codec == "h264" and len(extradata) > 4 and extradata[0] == 1:
        prefix = (extradata[4] & 3) + 1
        # FFmpeg imitates what earlier builds did wrong in 4:4:4 with CABAC and in direct prediction.
        first_build = 151 if extradata[1] == 244 else 34
        return _following(lambda packet: _h264_picture(packet, prefix, first_build), sets_of_avcc(extradata))
    if codec == "hevc" and len(extradata) > 21 and extradata[0] == 1:
        prefix = (extradata[21] & 3) + 1
        top_layer = (extradata[21] >> 3 & 7) - 1
        return _following(lambda packet: _hevc_picture(packet, prefix, top_layer), sets_of_hvcc(extradata))
    if codec == "av1":
        # The decoder takes sequence headers from packets only, not from the container's.
        return _following(_av1_picture, {})
    return {"mpeg4": _mpeg4_role, "vp9": _vp9_role}.get(codec, _unknown_role)


def _following(read: _Read, stored: Sets) -> RoleOf:
    """Roles by `read`, and RENEWING where a packet's parameter sets are not what every start has."""
    parameters = Parameters(stored)

    def role_of(packet: bytes) -> Role:
        role, sets = read(packet)
        # Not by bits, which takes longer than all the rest; what is RENEWING already needs no answer.
        is_start = role in (Role.START, Role.OPEN_START)
        return role | Role.RENEWING if parameters.are_renewed(sets, is_start=is_start) else role

    return role_of


def _unknown_role(_packet: bytes) -> Role:
    return Role.PLAIN


def _units(packet: bytes, prefix: int) -> Iterator[tuple[int, int]]:
    """Where each length-prefixed NAL unit begins and ends; ends early when the lengths do not add up."""
    offset = 0
    while offset + prefix + 2 <= len(packet):
        start = offset + prefix
        offset = start + int.from_bytes(packet[offset:start], "big")
        yield start, offset


def _h264_picture(packet: bytes, prefix: int, first_build: int) -> tuple[Role, Sets]:
    """first_build: of x264, from which on its name in the stream changes nothing"""
    if _is_otherwise_packed(packet, prefix):
        return Role.PLAIN, {_WHOLE_PACKET: [packet]}
    sets: Sets = {}
    slices: list[int] = []
    is_imitated = False
    for start, stop in _units(packet, prefix):
        kind = packet[start] & 31
        if kind in (7, 8):
            add_set(sets, kind, packet[start:stop])
        elif 1 <= kind <= 5:
            slices.append(packet[start])
        elif kind == 6 and (named := _ENCODER.search(packet, start, stop)):
            is_imitated |= int(named[1]) < first_build
    role = _h264_role(slices)
    return role | Role.RENEWING if is_imitated else role, sets


def _is_otherwise_packed(packet: bytes, prefix: int) -> bool:
    """What FFmpeg's H.264 decoder also takes: start codes instead of lengths, or an avcC as a packet."""
    if packet[:4] == b"\0\0\0\1":
        return prefix == 4
    return packet[:1] == b"\1" and packet[2:3] == b"\0" and packet[4:5] >= b"\xfc"


def _h264_role(slices: list[int]) -> Role:
    """slices: first byte of each slice"""
    if not slices:
        return Role.PLAIN
    if all(head & 31 == 5 for head in slices):
        return Role.START
    return Role.PLAIN if any(head >> 5 & 3 for head in slices) else Role.DROPPABLE


def _hevc_picture(packet: bytes, prefix: int, top_layer: int) -> tuple[Role, Sets]:
    sets: Sets = {}
    slices: list[tuple[int, int]] = []
    for start, stop in _units(packet, prefix):
        kind = packet[start] >> 1 & 63
        if kind < 32:
            slices.append((kind, (packet[start + 1] & 7) - 1))
        elif kind <= 34:
            add_set(sets, kind, packet[start:stop])
    return _hevc_role(slices, top_layer), sets


def _hevc_role(slices: list[tuple[int, int]], top_layer: int) -> Role:
    """slices: kind and temporal layer of each slice"""
    if not slices:
        return Role.PLAIN
    kinds = {kind for kind, _ in slices}
    if kinds <= {19, 20}:
        return Role.START
    if kinds <= {16, 17, 18, 21}:
        return Role.OPEN_START
    role = Role.LEADING if kinds <= {8, 9} else Role.PLAIN
    # Even types up to 14 are not referred to within their own temporal layer, but may be from a higher one.
    is_unreferenced = all(kind <= 14 and kind % 2 == 0 and layer == top_layer for kind, layer in slices)
    return role | Role.DROPPABLE if is_unreferenced else role


def _mpeg4_role(packet: bytes) -> Role:
    """Droppable only when the packet begins with its picture: a VOL before that would hold for later ones."""
    code = b"\0\0\1\xb6"
    is_only_picture = packet.startswith(code) and packet.find(code, 4) < 0
    if is_only_picture and packet[4:5] and packet[4] >> 6 == 2:
        return Role.DROPPABLE
    return Role.PLAIN


def _vp9_role(packet: bytes) -> Role:
    """A shown key frame of profile 0 to 2 resets all that later frames could refer to.

    It also names its own size, depth and sampling and resets probabilities, filter and segmentation: nothing
    that a later frame needs is said before it, so no packet of VP9 is RENEWING by its content.
    """
    head = packet[0] if packet else 0
    is_profile_3 = head & 0x30 == 0x30
    return Role.START if head >> 6 == 2 and not is_profile_3 and head & 0x0E == 0x02 else Role.PLAIN


def _av1_picture(packet: bytes) -> tuple[Role, Sets]:
    """A shown key frame resets all eight reference slots, but may rely on an earlier sequence header."""
    sets: Sets = {}
    offset = 0
    while offset < len(packet):
        head = packet[offset]
        kind, has_extension, has_size = head >> 3 & 15, head >> 2 & 1, head >> 1 & 1
        offset += 1 + has_extension
        if not has_size:
            break
        size, offset = _leb128(packet, offset)
        if kind in (3, 6):
            # show_existing_frame 0, frame_type 0 (key), show_frame 1
            is_key = offset < len(packet) and packet[offset] >> 4 == 0b0001
            return Role.START if is_key else Role.PLAIN, sets
        if kind == 1:
            add_set(sets, kind, packet[offset : offset + size])
        offset += size
    return Role.PLAIN, sets


def _leb128(data: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for i in range(8):
        byte = data[offset + i] if offset + i < len(data) else 0
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, offset + i + 1
    return value, offset + 8
