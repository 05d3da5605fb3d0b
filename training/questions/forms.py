"""The wording of a question, from the tables in `intents`.

An intent is something that a person wants to know. It is worded as a question, as an indirect question ("I'd like to know
how many circles there are"), as a noun phrase ("The number of circles."), or as an imperative ("Count the circles.").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random

from training.questions.intents import (
    CLAUSE_FRAMES,
    INTENTS,
    NEW_CLAUSE_FRAMES,
    NEW_PHRASE_FRAMES,
    PHRASE_FRAMES,
    SYNONYMS,
    Intent,
)  # fmt: skip
from training.questions.strange import SHARE, WHOLE, with_strange_words

_SLOT = re.compile(r"\{([a-z ]+)\}")


def worded(
    rng: Random, intent: str, slots: Mapping[str, str], *, held_out: bool = False, strange: float = SHARE
) -> str:
    """A question with this intent, as a person might put it.

    slots: texts for the slots that are not in SYNONYMS; they may have slots of SYNONYMS themselves
    held_out: with a form or a synonym that training does not use
    strange: share of the other wordings that have strange words where they do not matter
    """
    forms = INTENTS[intent]
    if not held_out:
        frame, form = _form(rng, forms, new=False)
        if rng.random() < strange:
            frame, form = with_strange_words(rng, intent, frame, form, slots)
        return _sentence(_filled(rng, frame.replace(WHOLE, form), slots))
    if rng.random() < 0.4:
        frame, form = _form(rng, forms, new=False)
        text = _filled(rng, frame.replace(WHOLE, form), slots, new=True)
        if text is not None:
            return _sentence(text)
    frame, form = _form(rng, forms, new=True)
    return _sentence(_filled(rng, frame.replace(WHOLE, form), slots))


def _sentence(text: str | None) -> str:
    assert text is not None
    return text[0].upper() + text[1:]


def _form(rng: Random, forms: Intent, *, new: bool) -> tuple[str, str]:
    """A frame, and a form for it. new: one that is used in evaluation only: a new form, or a usual one in a new frame"""
    roll = rng.random()
    if roll < 0.5 or not forms.clauses:
        return WHOLE, rng.choice(forms.new_asked if new else forms.asked)
    is_clause = roll < 0.75 or not forms.phrases
    usual, fresh = (forms.clauses, forms.new_clauses) if is_clause else (forms.phrases, forms.new_phrases)
    frames, new_frames = (
        (CLAUSE_FRAMES, NEW_CLAUSE_FRAMES) if is_clause else (PHRASE_FRAMES, NEW_PHRASE_FRAMES)
    )
    if not new:
        return rng.choice(frames), rng.choice(usual)
    if fresh and rng.random() < 0.5:
        return rng.choice(frames), rng.choice(fresh)
    return rng.choice(new_frames), rng.choice(usual)


def _filled(rng: Random, form: str, slots: Mapping[str, str], *, new: bool = False) -> str | None:
    """The form with its slots filled. new: with at least one synonym of evaluation only; None if it has no such slot"""
    used_new = False
    while match := _SLOT.search(form):
        name = match[1]
        if name in slots:
            text = slots[name]
        else:
            usual, fresh = SYNONYMS[name]
            take_new = new and bool(fresh)
            used_new = used_new or take_new
            text = rng.choice(fresh if take_new else usual)
        form = f"{form[: match.start()]}{text}{form[match.end() :]}"
    return form if used_new or not new else None
