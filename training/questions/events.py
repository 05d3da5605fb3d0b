"""Questions about what appears and disappears, in which order and when."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from training.questions.question import Question, pick
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
        text = pick(
            rng,
            f"What happens {word}?",
            f"Which event happens {word}?",
            f"What is the {word} thing that happens?",
            f"What is the {word} event?",
            f"Which change comes {word}?",
            f"What changes {word}?",
            f"Tell me what happens {word}.",
        )
        return _dated("order", text, events[0 if first else -1])
    comers = [(view.first(t), t) for t in view.things]
    comers.sort(key=lambda c: c[0] or 0)
    if any((b[0] or 0) - (a[0] or 0) < 2 for a, b in pairwise(comers)):
        return None
    first = rng.random() < 0.5
    thing = comers[0 if first else -1][1]
    word = "first" if first else "last"
    texts = [f"Which object comes {word}?", f"Which shape do we see {word}?", f"Which object is seen {word}?"]
    if view.appears(thing) is not None:  # a thing that is there from the start does not appear
        texts += [f"Which object appears {word}?", f"What appears {word}?", f"Which one shows up {word}?"]
    text = pick(rng, *texts)
    return Question("order", text, thing.name, f"The {thing.name} comes {word}.")


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
        at for at in range(1, int(view.times_s[-1])) if all(abs(at - other) > 2 for other in by_second)
    ]
    seconds = eventless if rng.random() < 0.1 else isolated
    if not seconds or len(by_second) < len(events):
        return None
    at = rng.choice(seconds)
    text = pick(
        rng,
        f"What happens at second {at}?",
        f"Which event happens at second {at}?",
        f"What changes at second {at}?",
        f"What is the event at second {at}?",
        f"Tell me what happens at second {at}.",
    )
    if at not in by_second:
        return Question("happening", text, "nothing", f"Nothing happens at second {at}.")
    return _dated("happening", text, by_second[at])


def _dated(kind: str, text: str, event: Event) -> Question:
    """A question about an event. The answer begins with its second."""
    sentence = f"At second {event.second} the {event.thing.name} {event.what}."
    return Question(kind, text, f"{event.thing.name} {event.what}", sentence, event.time_s)


def lifecycle(rng: Random, view: View) -> Question | None:
    """What appears? What disappears? Does X appear or disappear?"""
    what = rng.choice(("appears", "disappears"))
    stem = what[:-1]
    doing = [e.thing for e in events_of(view) if e.what == what]
    if rng.random() < 0.55:
        if len(doing) > 1 or (not doing and rng.random() < 0.5):
            return None
        other = {"appear": "show up", "disappear": "vanish"}[stem]
        text = pick(
            rng,
            f"What {what} during the clip?",
            f"Which object {what}?",
            f"Does anything {stem}?",
            f"Does something {other}?",
            f"What {what}?",
            f"Which object {what} in the video?",
            f"Does any object {stem} during the video?",
            f"Does anything {other}?",
            f"Which object {what} during the video?",
        )
        if not doing:
            return Question("appears/disappears", text, "nothing", f"Nothing {what}.")
        return Question("appears/disappears", text, doing[0].name, f"The {doing[0].name} {what}.")
    thing = rng.choice(doing) if doing and rng.random() < 0.6 else rng.choice(view.things)
    ref = reference(rng, thing, view)
    if ref is None:
        return None
    # "Does it appear in the video?" can mean whether it is visible at all, so it is not used.
    how = {
        "appear": ("appear later", "appear after the start", "show up later", "appear only later", "come in later"),
        "disappear": ("disappear", "disappear during the clip", "vanish", "disappear at some point", "disappear in the video"),
    }  # fmt: skip
    text = f"Does {ref} {rng.choice(how[stem])}?"
    if thing in doing:
        return Question("appears/disappears", text, "yes", f"The {thing.name} {what}, so yes.")
    stays = {"appear": "is there from the start", "disappear": "stays to the end"}[stem]
    return Question("appears/disappears", text, "no", f"The {thing.name} {stays}, so no.")


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
    text = pick(
        rng,
        f"At what second does {ref} {stem}?",
        f"When does {ref} {stem}?",
        f"At which second does {ref} {stem}?",
        f"At what time does {ref} {stem}?",
        f"After how many seconds does {ref} {stem}?",
        f"In which second does {ref} {stem}?",
        f"How many seconds in does {ref} {stem}?",
        f"When exactly does {ref} {stem}?",
        f"Tell me when {ref} {what}.",
    )
    kind = "second of appearance" if what == "appears" else "second of disappearance"
    sentence = f"The {thing.name} {what} at second {event.second}."
    return Question(kind, text, str(event.second), sentence, event.time_s)
