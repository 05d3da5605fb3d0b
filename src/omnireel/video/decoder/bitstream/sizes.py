"""The sizes that the pictures of a stream have, and how they fit into one. Runs in the decoding child only.

VP8 and VP9 name the size in the headers of their pictures, and calls change it at any time. In the other codecs it
changes with the parameters of the decoder.
Sources: RFC 6386 9.1 (VP8), VP9 bitstream specification 6.2 and 7.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from omnireel.video.decoder.bitstream.roles import vp9_frames

Size = tuple[int, int]
SizeOf = Callable[[bytes], Iterable[Size]]
# Encoders round the sides of scaled pictures to multiples of 2 or 8.
_ROUNDING = 0.02
_VP9_SYNC = 0x498342


def display_size(size: Size, ratio: Fraction | None) -> Size:
    """The size at which stored pixels are shown. ratio: of a pixel's width to its height; None or 0 means 1"""
    width, height = size
    return (max(round(width * ratio), 1) if ratio and ratio > 0 else width), height


def fitted(size: Size, canvas: Size) -> Size:
    """The largest size of the same proportions within the canvas; the canvas itself where they are nearly equal."""
    scale = min(canvas[0] / size[0], canvas[1] / size[1])
    width, height = (max(round(side * scale), 1) for side in size)
    is_near = (canvas[0] - width) <= _ROUNDING * canvas[0] and (canvas[1] - height) <= _ROUNDING * canvas[1]
    return canvas if is_near else (width, height)


def size_reader(codec: str) -> SizeOf:
    """The function from a packet to the sizes that its headers name, in pixels; call it for every packet in order."""
    readers: dict[str, SizeOf] = {"vp8": _vp8_sizes, "vp9": _Vp9Sizes()}
    return readers.get(codec, lambda _packet: ())


def _vp8_sizes(packet: bytes) -> list[Size]:
    if len(packet) < 10 or packet[0] & 1 or packet[3:6] != b"\x9d\x01\x2a":
        return []
    width, height = int.from_bytes(packet[6:8], "little"), int.from_bytes(packet[8:10], "little")
    return [(width & 0x3FFF, height & 0x3FFF)]


class _Vp9Sizes:
    """The sizes in packets of VP9.

    Key frames have a code by which damage is noticed. Other frames do not, so a new size in one counts only if it has
    the proportions of the last one, as it has when an encoder adapts to the connection.
    """

    def __init__(self) -> None:
        self._last: Size = (1, 1)

    def __call__(self, packet: bytes) -> list[Size]:
        sizes = []
        for start, end in vp9_frames(packet):
            # All that comes before the size has less than 128 bits.
            size, is_checked = _vp9_size(Bits(packet[start : min(end, start + 32)]))
            if size and (is_checked or _is_same_shape(size, self._last)):
                self._last = size
                sizes.append(size)
        return sizes


def _is_same_shape(one: Size, other: Size) -> bool:
    across, down = one[0] * other[1], one[1] * other[0]
    return abs(across - down) <= 0.05 * max(across, down)


def _vp9_size(bits: Bits) -> tuple[Size | None, bool]:
    """The size in an uncompressed header, if it has one, and whether a sync code came before it."""
    if bits.read(2) != 2:
        return None, False
    profile = bits.read(1) | bits.read(1) << 1
    if profile == 3:
        bits.read(1)
    if bits.read(1):  # show_existing_frame
        return None, False
    is_inter, is_shown, is_resilient = bits.read(1), bits.read(1), bits.read(1)
    is_intra_only = bool(is_inter) and not is_shown and bool(bits.read(1))
    if is_inter and not is_resilient:
        bits.read(2)  # reset_frame_context
    if is_inter and not is_intra_only:
        bits.read(8 + 3 * 4)  # refresh_frame_flags; three references
        has_size_of_other = bits.read(1) or bits.read(1) or bits.read(1)  # found_ref
        return None if has_size_of_other else (bits.read(16) + 1, bits.read(16) + 1), False
    if bits.read(24) != _VP9_SYNC:
        return None, False
    if not is_inter or profile > 0:
        _skip_vp9_color(bits, profile)
    if is_inter:
        bits.read(8)  # refresh_frame_flags
    return (bits.read(16) + 1, bits.read(16) + 1), True


def _skip_vp9_color(bits: Bits, profile: int) -> None:
    if profile >= 2:
        bits.read(1)  # ten_or_twelve_bit
    is_rgb = bits.read(3) == 7
    if not is_rgb:
        bits.read(1)  # color_range
    if profile in (1, 3):
        bits.read(1 if is_rgb else 3)  # subsampling, reserved


class Bits:
    """Reads a header bit by bit, the highest first. Beyond its end there are zeros."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        """The next `count` bits as a number."""
        self._left -= count
        value = self._value >> self._left if self._left >= 0 else self._value << -self._left
        return value & ((1 << count) - 1)
