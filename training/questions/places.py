"""Questions about places in the frame."""

from __future__ import annotations

from random import Random

from training.questions.question import Question, Wording, asked
from training.questions.view import View, reference
from training.scenes import Thing

# Side → axis (x 0, y 1), and 1 if the coordinate grows away from the side, else -1.
SIDES = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}
MARGIN = 0.12  # how much nearer to a side a thing must be than the others, in frame heights


def position(rng: Random, view: View) -> Question | None:
    """What is on the left? Where is X?"""
    if rng.random() < 0.35 or len(view.things) == 1:
        return _where(rng, view)
    furthest = {side: _extreme(view, *way) for side, way in SIDES.items()}
    decided = [(side, thing) for side, thing in furthest.items() if thing is not None]
    if not decided:
        return None
    side, thing = rng.choice(decided)
    where = f"at the {side}" if side in ("top", "bottom") else f"on the {side}"
    return asked(
        rng, "position", Wording("side", {"where": where}), thing.name, f"The {thing.name} is {where}."
    )


def _extreme(view: View, axis: int, sign: int) -> Thing | None:
    """The object that is nearest to a side in every frame, by MARGIN, and always in that half of the frame; or None.

    While it is not visible, no other object may be as near to that side.
    """
    things = view.things
    found: Thing | None = None
    for time_s in view.times_s:
        visible = [t for t in things if t.is_visible(time_s)]
        if len(visible) < 2:
            continue
        ranked = sorted(visible, key=lambda t: sign * t.centre(time_s)[axis])
        gap = sign * (ranked[1].centre(time_s)[axis] - ranked[0].centre(time_s)[axis])
        if gap < MARGIN or (found is not None and found != ranked[0]):
            return None
        found = ranked[0]
    together = all(
        any(a.is_visible(t) and b.is_visible(t) for t in view.times_s) for a in things for b in things
    )
    return found if found is not None and together and _keeps_to(view, found, axis, sign) else None


def _keeps_to(view: View, thing: Thing, axis: int, sign: int) -> bool:
    """Whether a thing stays in that half of the frame, and no other is as near to the side while it is not visible."""
    inmost = max(sign * thing.centre(t)[axis] for t in view.times_s if thing.is_visible(t))
    middle = (view.scene.aspect / 2, 0.5)[axis]
    alone = [t for t in view.times_s if not thing.is_visible(t)]
    others = [sign * o.centre(t)[axis] for t in alone for o in view.things if o.is_visible(t)]
    return inmost < sign * middle and all(inmost < other for other in others)


def _where(rng: Random, view: View) -> Question | None:
    still = [t for t in view.things if t.direction is None]
    if not still:
        return None
    thing = rng.choice(still)
    ref = reference(rng, thing, view)
    if ref is None:
        return None
    x = thing.x / view.scene.aspect
    if x < 0.28:
        where = "on the left"
    elif x > 0.72:
        where = "on the right"
    elif 0.42 < x < 0.58 and 1 / 3 < thing.y < 2 / 3:
        where = "in the middle"
    else:
        return None
    return asked(
        rng, "position", Wording("where", {"ref": ref}), where.split()[-1], f"The {thing.name} is {where}."
    )
