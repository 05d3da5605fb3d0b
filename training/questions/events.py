"""Questions about what appears and disappears, in which order and when."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from training.questions.question import Question, Wording, asked
from training.questions.view import Event, View, events_of, reference


def order(rng: Random, view: View) -> Question | None:
    """What happens first? Which comes last?"""
    events = events_of(view)
    if not events or any(b.time_s - a.time_s < 1.1 for a, b in pairwise(events)):
        return None
    if not all(event.is_dated for event in events):
        return None
    if rng.random() < 0.6 or len(view.things) < 2:
        first = rng.random() < 0.6 or len(events) == 1
        word = "first" if first else "last"
        return _dated(rng, "order", Wording("event", {"word": word}), events[0 if first else -1])
    comers = [(view.first(t), t) for t in view.things]
    comers.sort(key=lambda c: c[0] or 0)
    if any((b[0] or 0) - (a[0] or 0) < 2 for a, b in pairwise(comers)):
        return None
    first = rng.random() < 0.5
    thing = comers[0 if first else -1][1]
    word = "first" if first else "last"
    # A thing that is there from the start does not appear.
    intent = "newcomer" if view.appears(thing) is not None and rng.random() < 0.5 else "comer"
    return asked(rng, "order", Wording(intent, {"word": word}), thing.name, f"The {thing.name} comes {word}.")


def happening(rng: Random, view: View) -> Question | None:
    """What happens at second 8? Answers about order need the same look-up of an event by its second."""
    events = events_of(view)
    by_second = {event.second: event for event in events}
    isolated = [
        at
        for at, event in by_second.items()
        if event.is_dated and all(abs(at - other) > 2 for other in by_second if other != at)
    ]
    eventless = [
        at
        for at in range(1 + int(view.times_s[0]), int(view.times_s[-1]))
        if all(abs(at - other) > 2 for other in by_second)
    ]
    seconds = eventless if rng.random() < 0.1 else isolated
    if not seconds or len(by_second) < len(events):
        return None
    at = rng.choice(seconds)
    wording = Wording("happening", {"at": str(at)})
    if at not in by_second:
        return asked(rng, "happening", wording, "nothing", f"Nothing happens at second {at}.")
    return _dated(rng, "happening", wording, by_second[at])


def _dated(rng: Random, kind: str, wording: Wording, event: Event) -> Question:
    """A question about an event. The answer begins with its second."""
    sentence = f"At second {event.second} the {event.thing.name} {event.what}."
    return asked(rng, kind, wording, f"{event.thing.name} {event.what}", sentence, seconds=event.time_s)


def lifecycle(rng: Random, view: View) -> Question | None:
    """What appears? What disappears? Does X appear or disappear?"""
    what = rng.choice(("appears", "disappears"))
    stem = what[:-1]
    doing = [e.thing for e in events_of(view) if e.what == what]
    if rng.random() < 0.55:
        if len(doing) > 1 or (not doing and rng.random() < 0.5):
            return None
        slots = {"what": f"{{{what}}}", "stem": f"{{{stem}}}"}
        if not doing:
            return asked(rng, "appears/disappears", Wording("comings", slots), "nothing", f"Nothing {what}.")
        sentence = f"The {doing[0].name} {what}."
        return asked(rng, "appears/disappears", Wording("comings", slots), doing[0].name, sentence)
    thing = rng.choice(doing) if doing and rng.random() < 0.6 else rng.choice(view.things)
    ref = reference(rng, thing, view)
    if ref is None:
        return None
    # "Does it appear in the video?" can mean whether it is visible at all, so it is not used.
    slots = {"ref": ref, "later": f"{{{stem} later}}", "laters": f"{{{what} later}}"}
    intent = "whether it comes"
    if thing in doing:
        return asked(
            rng, "appears/disappears", Wording(intent, slots), "yes", f"The {thing.name} {what}, so yes."
        )
    stays = {"appear": "is there from the start", "disappear": "stays to the end"}[stem]
    return asked(rng, "appears/disappears", Wording(intent, slots), "no", f"The {thing.name} {stays}, so no.")


def second(rng: Random, view: View) -> Question | None:
    """At what second does X appear?"""
    what = "appears" if rng.random() < 0.75 else "disappears"
    doing = [e for e in events_of(view) if e.what == what and e.is_dated]
    if not doing:
        return None
    event = rng.choice(doing)
    thing = event.thing
    ref = reference(rng, thing, view)
    if ref is None:
        return None
    stem = what[:-1]
    slots = {"ref": ref, "what": f"{{{what}}}", "stem": f"{{{stem}}}"}
    kind = "second of appearance" if what == "appears" else "second of disappearance"
    sentence = f"The {thing.name} {what} at second {event.second}."
    return asked(rng, kind, Wording("second", slots), str(event.second), sentence, seconds=event.time_s)
