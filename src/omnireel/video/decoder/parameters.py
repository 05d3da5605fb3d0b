"""Whether leaving out packets would leave a decoder with other parameters than a full decode has.

A decoder keeps what it was told about the stream (SPS and PPS of H.264, those and VPS of HEVC, the sequence
header of AV1) until it is told otherwise, by the container's header or by any packet. A clip whose packets
only repeat what every start has anyway may be entered at any start; one that changes it, as joined clips do,
may not.
Sources: ISO/IEC 14496-15 5.3.3.1 (avcC) and 8.3.3.1 (hvcC), ITU-T H.264 7.4.1.2.1 (activation of sets).
"""

# By kind; within a kind in the order of the stream.
Sets = dict[int, list[bytes]]


def add_set(sets: Sets, kind: int, unit: bytes) -> None:
    """Append a set; one that repeats the last of its kind says nothing new and is left out."""
    of_kind = sets.setdefault(kind, [])
    if of_kind[-1:] != [unit]:
        of_kind.append(unit)


def sets_of_avcc(extradata: bytes) -> Sets:
    """SPS and PPS of an avcC, as far as it is whole."""
    sets: Sets = {}
    offset = 5
    for kind, mask in ((7, 31), (8, 255)):
        if offset >= len(extradata):
            break
        count = extradata[offset] & mask
        offset = _add_sized(sets, kind, count, extradata, offset + 1)
    return sets


def sets_of_hvcc(extradata: bytes) -> Sets:
    """VPS, SPS, PPS and whatever else an hvcC holds, as far as it is whole."""
    sets: Sets = {}
    offset = 23
    for _ in range(extradata[22] if len(extradata) > 22 else 0):
        if offset + 3 > len(extradata):
            break
        kind, count = extradata[offset] & 63, int.from_bytes(extradata[offset + 1 : offset + 3], "big")
        offset = _add_sized(sets, kind, count, extradata, offset + 3)
    return sets


def _add_sized(sets: Sets, kind: int, count: int, data: bytes, offset: int) -> int:
    """Add units that have two bytes of length before each; where the last one ends, or the data."""
    for _ in range(count):
        start = offset + 2
        if start > len(data):
            return len(data)
        offset = start + int.from_bytes(data[offset:start], "big")
        add_set(sets, kind, data[start:offset])
    return offset


class Parameters:
    """Follows the sets of a stream from its first packet on.

    stored: what the decoder knows from the container's header
    """

    def __init__(self, stored: Sets) -> None:
        self._known = stored
        self._needed: set[int] = set()
        self._is_first = True

    def are_renewed(self, carried: Sets, *, is_start: bool) -> bool:
        """True when the next packet, which carries these sets, makes it matter which packets came before.

        The first start may bring sets that the header lacks or has otherwise; then every start has to bring
        the same. Kinds are compared whole and in order, because a set replaces another one of its number.
        """
        is_first, self._is_first = self._is_first, False
        if not carried and not is_start:
            return False
        others = {kind for kind, units in carried.items() if self._known.get(kind) != units}
        if is_first and is_start:
            self._known, self._needed = self._known | carried, others
            return False
        return bool(others) or (is_start and not self._needed <= carried.keys())
