"""The wordings of questions: forms with slots, and synonyms for the slots.

An intent is something that a person wants to know. It is worded as a question, as an indirect question ("I'd like to know
how many circles there are"), as a noun phrase ("The number of circles."), or as an imperative ("Count the circles.").
More than a quarter of all forms and a fifth of all synonyms is used in evaluation only.
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
    "I want to know {0}.", "Do you know {0}?", "Say {0}.", "Can you say {0}, please?", "Please say {0}.", "I would like to know {0}.",
    "Find out {0}.", "Will you tell me {0}?", "Explain {0}.", "Just tell me {0}.", "Could you explain {0}?", "Show me {0}.", "Report {0}.",
)  # fmt: skip
NEW_CLAUSE_FRAMES = (
    "Let me know {0}.",
    "I wonder {0}.",
    "Would you please tell me {0}?",
    "I need to know {0}.",
    "Help me understand {0}.",
    "Write down {0}.",
)
PHRASE_FRAMES = (
    "{0}.", "{0}?", "What is {0}?", "Give me {0}.", "Name {0}.", "Tell me {0}.", "I'd like to know {0}.", "Please give me {0}.",
    "I'd like {0}.", "I want {0}.", "Could you give me {0}?", "Can you give me {0}, please?", "May I have {0}?", "Say {0}.", "Report {0}.", "Which is {0}?", "{0}, if you can.",
)  # fmt: skip
NEW_PHRASE_FRAMES = (
    "What's {0}?",
    "State {0}.",
    "{0}, please.",
    "I need {0}.",
    "Would you give me {0}?",
    "Write down {0}.",
)

# Slot → words of training and words of evaluation only. A word may have slots of its own.
SYNONYMS: dict[str, tuple[Texts, Texts]] = {
    "object": (("object", "shape", "thing", "item", "form", "body", "piece", "symbol"), ("figure", "element")),
    "objects": (("objects", "shapes", "things", "items", "forms", "bodies", "pieces", "symbols"), ("figures", "elements")),
    "one": (("object", "shape", "one", "thing", "item", "form", "body", "piece", "symbol"), ("figure", "element")),
    "colour": (("colour", "color"), ()),
    "video": (("video", "clip", "video", "clip", "film", "movie", "scene", "sequence", "animation", "picture", "excerpt", "frames", "material", "sample", "take", "shot"), ("footage", "recording", "tape")),
    "here": (("", "", "", " in the {video}", " in this {video}", " here", " on the screen", " in the picture", " in it", " in total", " right here"), (" in the footage", " in this recording", " in view")),
    "see": ((" are there", " can you see", " do you see", " are shown", " are visible", " does one see", " can I see", " do we see", " can you find", " do you count"), (" can be seen", " do you notice", " can you spot")),
    "move": (("move", "go", "travel", "shift", "head", "run", "slide", "float"), ("drift", "glide")),
    "moves": (("moves", "goes", "travels", "shifts", "heads", "runs", "slides", "floats"), ("drifts", "glides")),
    "moving": (("moving", "going", "travelling", "traveling", "shifting", "running", "sliding", "floating"), ("drifting", "gliding")),
    "in motion": (("moving", "in motion", "shifting", "sliding", "floating", "in movement"), ("drifting", "on the move")),
    "stir": (("move", "move", "shift", "move around", "slide", "float", "change place"), ("drift", "move about")),
    "stirs": (("moves", "moves", "shifts", "moves around", "slides", "floats", "changes place"), ("drifts", "moves about")),
    "appear": (("appear", "show up", "emerge", "arrive", "come in", "come up"), ("turn up", "pop up")),
    "appears": (("appears", "shows up", "emerges", "arrives", "comes in", "comes up"), ("turns up", "pops up")),
    "disappear": (("disappear", "vanish", "leave", "fade away", "get lost", "go missing"), ("go away", "exit")),
    "disappears": (("disappears", "vanishes", "leaves", "fades away", "gets lost", "goes missing"), ("goes away", "exits")),
    "appear later": (("appear later", "appear after the start", "show up later", "appear only later", "come in later", "emerge later", "arrive later", "enter later"), ("turn up later", "join later")),
    "appears later": (("appears later", "appears after the start", "shows up later", "comes in later", "emerges later", "arrives later", "enters later"), ("turns up later", "joins later")),
    "disappear later": (("disappear", "disappear during the clip", "vanish", "disappear at some point", "disappear in the video", "leave", "fade away", "get lost", "leave again", "leave at some point"), ("go away", "vanish at some point")),
    "disappears later": (("disappears", "disappears during the clip", "vanishes", "disappears at some point", "leaves", "fades away", "gets lost", "leaves again", "leaves at some point"), ("goes away", "vanishes at some point")),
    "happens": (("happens",), ("takes place", "occurs")),
    "text": (("text", "word", "text", "writing", "caption", "title", "label", "inscription"), ("lettering", "message")),
}  # fmt: skip

INTENTS: dict[str, Intent] = {
    "colour": Intent(
        ("What {colour} is {ref}?", "Which {colour} is {ref}?", "What {colour} does {ref} have?", "{ref} is what {colour}?", "What is {ref}'s {colour}?", "Say which {colour} {ref} is.", "{ref} has which {colour}?", "What {colour} can you see on {ref}?",
         "Which {colour} does {ref} have?", "Identify the {colour} of {ref}.", "What {colour} is {ref}{here}?"),
        ("In what {colour} is {ref}?", "{ref}: what {colour}?", "What {colour} would you say {ref} is?", "Find the {colour} of {ref}."),
        ("what {colour} {ref} is", "which {colour} {ref} has"), ("what {colour} {ref} has",),
        ("the {colour} of {ref}",), ("the {colour} that {ref} has",),
    ),
    "shape": Intent(
        ("What shape is {ref}?", "Which shape is {ref}?", "What shape does {ref} have?", "What kind of shape is {ref}?", "What is {ref}'s shape?", "Say which shape {ref} is.", "{ref} has which shape?", "{ref} is what shape?", "What form does {ref} have?",
         "Which shape does {ref} have?", "Identify the shape of {ref}.", "What shape is {ref}{here}?"),
        ("What sort of shape is {ref}?", "{ref}: what shape?", "What shape would you say {ref} is?", "Find the shape of {ref}."),
        ("what shape {ref} is", "which shape {ref} has"), ("what kind of shape {ref} is",),
        ("the shape of {ref}",), ("the shape that {ref} has",),
    ),
    "count": Intent(
        ("How many {noun}{see}?", "How many {noun}{see}{here}?", "Count how many {noun} there are{here}.", "Count the {noun}{here}.",
         "How many {noun} are{somewhere}?", "Count the {noun}.", "Say how many {noun} there are.", "Count how many {noun} you can see.",
         "How many {noun} in all?", "How many {noun} does the {video} show?", "How many {noun} are there altogether?", "Work out how many {noun} there are.", "Give the count of {noun}{here}.", "What is the count of {noun}?"),
        ("How many {noun}?", "What number of {noun}{see}?", "Could you count the {noun}?", "Count all {noun}{here}.", "Count up the {noun}."),
        ("how many {noun} there are{here}", "how many {noun} you see{here}"), ("how many {noun} are visible{here}",),
        ("the number of {noun}{here}", "the count of {noun}"), ("the total number of {noun}{here}",),
    ),
    "count movers": Intent(
        ("How many {objects} {stir}?", "How many {objects} are {in motion}?", "Count the moving {objects}.",
         "Count how many {objects} {stir}.", "Say how many {objects} {stir}.", "How many moving {objects}{see}?",
         "How many {objects} do not stay still?", "How many {objects} that {stir}{see}?", "Count the {objects} that {stir}.", "How many {objects} are {in motion}{here}?", "What is the number of {objects} in motion?"),
        ("How many of the {objects} {stir}?", "How many {objects} change their place?", "Count all moving {objects}."),
        ("how many {objects} {stir}", "how many {objects} are {in motion}"), ("how many of the {objects} {stir}",),
        ("the number of moving {objects}",), ("the count of moving {objects}", "the number of {objects} that {stir}"),
    ),
    "direction": Intent(
        ("Which way does {ref} {move}?", "In which direction does {ref} {move}?", "Where does {ref} {move}?", "Which direction is {ref} {moving}?",
         "Which way is {ref} {moving}?", "What direction does {ref} {move}?", "Where is {ref} {moving}?", "How does {ref} move?", "{ref} is {moving} where?", "Say which way {ref} {moves}.", "To which side does {ref} {move}?", "What is {ref}'s direction?", "In what direction is {ref} {moving}?"),
        ("Which way is {ref} heading?", "What direction is {ref} {moving} in?", "{ref} {moves} which way?", "What way does {ref} {move}?"),
        ("which way {ref} {moves}", "in which direction {ref} {moves}", "where {ref} {moves}"), ("what direction {ref} {moves}",),
        ("the direction of {ref}", "the direction in which {ref} {moves}"), ("the direction that {ref} {moves} in",),
    ),
    "movers": Intent(
        ("What is moving, and which way?", "What moves, and where?", "What is moving{here}?", "What {stirs}?", "Which {object} {stirs}?", "Which {objects} {stir}?", "What is {in motion}{here}?",
         "Name what {stirs}.", "Name everything that {stirs}.", "Which things are {in motion}?", "Do any {objects} {stir}?", "Identify the moving {objects}.", "What does not stay still?", "List what {stirs}.",
         "Does anything {stir}?", "Is anything {in motion}{here}?"),
        ("Which of the {objects} {stir}?", "Is there anything that {stirs}?", "What is in motion, and in which direction?", "Is something moving{here}?"),
        ("what {stirs}", "what is moving{here}", "which {object} {stirs}"), ("what is moving, and which way",),
        ("the moving {object}", "the moving {objects}", "what {stirs}", "all that {stirs}"), ("the {object} that {stirs}",),
    ),
    "where": Intent(
        ("Where is {ref}?", "Where can I find {ref}?", "On which side is {ref}?", "In which part of the frame is {ref}?",
         "Where in the {video} is {ref}?", "Is {ref} on the left, in the middle or on the right?", "Locate {ref}.", "Where do we see {ref}?", "{ref}: where is it?", "Where does {ref} lie?", "On what side do I find {ref}?", "Which side is {ref} on?"),
        ("Whereabouts is {ref}?", "At what place is {ref}?", "Which part of the frame is {ref} in?", "Find {ref}.", "Where do you see {ref}?"),
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
        ("the event at second {at}", "what happens at second {at}"), ("the change at second {at}",),
    ),
    "comings": Intent(
        ("What {what} during the {video}?", "Which {object} {what}?", "Does anything {stem}?", "Does something {stem}?", "What {what}?",
         "Which {object} {what} in the {video}?", "Does any {object} {stem} during the {video}?", "Which {object} {what} during the {video}?",
         "Name anything that {what}.", "Is there an {object} that {what}?", "What is it that {what}?", "Do any {objects} {stem}?", "Can you see something {stem}?"),
        ("Is there anything that {what}?", "Can anything be seen that {what}?", "Which of the {objects} {what}?", "Identify what {what}."),
        ("what {what}", "which {object} {what}", "whether anything {what}"), ("whether any {object} {what}",),
        ("the {object} that {what}",), ("the {object} which {what}",),
    ),
    "whether it comes": Intent(
        ("Does {ref} {later}?", "Does {ref} {later} in this {video}?", "Will {ref} {later}?", "Do we see that {ref} {laters}?", "Can you see whether {ref} {laters}?", "Is it so that {ref} {laters}?"), ("Is it true that {ref} {laters}?", "Would you say that {ref} {laters}?", "Does it happen that {ref} {laters}?"),
        ("whether {ref} {laters}", "if {ref} {laters}", "whether or not {ref} {laters}"), ("if it is true that {ref} {laters}",),
    ),
    "second": Intent(
        ("At what second does {ref} {stem}?", "When does {ref} {stem}?", "At which second does {ref} {stem}?", "At what time does {ref} {stem}?",
         "After how many seconds does {ref} {stem}?", "In which second does {ref} {stem}?", "How many seconds in does {ref} {stem}?", "When exactly does {ref} {stem}?", "When is the moment that {ref} {what}?", "When do we see that {ref} {what}?",
         "{ref} {what} when?", "Name the second when {ref} {what}.", "What is the time at which {ref} {what}?", "At what point does {ref} {stem}?", "How late does {ref} {stem}?"),
        ("What second does {ref} {stem} at?", "How long does it take until {ref} {what}?", "When is it that {ref} {what}?", "{ref} {what} at what second?", "During which second does {ref} {stem}?"),
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
         "Summarize the {video}.", "What is going on?", "What can you see in the {video}?", "What is shown?", "Explain what happens in this {video}.", "Describe this scene.",
         "Tell me what you see in this {video}.", "Tell me about the {video}.", "What is happening{here}?", "Give an account of the {video}.", "Describe it.", "What is there to see?",
         "Describe all that you see{here}.", "What are we looking at?", "What do you see{here}?", "What is this {video} about?", "Recap the {video}.", "What goes on{here}?", "Caption this {video}.",
         "Please describe the {video} in detail.", "What does one see{here}?", "What is the content of the {video}?"),
        ("What does the {video} show?", "Describe everything you see.", "What can be seen{here}?", "Sum up the {video}.", "Walk me through the {video}.", "Outline the {video}.", "What are the contents of the {video}?"),
        ("what happens", "what you see", "what happens in the {video}", "what you can see{here}", "what is going on{here}", "what is shown{here}", "what is in the {video}", "what there is to see"), ("what the {video} shows", "what takes place{here}", "everything you see"),
        ("a description of the {video}", "a summary of the {video}", "a description", "a summary", "a caption for the {video}", "an account of the {video}", "a short description of this {video}", "the content of the {video}"), ("a description of this scene", "a report on the {video}", "an overview of the {video}"),
    ),
    "is there": Intent(
        ("Is there {noun}?", "Can you see {noun}?", "Do you see {noun}?", "Does the {video} show {noun}?", "Is {noun} in the {video}?",
         "Is there {noun}{here}?", "Does {noun} appear in the {video}?", "Is {noun} there?", "Is {noun} present?", "Do we see {noun}{here}?", "Is it so that there is {noun}?", "Can {noun} be found{here}?"),
        ("Is {noun} visible?", "Is {noun} shown?", "Are you able to see {noun}?"),
        ("whether there is {noun}", "if there is {noun}{here}"), ("whether you see {noun}",),
    ),
    "is colour": Intent(
        ("Is {ref} {hue}?", "Is the {colour} of {ref} {hue}?", "Is {ref} {hue} in {colour}?", "Is it so that {ref} is {hue}?", "Does {ref} look {hue}?", "Do you see that {ref} is {hue}?", "Is {ref} {hue}{here}?"),
        ("Is it true that {ref} is {hue}?", "Would you call {ref} {hue}?"),
        ("whether {ref} is {hue}", "if {ref} is {hue}"), ("whether the {colour} of {ref} is {hue}",),
    ),
    "stays": Intent(
        ("Does {ref} stay still?", "Is {ref} standing still?", "Is {ref} still?", "Does {ref} stay in place?", "Does {ref} rest?", "Is {ref} at rest?", "Does {ref} keep its place?", "Is it so that {ref} stays still?"),
        ("Does {ref} remain still?", "Does {ref} stay where it is?", "Is {ref} not moving?"),
        ("whether {ref} stays still", "if {ref} stays in place"), ("whether {ref} is still",),
    ),
    "stirs": Intent(
        ("Does {ref} {stir}?", "Is {ref} {in motion}?", "Does {ref} change its place?", "Can you see {ref} {stir}?", "Does {ref} {stir}{here}?", "Is it so that {ref} {stirs}?", "Do we see {ref} {stir}?"),
        ("Is it true that {ref} {stirs}?", "Does {ref} {stir} at all?", "Would you say that {ref} {stirs}?"),
        ("whether {ref} {stirs}", "if {ref} is {in motion}"), ("whether {ref} changes its place",),
    ),
    "moves to": Intent(
        ("Does {ref} {move} {way}?", "Is {ref} {moving} {way}?", "Do we see {ref} {move} {way}?", "Is it so that {ref} {moves} {way}?", "{ref} {moves} {way}, right?", "Is {ref} {moving} {way}{here}?"),
        ("Is it true that {ref} {moves} {way}?", "Would you say that {ref} {moves} {way}?", "Is {way} where {ref} {moves}?"),
        ("whether {ref} {moves} {way}", "if {ref} {moves} {way}"), ("whether {ref} is {moving} {way}",),
    ),
    "beside": Intent(
        ("Is {ref} {side} {other}?", "Is {ref} {side} {other} in the {video}?", "Is it so that {ref} is {side} {other}?", "Do you see {ref} {side} {other}?", "Does {ref} lie {side} {other}?"),
        ("Is it true that {ref} is {side} {other}?", "Would you say that {ref} is {side} {other}?", "Can {ref} be seen {side} {other}?"),
        ("whether {ref} is {side} {other}", "if {ref} is {side} {other}"), (),
    ),
    "is text": Intent(
        ("Is there any {text}?", "Is there {text} on the screen?", "Is something written{somewhere}?", "Can you see {text}?",
         "Is there any {text} on screen?", "Does the {video} show any {text}?"),
        ("Do you see any {text}?", "Is any {text} shown?"),
        ("whether there is any {text}", "if there is {text} on the screen"), ("whether you see any {text}",),
    ),
}  # fmt: skip
SYNONYMS["somewhere"] = (
    (" in the {video}", " in this {video}", " on the screen", " here", " in the picture"),
    (" in the footage", " in the recording"),
)
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
