"""Words that no question about scenes uses, and the places in a question where such a word does not matter."""

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
)  # fmt: skip
from training.scenes import COLOURS, DIRECTIONS, SHAPES, WORDS

# Words of the builders and of `casual`, words that are common in any question, and further colours and numbers.
_COMMON = """a about am an and any are at be by can could did do does for from give go had has have he her him his how i
    if in into is it its many me more much my no of on or our out say she so some tell than that the their them
    there they this to too us was we were what when where which who whom whose why will with would you your x
    above after below between bigger smaller first last top bottom number start true work down list enter
    hi please question watch look closely thanks thank thx pls plz answer
    pink brown gray grey gold silver zero two three four five six seven eight nine ten"""
_TEXTS = (
    _COMMON, *CLAUSE_FRAMES, *NEW_CLAUSE_FRAMES, *PHRASE_FRAMES, *NEW_PHRASE_FRAMES, *COLOURS, *DIRECTIONS, *SHAPES,
    *(f"{shape}s" for shape in SHAPES), *(text for pair in SYNONYMS.values() for texts in pair for text in texts),
    *(
        text
        for i in INTENTS.values()
        for texts in (i.asked, i.new_asked, i.clauses, i.new_clauses, i.phrases, i.new_phrases)
        for text in texts
    ),
)  # fmt: skip
# Every word of a question about scenes, those of evaluation too: no such word may mean that a question is about other things.
FAMILIAR = frozenset(re.findall(r"\w+", re.sub(r"\{[^}]*\}", " ", " ".join(_TEXTS)).lower()))
_UNFAMILIAR = [word.lower() for word in WORDS if word.lower() not in FAMILIAR]


def strange_word(rng: Random) -> str:
    """A word that no question about scenes uses. Some are invented."""
    return rng.choice(_UNFAMILIAR) if rng.random() < 0.7 else _invented(rng)


def _invented(rng: Random) -> str:
    while True:
        word = "".join(
            rng.choice("bcdfghjklmnprstvwz")
            + rng.choice("aeiou")
            + rng.choice(("", "", "l", "n", "r", "s", "t"))
            for _ in range(rng.randint(2, 3))
        )
        if word not in FAMILIAR:
            return word


SHARE = 0.12  # share of the questions with strange words in a place where they do not matter
WHOLE = "{0}"  # the frame of a whole question
_FRAMES = (
    "{s} me {0}.", "{s} {0}.", "Please {s} {0}.", "Can you {s} {0}?", "Could you {s} me {0}?", "I {s} {0}.", "{s} {s} {0}.", "{0}, {s}.", "I'd {s} to {s} {0}.", "{s}: {0}?",
    "Will you {s} us {0}?", "I want to {s} {0}.", "{s} it and tell me {0}.", "Help me {s} {0}.", "Would you {s} {0}?", "You should {s} {0}.", "I {s} to know {0}.",
)  # fmt: skip
_AROUND = (
    "{s}, {0}",
    "{s} {s}: {0}",
    "{0} {s}!",
    "{s}! {0}",
    "In this {s}, {0}",
    "{0} I {s} it.",
    "{s} the {s}. {0}",
)
# Slot → texts for it. The rest of the sentence decides what they mean.
_SLOTS = {
    "see": (" do you {s}", " can you {s}", " are {s}ed", " can be {s}ed", " does one {s}", " do we {s}"),
    "here": (" in the {s}", " in this {s}", " on the {s}", " {s}", " in your {s}"),
    "somewhere": (" in the {s}", " on the {s}", " in this {s}"),
    "video": ("{s}", "{s} {s}"),
}
# In these intents only forms with such words are clear without the word for the video: "Describe the ..." is not.
_CLEAR = {
    "describe": re.compile(
        r"\b(see|saw|happen\w*|going on|goes on|shown|visible|summar\w*|caption|recap|account|watch)\b",
        re.IGNORECASE,
    ),
    "text": re.compile(r"\{text\}|written|read", re.IGNORECASE),
    "side": re.compile(r"(?!)"),
}
_VERBS = {"move": ("{s}",), "moves": ("{s}s",), "moving": ("{s}ing",)}
_NAMED = re.compile(rf"\b({'|'.join((*COLOURS, *SHAPES))})\b")


def strange_frame(rng: Random, frame: str) -> str:
    """A frame of strange words in the place of this frame."""
    return _filled(rng, rng.choice(_AROUND if frame == WHOLE else _FRAMES))


def with_strange_words(
    rng: Random, intent: str, frame: str, form: str, slots: Mapping[str, str]
) -> tuple[str, str]:
    """The frame and the form with strange words in a place where they do not matter.

    Nouns of things, colours, sides, numbers and verbs that decide the meaning stay.
    """
    places = [slot for slot in (*_SLOTS, *_VERBS) if _does_not_matter(intent, form, slot, slots)]
    place = rng.choice((None, *places))
    if place is None:
        return strange_frame(rng, frame), form
    text = _filled(rng, rng.choice((_SLOTS | _VERBS)[place]))
    return frame, form.replace(f"{{{place}}}", text, 1)


def _does_not_matter(intent: str, form: str, slot: str, slots: Mapping[str, str]) -> bool:
    """Whether the meaning of the form is clear without the text of this slot."""
    if f"{{{slot}}}" not in form or slot in slots:
        return False
    if slot not in _VERBS:
        return intent not in _CLEAR or _CLEAR[intent].search(form) is not None
    # "Where does the star ...?" may also ask for its place.
    says_what = re.search(r"\b(way|direction)\b", form) if intent == "direction" else "{way}" in form
    return bool(says_what) and _NAMED.search(slots.get("ref", "")) is not None


def _filled(rng: Random, text: str) -> str:
    return re.sub(r"\{s\}", lambda _: strange_word(rng), text)
