"""Which packets to decode so that the chosen frames are exactly those of a full decode.

A pure function: pictures in file order and the chosen ones in, one action per packet out.
"""

from collections.abc import Collection, Iterator, Sequence
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

from omnireel.video.decoder.bitstream.roles import Role


class Picture(NamedTuple):
    """One packet of the video stream; pts in units of the stream's time base."""

    pts: int | None
    role: Role


class Action(IntEnum):
    """What to do with a packet. RESTART: drain the decoder, reset its state, then send the packet."""

    SKIP = 0
    SEND = 1
    RESTART = 2


def plan_packets(pictures: Sequence[Picture], chosen: Collection[int]) -> list[Action]:
    """One action per picture.

    chosen: pts of the chosen frames
    Skipped are pictures from which no other is predicted, the end of each group of pictures after its last chosen
    one, and groups without a chosen picture. Nothing is skipped where any picture has CHANGES_PARAMETERS.
    Example: roles START PLAIN DROPPABLE PLAIN, the second chosen → SEND SEND SKIP SKIP.
    """
    if any(picture.role & Role.CHANGES_PARAMETERS for picture in pictures):
        return [Action.SEND] * len(pictures)
    groups = list(_groups(pictures))
    ends = _last_needed(pictures, groups, chosen)
    actions = [Action.SKIP] * len(pictures)
    is_continuous = True  # everything up to this group has been decoded
    for group, end in zip(groups, ends, strict=True):
        needs_restart = not is_continuous and bool(pictures[group.start].role & Role.OPEN_START)
        skipped = Role.LEADING if needs_restart else Role.PLAIN
        for i in range(group.start, end):
            picture = pictures[i]
            if picture.pts in chosen or not picture.role & (skipped | Role.DROPPABLE):
                actions[i] = Action.SEND
        if needs_restart and end > group.start:
            actions[group.start] = Action.RESTART
        is_continuous = end == group.stop
    return actions


def _groups(pictures: Sequence[Picture]) -> Iterator[range]:
    starts = {i for i, picture in enumerate(pictures) if picture.role & (Role.START | Role.OPEN_START)}
    for first, stop in pairwise(sorted(starts | {0, len(pictures)})):
        yield range(first, stop)


def _last_needed(pictures: Sequence[Picture], groups: Sequence[range], chosen: Collection[int]) -> list[int]:
    """For each group, the index after the last picture to decode; the group's start when there is none."""
    ends: list[int] = []
    is_whole = False  # the next group needs all of this one
    for group in reversed(groups):
        indices = [i for i in group if pictures[i].pts in chosen]
        ends.append(group.stop if is_whole else max(indices, default=group.start - 1) + 1)
        # A leading picture may be predicted from any picture of the group before.
        is_whole = any(pictures[i].role & Role.LEADING for i in indices)
    return ends[::-1]
