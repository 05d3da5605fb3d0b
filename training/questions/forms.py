"""The wordings of questions: forms with slots, and synonyms for the slots.

An intent is something that a person wants to know. It is worded as a question, as an indirect question ("I'd like to know
how many circles there are"), as a noun phrase ("The number of circles."), or as an imperative ("Count the circles.").
About a third of all forms and synonyms is used in evaluation only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

Texts = tuple[str, ...]


@dataclass(frozen=True)
class Intent:
    """The forms of an intent; the `new_` ones are used in evaluation only.

    asked:   whole questions and imperatives
    clauses: indirect questions, such as "how many circles there are"
    phrases: noun phrases, such as "the number of circles"
    """

    asked: Texts
    new_asked: Texts
    clauses: Texts = ()
    new_clauses: Texts = ()
    phrases: Texts = ()
    new_phrases: Texts = ()


CLAUSE_FRAMES = (
    "Tell me {0}.", "Please tell me {0}.", "I'd like to know {0}.", "Can you tell me {0}?", "Could you tell me {0}?",
    "I want to know {0}.", "Do you know {0}?", "Say {0}.", "Can you say {0}, please?",
)  # fmt: skip
NEW_CLAUSE_FRAMES = (
    "Let me know {0}.",
    "I wonder {0}.",
    "Would you please tell me {0}?",
    "I need to know {0}.",
)
PHRASE_FRAMES = (
    "{0}.", "{0}?", "What is {0}?", "Give me {0}.", "Name {0}.", "Tell me {0}.", "I'd like to know {0}.", "Please give me {0}.",
)  # fmt: skip
NEW_PHRASE_FRAMES = ("What's {0}?", "State {0}.", "{0}, please.", "I need {0}.")

# Slot → words of training and words of evaluation only. A word may have slots of its own.
SYNONYMS: dict[str, tuple[Texts, Texts]] = {
    "object": (("object", "shape", "thing", "item"), ("figure", "element")),
    "objects": (("objects", "shapes", "things", "items"), ("figures", "elements")),
    "one": (("object", "shape", "one", "thing", "item"), ("figure", "element")),
    "colour": (("colour", "color"), ()),
    "video": (("video", "clip"), ("footage", "recording")),
    "here": (("", "", "", " in the video", " in the clip", " in this video", " here"), (" in this clip", " in the scene", " in the footage")),
    "see": ((" are there", " can you see", " do you see", " are shown", " are visible"), (" can be seen", " do you notice")),
    "move": (("move", "go", "travel"), ("drift", "glide")),
    "moves": (("moves", "goes", "travels"), ("drifts", "glides")),
    "moving": (("moving", "going", "travelling", "traveling"), ("drifting", "gliding")),
    "in motion": (("moving", "in motion"), ("drifting", "on the move")),
    "stir": (("move",), ("drift", "move about")),
    "stirs": (("moves",), ("drifts", "moves about")),
    "appear": (("appear", "show up"), ("turn up", "pop up")),
    "appears": (("appears", "shows up"), ("turns up", "pops up")),
    "disappear": (("disappear", "vanish"), ("go away",)),
    "disappears": (("disappears", "vanishes"), ("goes away",)),
    "appear later": (("appear later", "appear after the start", "show up later", "appear only later", "come in later"), ("turn up later", "join later")),
    "appears later": (("appears later", "appears after the start", "shows up later", "comes in later"), ("turns up later", "joins later")),
    "disappear later": (("disappear", "disappear during the clip", "vanish", "disappear at some point", "disappear in the video"), ("go away", "vanish at some point")),
    "disappears later": (("disappears", "disappears during the clip", "vanishes", "disappears at some point"), ("goes away", "vanishes at some point")),
    "happens": (("happens",), ("takes place", "occurs")),
    "text": (("text", "word", "text", "writing"), ("lettering", "message")),
}  # fmt: skip

INTENTS: dict[str, Intent] = {
    "colour": Intent(
        ("What {colour} is {ref}?", "Which {colour} is {ref}?", "What {colour} does {ref} have?", "{ref} is what {colour}?",
         "Which {colour} does {ref} have?", "Identify the {colour} of {ref}.", "What {colour} is {ref}{here}?"),
        ("In what {colour} is {ref}?", "{ref}: what {colour}?", "What {colour} would you say {ref} is?", "Find the {colour} of {ref}."),
        ("what {colour} {ref} is", "which {colour} {ref} has"), ("what {colour} {ref} has",),
        ("the {colour} of {ref}",), ("the {colour} that {ref} has",),
    ),
    "shape": Intent(
        ("What shape is {ref}?", "Which shape is {ref}?", "What shape does {ref} have?", "What kind of shape is {ref}?",
         "Which shape does {ref} have?", "Identify the shape of {ref}.", "What shape is {ref}{here}?"),
        ("What sort of shape is {ref}?", "{ref}: what shape?", "What shape would you say {ref} is?", "Find the shape of {ref}."),
        ("what shape {ref} is", "which shape {ref} has"), ("what kind of shape {ref} is",),
        ("the shape of {ref}",), ("the shape that {ref} has",),
    ),
    "count": Intent(
        ("How many {noun}{see}?", "How many {noun}{see}{here}?", "Count how many {noun} there are{here}.", "Count the {noun}{here}.",
         "How many {noun} are{somewhere}?", "Count the {noun}.", "Say how many {noun} there are.", "Count how many {noun} you can see."),
        ("How many {noun}?", "What number of {noun}{see}?", "Count all {noun}{here}.", "Count up the {noun}."),
        ("how many {noun} there are{here}", "how many {noun} you see{here}"), ("how many {noun} are visible{here}",),
        ("the number of {noun}{here}", "the count of {noun}"), ("the total number of {noun}{here}",),
    ),
    "count movers": Intent(
        ("How many {objects} {stir}?", "How many {objects} are {in motion}?", "Count the moving {objects}.",
         "Count how many {objects} {stir}.", "Say how many {objects} {stir}.", "How many moving {objects}{see}?"),
        ("How many of the {objects} {stir}?", "How many {objects} change their place?", "Count all moving {objects}."),
        ("how many {objects} {stir}", "how many {objects} are {in motion}"), ("how many of the {objects} {stir}",),
        ("the number of moving {objects}",), ("the count of moving {objects}", "the number of {objects} that {stir}"),
    ),
    "direction": Intent(
        ("Which way does {ref} {move}?", "In which direction does {ref} {move}?", "Where does {ref} {move}?", "Which direction is {ref} {moving}?",
         "Which way is {ref} {moving}?", "What direction does {ref} {move}?", "Where is {ref} {moving}?", "How does {ref} move?", "In what direction is {ref} {moving}?"),
        ("Which way is {ref} heading?", "What direction is {ref} {moving} in?", "{ref} {moves} which way?", "What way does {ref} {move}?"),
        ("which way {ref} {moves}", "in which direction {ref} {moves}", "where {ref} {moves}"), ("what direction {ref} {moves}",),
        ("the direction of {ref}", "the direction in which {ref} {moves}"), ("the direction that {ref} {moves} in",),
    ),
    "movers": Intent(
        ("What is moving, and which way?", "What moves, and where?", "What is moving{here}?", "What {stirs}?", "Which {object} {stirs}?",
         "Does anything {stir}?", "Is anything {in motion}{here}?"),
        ("Which of the {objects} {stir}?", "What is in motion, and in which direction?", "Is something moving{here}?"),
        ("what {stirs}", "what is moving{here}", "which {object} {stirs}"), ("what is moving, and which way",),
        ("the moving {object}",), ("the {object} that {stirs}",),
    ),
    "where": Intent(
        ("Where is {ref}?", "Where can I find {ref}?", "On which side is {ref}?", "In which part of the frame is {ref}?",
         "Where in the {video} is {ref}?", "Is {ref} on the left, in the middle or on the right?", "Locate {ref}."),
        ("Whereabouts is {ref}?", "Which part of the frame is {ref} in?", "Find {ref}.", "Where do you see {ref}?"),
        ("where {ref} is{here}", "on which side {ref} is"), ("in which part of the frame {ref} is",),
        ("the position of {ref}", "the place of {ref}"), ("the location of {ref}",),
    ),
    "side": Intent(
        ("What is {where}?", "Which {object} is {where}?", "What can you see {where}?", "What {object} is {where} of the frame?",
         "Name the {object} {where}.", "What is {where} of the {video}?", "What is {where} of the picture?"),
        ("What do you see {where}?", "Which {object} do you see {where}?", "Identify the {object} {where}."),
        ("what is {where}", "which {object} is {where}"), ("what you see {where}",),
        ("the {object} {where}",), ("the {object} that is {where}",),
    ),
    "event": Intent(
        ("What happens {word}?", "Which event happens {word}?", "What is the {word} thing that happens?", "What is the {word} event?",
         "Which change comes {word}?", "What changes {word}?", "Name the {word} event."),
        ("What takes place {word}?", "What occurs {word}?", "What is the {word} change?", "What happens {word} of all?"),
        ("what happens {word}", "which event happens {word}"), ("what the {word} event is",),
        ("the {word} event", "the {word} thing that happens"), ("the {word} change",),
    ),
    "comer": Intent(
        ("Which {object} comes {word}?", "Which {object} do we see {word}?", "Which {object} is seen {word}?", "Name the {object} that comes {word}."),
        ("Which {object} do you see {word}?", "Which {object} is the {word} to be seen?"),
        ("which {object} comes {word}", "which {object} is seen {word}"), ("which {object} we see {word}",),
        ("the {object} that comes {word}",), ("the {object} that is seen {word}",),
    ),
    "newcomer": Intent(
        ("Which {object} {appears} {word}?", "What {appears} {word}?", "Which one {appears} {word}?", "Name the {object} that appears {word}."),
        ("Which {object} is the {word} to {appear}?", "Identify what {appears} {word}."),
        ("what {appears} {word}", "which {object} {appears} {word}"), ("which one {appears} {word}",),
        ("the {object} that {appears} {word}",), ("the {word} {object} to {appear}",),
    ),
    "happening": Intent(
        ("What happens at second {at}?", "Which event happens at second {at}?", "What changes at second {at}?", "What is the event at second {at}?"),
        ("What takes place at second {at}?", "What occurs at second {at}?", "At second {at}, what happens?"),
        ("what happens at second {at}", "which event happens at second {at}"), ("what changes at second {at}",),
        ("the event at second {at}",), ("the change at second {at}",),
    ),
    "comings": Intent(
        ("What {what} during the {video}?", "Which {object} {what}?", "Does anything {stem}?", "Does something {stem}?", "What {what}?",
         "Which {object} {what} in the {video}?", "Does any {object} {stem} during the {video}?", "Which {object} {what} during the {video}?"),
        ("Is there anything that {what}?", "Which of the {objects} {what}?", "Identify what {what}."),
        ("what {what}", "which {object} {what}", "whether anything {what}"), ("whether any {object} {what}",),
        ("the {object} that {what}",), ("the {object} which {what}",),
    ),
    "whether it comes": Intent(
        ("Does {ref} {later}?",), ("Is it true that {ref} {laters}?", "Would you say that {ref} {laters}?"),
        ("whether {ref} {laters}", "if {ref} {laters}"), (),
    ),
    "second": Intent(
        ("At what second does {ref} {stem}?", "When does {ref} {stem}?", "At which second does {ref} {stem}?", "At what time does {ref} {stem}?",
         "After how many seconds does {ref} {stem}?", "In which second does {ref} {stem}?", "How many seconds in does {ref} {stem}?", "When exactly does {ref} {stem}?"),
        ("What second does {ref} {stem} at?", "When is it that {ref} {what}?", "{ref} {what} at what second?", "During which second does {ref} {stem}?"),
        ("when {ref} {what}", "at what second {ref} {what}"), ("at which second {ref} {what}",),
        ("the second at which {ref} {what}", "the time when {ref} {what}"), ("the second when {ref} {what}",),
    ),
    "text": Intent(
        ("What does the {text} say?", "What {text} is on the screen?", "Which {text} is shown?", "Read the {text}.", "What is written{somewhere}?",
         "What {text} can you see?", "What is the {text} on screen?", "What {text} is written?", "Can you read the {text}?", "What {text} is displayed?",
         "What does the {text} on the screen say?", "Which {text} appears on screen?"),
        ("What does it say on the screen?", "Which {text} do you see?", "Read out the {text}.", "Read the {text} to me."),
        ("what the {text} says", "what {text} is on the screen"), ("what {text} is shown", "what is written on the screen"),
        ("the {text} on the screen",), ("the {text} that is shown",),
    ),
    "describe": Intent(
        ("Describe the {video}.", "What happens in the {video}?", "What do you see?", "Describe what you see.", "What is in this {video}?", "Summarise the {video}.",
         "Summarize the {video}.", "What is going on?", "What can you see in the {video}?", "What is shown?", "Explain what happens in this {video}.", "Describe this scene."),
        ("What does the {video} show?", "Describe everything you see.", "What can be seen{here}?", "Sum up the {video}."),
        ("what happens", "what you see", "what happens in the {video}"), ("what the {video} shows",),
        ("a description of the {video}", "a summary of the {video}"), ("a description of this scene",),
    ),
    "is there": Intent(
        ("Is there {noun}?", "Can you see {noun}?", "Do you see {noun}?", "Does the {video} show {noun}?", "Is {noun} in the {video}?",
         "Is there {noun}{here}?", "Does {noun} appear in the {video}?"),
        ("Is {noun} visible?", "Is {noun} shown?", "Are you able to see {noun}?"),
        ("whether there is {noun}", "if there is {noun}{here}"), ("whether you see {noun}",),
    ),
    "is colour": Intent(
        ("Is {ref} {hue}?", "Is the {colour} of {ref} {hue}?", "Is {ref} {hue} in {colour}?"),
        ("Is it true that {ref} is {hue}?", "Would you call {ref} {hue}?"),
        ("whether {ref} is {hue}", "if {ref} is {hue}"), ("whether the {colour} of {ref} is {hue}",),
    ),
    "stays": Intent(
        ("Does {ref} stay still?", "Is {ref} standing still?", "Is {ref} still?", "Does {ref} stay in place?"),
        ("Does {ref} remain still?", "Does {ref} stay where it is?"),
        ("whether {ref} stays still", "if {ref} stays in place"), ("whether {ref} is still",),
    ),
    "stirs": Intent(
        ("Does {ref} {stir}?", "Is {ref} {in motion}?", "Does {ref} change its place?"),
        ("Is it true that {ref} {stirs}?", "Does {ref} {stir} at all?"),
        ("whether {ref} {stirs}", "if {ref} is {in motion}"), ("whether {ref} changes its place",),
    ),
    "moves to": Intent(
        ("Does {ref} {move} {way}?", "Is {ref} {moving} {way}?"),
        ("Is it true that {ref} {moves} {way}?", "Would you say that {ref} {moves} {way}?"),
        ("whether {ref} {moves} {way}", "if {ref} {moves} {way}"), ("whether {ref} is {moving} {way}",),
    ),
    "beside": Intent(
        ("Is {ref} {side} {other}?", "Is {ref} {side} {other} in the {video}?"),
        ("Is it true that {ref} is {side} {other}?", "Would you say that {ref} is {side} {other}?"),
        ("whether {ref} is {side} {other}", "if {ref} is {side} {other}"), (),
    ),
    "is text": Intent(
        ("Is there any {text}?", "Is there {text} on the screen?", "Is something written{somewhere}?", "Can you see {text}?",
         "Is there any {text} on screen?", "Does the {video} show any {text}?"),
        ("Do you see any {text}?", "Is any {text} shown?"),
        ("whether there is any {text}", "if there is {text} on the screen"), ("whether you see any {text}",),
    ),
}  # fmt: skip
SYNONYMS["somewhere"] = ((" in the video", " in the clip", " on the screen", " here"), (" in the footage",))
_SLOT = re.compile(r"\{([a-z ]+)\}")


def worded(rng: Random, intent: str, slots: Mapping[str, str], *, held_out: bool = False) -> str:
    """A question with this intent, as a person might put it.

    slots: texts for the slots that are not in SYNONYMS; they may have slots of SYNONYMS themselves
    held_out: with a form or a synonym that training does not use
    """
    forms = INTENTS[intent]
    new_form = held_out and rng.random() < 0.6
    text = _filled(rng, _form(rng, forms, new=new_form), slots, new=held_out and not new_form)
    if held_out and not new_form and text is None:
        text = _filled(rng, _form(rng, forms, new=True), slots, new=False)
    assert text is not None
    return text[0].upper() + text[1:]


def _form(rng: Random, forms: Intent, *, new: bool) -> str:
    """A form. new: one of those that are used in evaluation only: a new form or a usual one in a new frame"""
    roll = rng.random()
    if roll < 0.5 or not forms.clauses:
        return rng.choice(forms.new_asked if new else forms.asked)
    is_clause = roll < 0.75 or not forms.phrases
    usual, fresh = (forms.clauses, forms.new_clauses) if is_clause else (forms.phrases, forms.new_phrases)
    frames, new_frames = (
        (CLAUSE_FRAMES, NEW_CLAUSE_FRAMES) if is_clause else (PHRASE_FRAMES, NEW_PHRASE_FRAMES)
    )
    if not new:
        return rng.choice(frames).replace("{0}", rng.choice(usual))
    if fresh and rng.random() < 0.5:
        return rng.choice(frames).replace("{0}", rng.choice(fresh))
    return rng.choice(new_frames).replace("{0}", rng.choice(usual))


def _filled(rng: Random, form: str, slots: Mapping[str, str], *, new: bool) -> str | None:
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
