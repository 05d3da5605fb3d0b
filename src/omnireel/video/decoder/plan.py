"""Which packets of a clip reach the decoder so that the chosen frames come out exactly as in a full decode.

Pure: a list of pictures in file order and the wanted ones in, one action per packet out.
"""

from collections.abc import Collection, Iterator, Sequence
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

from omnireel.video.decoder.bitstream import Role


class Picture(NamedTuple):
    """One packet of the video stream; pts in units of the stream, role from its first bytes."""

    pts: int | None
    role: Role


class Action(IntEnum):
    """What to do with a packet. RESTART: empty the decoder, forget its state, then send."""

    SKIP = 0
    SEND = 1
    RESTART = 2


def plan_packets(pictures: Sequence[Picture], wanted: Collection[int]) -> list[Action]:
    """One action per picture.

    wanted: pts of the chosen frames
    Left out are pictures that nothing is predicted from, the end of each group of pictures after its last
    chosen one, and whole groups without any. Nothing is left out where any picture is RENEWING.
    Example: roles START PLAIN DROPPABLE PLAIN, the second wanted → SEND SEND SKIP SKIP.
    """
    if any(picture.role & Role.RENEWING for picture in pictures):
        return [Action.SEND] * len(pictures)
    groups = list(_groups(pictures))
    ends = _last_needed(pictures, groups, wanted)
    actions = [Action.SKIP] * len(pictures)
    is_joined = True
    for group, end in zip(groups, ends, strict=True):
        is_cold = not is_joined and bool(pictures[group.start].role & Role.OPEN_START)
        unneeded = Role.LEADING if is_cold else Role.PLAIN
        for i in range(group.start, end):
            picture = pictures[i]
            if picture.pts in wanted or not picture.role & (unneeded | Role.DROPPABLE):
                actions[i] = Action.SEND
        if is_cold and end > group.start:
            actions[group.start] = Action.RESTART
        is_joined = end == group.stop
    return actions


def _groups(pictures: Sequence[Picture]) -> Iterator[range]:
    starts = {i for i, picture in enumerate(pictures) if picture.role & (Role.START | Role.OPEN_START)}
    for first, stop in pairwise(sorted(starts | {0, len(pictures)})):
        yield range(first, stop)


def _last_needed(pictures: Sequence[Picture], groups: Sequence[range], wanted: Collection[int]) -> list[int]:
    """For each group the position after the last picture to decode; its start when there is none."""
    ends: list[int] = []
    is_whole = False
    for group in reversed(groups):
        chosen = [i for i in group if pictures[i].pts in wanted]
        ends.append(group.stop if is_whole else max(chosen, default=group.start - 1) + 1)
        # A leading picture may be predicted from any picture of the group before.
        is_whole = any(pictures[i].role & Role.LEADING for i in chosen)
    return ends[::-1]
