"""Whether the parameter sets in a stream allow packets to be left out.

A decoder keeps the stream's parameters (SPS and PPS of H.264, these and the VPS of HEVC, the sequence header of
AV1) until the container's header or a packet replaces them. Decoding can begin at any start of a clip whose packets
only repeat the parameters that every start has. It cannot when they change, as in clips that were joined.
Sources: ISO/IEC 14496-15 5.3.3.1 (avcC) and 8.3.3.1 (hvcC), ITU-T H.264 7.4.1.2.1 (activation of sets).
"""

# NAL unit or OBU type → the parameter sets of that type, in the order of the stream.
ParameterSets = dict[int, list[bytes]]


def add_set(sets: ParameterSets, kind: int, unit: bytes) -> None:
    """Append a parameter set, unless it repeats the last one of its type."""
    of_kind = sets.setdefault(kind, [])
    if of_kind[-1:] != [unit]:
        of_kind.append(unit)


def sets_of_avcc(extradata: bytes) -> ParameterSets:
    """The SPS and PPS in an avcC; those before its end where it is truncated."""
    sets: ParameterSets = {}
    offset = 5
    for kind, mask in ((7, 31), (8, 255)):
        if offset >= len(extradata):
            break
        count = extradata[offset] & mask
        offset = _add_sized(sets, kind, count, extradata, offset + 1)
    return sets


def sets_of_hvcc(extradata: bytes) -> ParameterSets:
    """The VPS, SPS, PPS and other sets in an hvcC; those before its end where it is truncated."""
    sets: ParameterSets = {}
    offset = 23
    for _ in range(extradata[22] if len(extradata) > 22 else 0):
        if offset + 3 > len(extradata):
            break
        kind, count = extradata[offset] & 63, int.from_bytes(extradata[offset + 1 : offset + 3], "big")
        offset = _add_sized(sets, kind, count, extradata, offset + 3)
    return sets


def _add_sized(sets: ParameterSets, kind: int, count: int, data: bytes, offset: int) -> int:
    """Add `count` sets that each follow two bytes of length. Returns the offset after the last one."""
    for _ in range(count):
        start = offset + 2
        if start > len(data):
            return len(data)
        offset = start + int.from_bytes(data[offset:start], "big")
        add_set(sets, kind, data[start:offset])
    return offset


class ParameterTracker:
    """Follows the parameter sets of a stream from its first packet on.

    stored: the sets in the container's header
    """

    def __init__(self, stored: ParameterSets) -> None:
        self._known = stored
        self._required: set[int] = set()
        self._is_first = True

    def is_change(self, carried: ParameterSets, *, is_start: bool) -> bool:
        """Whether the next packet changes parameters, so that later pictures depend on which packets are decoded.

        carried:  the sets in the packet
        is_start: the packet starts a group of pictures

        The first start may bring sets that the header lacks or that differ from it; then every start has to bring
        the same ones. All sets of a type are compared in order, because a set replaces another with its number.
        """
        is_first, self._is_first = self._is_first, False
        if not carried and not is_start:
            return False
        changed = {kind for kind, units in carried.items() if self._known.get(kind) != units}
        if is_first and is_start:
            self._known, self._required = self._known | carried, changed
            return False
        return bool(changed) or (is_start and not self._required <= carried.keys())
