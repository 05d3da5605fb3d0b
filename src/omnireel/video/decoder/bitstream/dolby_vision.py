"""Whether a clip is in profile 5 of Dolby Vision, whose pictures do not show their colours without its metadata.

Their base layer is in the colour space IPT-PQ-c2, which an ordinary decoder shows in green and purple. The other
profiles can be shown without the metadata.
Source: ETSI GS CCM 001, sections 4 and 5 (the reference processing unit, in a NAL unit of type 62).
"""

from __future__ import annotations

from omnireel.video.decoder.bitstream.sizes import Bits

_UNIT_HEADER = b"\x7c\x01\x19"  # of NAL type 62, then the prefix of a reference processing unit


def is_profile_5(packet: bytes) -> bool:
    """Whether a packet of HEVC has a reference processing unit of profile 5."""
    at = packet.find(_UNIT_HEADER)
    if at < 0:
        return False
    bits = Bits(packet[at + len(_UNIT_HEADER) :][:32])
    rpu_type, rpu_format, profile, _level = bits.read(6), bits.read(11), bits.read(4), bits.read(4)
    has_sequence_info = bits.read(1)
    if (rpu_type, rpu_format & 0x700, profile, has_sequence_info) != (2, 0, 0, 1):
        return False
    bits.read(1)  # chroma_resampling_explicit_filter_flag
    if bits.read(2) == 0:  # coefficient_data_type: numbers of fixed point
        _skip_exp_golomb(bits)
    bits.read(2)  # vdr_rpu_normalized_idc
    return bool(bits.read(1))  # BL_video_full_range_flag


def _skip_exp_golomb(bits: Bits) -> None:
    num_zeros = 0
    while num_zeros < 32 and not bits.read(1):
        num_zeros += 1
    bits.read(num_zeros)
