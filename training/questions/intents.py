"""The tables of wordings: the forms of each intent, the frames around clauses and phrases, and synonyms for the slots.

About a third of all forms and a third of all synonyms is used in evaluation only.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    "Can you find out {0}?", "Would you tell me {0}?", "Could you say {0}?", "Could you please tell me {0}?", "Can you see {0}?", "I want you to tell me {0}.",
    "My question is {0}.", "I have a question: {0}?", "Try to tell me {0}.", "Can you please explain {0}?", "Are you able to tell me {0}?", "Check {0}.",
    "Determine {0}.", "Answer me {0}.", "Any idea {0}?", "Do you have an idea {0}?", "I am curious {0}.", "I'm curious {0}.", "I would love to know {0}.",
    "I'm interested in {0}.", "Let us know {0}.", "Let's see {0}.", "Just say {0}.", "You must tell me {0}.", "Kindly tell me {0}.", "Hey, tell me {0}.",
    "Now tell me {0}.", "Please explain {0}.", "Please find out {0}.", "Please check {0}.", "I want to find out {0}.", "Tell us {0}.", "Write {0}.",
    "Quick question: {0}?", "I'm trying to understand {0}.", "Help me find out {0}.", "I must know {0}.", "Answer this: {0}?", "Is it possible to say {0}?",
    "Could anyone tell me {0}?", "Would you mind telling me {0}?", "I ask {0}.", "I'm asking {0}.", "Do you think you can tell me {0}?", "Look and tell me {0}.",
)  # fmt: skip
NEW_CLAUSE_FRAMES = (
    "Let me know {0}.",
    "I wonder {0}.",
    "Would you please tell me {0}?",
    "I need to know {0}.",
    "Help me understand {0}.",
    "Write down {0}.",
    "Do you happen to know {0}?", "I'd love to know {0}.", "Would you know {0}?", "Can you help me find out {0}?", "Please let us know {0}.",
    "I'd like you to tell me {0}.", "Could you check {0}?", "I am asking you {0}.", "Can you work out {0}?", "Could you please explain {0}?",
    "Look at it and say {0}.", "It would be good to know {0}.", "Please try to say {0}.", "Tell me again {0}.", "I don't know {0}.", "I want an answer: {0}?",
    "Watch and tell me {0}.", "Can anyone say {0}?", "Please help me find out {0}.", "I can't see {0}.", "So {0}?", "You should tell me {0}.",
)  # fmt: skip
PHRASE_FRAMES = (
    "{0}.", "{0}?", "What is {0}?", "Give me {0}.", "Name {0}.", "Tell me {0}.", "I'd like to know {0}.", "Please give me {0}.",
    "I'd like {0}.", "I want {0}.", "Could you give me {0}?", "Can you give me {0}, please?", "May I have {0}?", "Say {0}.", "Report {0}.", "Which is {0}?", "{0}, if you can.",
    "Give {0}.", "Give us {0}.", "Show me {0}.", "Show {0}.", "List {0}.", "Tell us {0}.", "I want to know {0}.", "I would like {0}.", "Do you know {0}?",
    "What would be {0}?", "What might {0} be?", "Can I have {0}?", "Could I get {0}?", "Can you tell me {0}?", "Could you tell me {0}?", "Please tell me {0}.",
    "Please name {0}.", "Can you name {0}?", "Can you say {0}?", "Could you name {0}?", "Provide {0}.", "Return {0}.", "Output {0}.", "Print {0}.", "Write {0}.",
    "Answer with {0}.", "Reply with {0}.", "Just {0}.", "Only {0}.", "Just give me {0}.", "My question: {0}?", "Do you have {0}?", "Get me {0}.", "Find out {0}.",
    "Determine {0}.", "Look for {0}.", "Let me have {0}.", "Let me see {0}.", "How about {0}?", "What about {0}?", "And {0}?", "I'm looking for {0}.",
    "I'm interested in {0}.", "Send me {0}.", "Can you show me {0}?", "May I know {0}?", "I ask for {0}.", "Now {0}.", "Can you point out {0}?",
)  # fmt: skip
NEW_PHRASE_FRAMES = (
    "What's {0}?",
    "State {0}.",
    "{0}, please.",
    "I need {0}.",
    "Would you give me {0}?",
    "Write down {0}.",
    "I'd like to have {0}.", "Kindly give me {0}.", "Let me know {0}.", "Would you say {0}?", "Please provide {0}.", "Please write {0}.", "Could I have {0}?",
    "Please report {0}.", "Please show me {0}.", "Would you name {0}?", "I am asking for {0}.", "Can I get {0}?", "Could you show me {0}?", "Please name me {0}.",
    "I would really like {0}.", "Help me find {0}.", "I want to have {0}.", "So what is {0}?", "You should give me {0}.", "Answer: {0}?", "Please work out {0}.",
)  # fmt: skip

# Slot → words of training and words of evaluation only. A word may have slots of its own.
SYNONYMS: dict[str, tuple[Texts, Texts]] = {
    "object": (("object", "shape", "thing", "item", "form", "body", "piece", "symbol", "object", "shape", "thing", "icon", "geometric shape", "geometric object", "graphic", "coloured shape", "colored object", "entity"),
               ("figure", "element", "geometric form", "coloured thing", "colored shape", "coloured item", "colored form")),
    "objects": (("objects", "shapes", "things", "items", "forms", "bodies", "pieces", "symbols", "objects", "shapes", "things", "icons", "geometric shapes", "geometric objects", "graphics", "coloured shapes", "colored objects", "entities"),
                ("figures", "elements", "geometric forms", "coloured things", "colored shapes", "coloured items", "colored forms")),
    "one": (("object", "shape", "one", "thing", "item", "form", "body", "piece", "symbol", "object", "shape", "one", "icon", "geometric shape", "graphic", "entity"),
            ("figure", "element", "geometric form", "geometric thing", "geometric item")),
    "colour": (("colour", "color"), ()),
    "video": (("video", "clip", "video", "clip", "film", "movie", "scene", "sequence", "animation", "picture", "excerpt", "frames", "material", "sample", "take", "shot", "video clip", "short film", "short video", "cartoon", "segment", "image", "images", "stream", "whole video", "snippet", "example"),
              ("footage", "recording", "tape", "short clip", "video sequence", "whole clip", "movie clip", "short animation", "image sequence", "short movie", "short sequence")),
    "here": (("", "", "", "", "", "", " in the {video}", " in this {video}", " in the {video}", " here", " on the screen", " in the picture", " in it", " in total", " right here",
              " on screen", " in the frame", " inside the {video}", " on this screen", " during the {video}", " in that {video}", " within the {video}", " in the frames", " on the display", " in the given {video}", " in your {video}", " in my {video}"),
             (" in the footage", " in this recording", " in view", " within this {video}", " inside this {video}", " on the picture", " in the whole {video}", " on that screen", " in these frames", " over there", " in our {video}")),
    "see": ((" are there", " can you see", " do you see", " are shown", " are visible", " does one see", " can I see", " do we see", " can you find", " do you count", " are there", " are present", " exist", " can one see", " can we see", " have we got",
             " are we shown", " do I see", " are to be seen", " would you count", " can you count", " do we have", " can be found", " could you see", " did you see", " do you find", " have you seen"),
            (" can be seen", " do you notice", " can you spot", " are displayed", " can be counted", " do we find", " are seen", " could be seen", " did you count", " could you count", " can we count", " would you see", " have you counted")),
    "move": (("move", "go", "travel", "shift", "head", "run", "slide", "float", "move", "go", "fly", "roll", "proceed", "wander", "pass", "crawl", "swim", "advance", "walk", "go along"), ("drift", "glide", "move along", "travel along", "slide along")),
    "moves": (("moves", "goes", "travels", "shifts", "heads", "runs", "slides", "floats", "moves", "goes", "flies", "rolls", "proceeds", "wanders", "passes", "crawls", "swims", "advances", "walks", "goes along"), ("drifts", "glides", "moves along", "travels along", "slides along")),
    "moving": (("moving", "going", "travelling", "traveling", "shifting", "running", "sliding", "floating", "moving", "going", "flying", "rolling", "proceeding", "wandering", "passing", "crawling", "swimming", "advancing", "walking", "going along"), ("drifting", "gliding", "moving along", "travelling along", "sliding along")),
    "in motion": (("moving", "in motion", "shifting", "sliding", "floating", "in movement", "moving", "moving around", "changing place", "not standing still", "not still", "travelling", "going somewhere", "not at rest", "wandering", "flying"), ("drifting", "on the move", "changing position", "not staying still", "moving along", "going around", "rolling")),
    "stir": (("move", "move", "shift", "move around", "slide", "float", "change place", "move", "travel", "go somewhere", "change position", "go around", "wander", "float around", "slide around", "go from place to place", "fly"), ("drift", "move about", "move along", "go places", "wander around", "change location", "go from here to there")),
    "stirs": (("moves", "moves", "shifts", "moves around", "slides", "floats", "changes place", "moves", "travels", "goes somewhere", "changes position", "goes around", "wanders", "floats around", "slides around", "goes from place to place", "flies"), ("drifts", "moves about", "moves along", "goes places", "wanders around", "changes location", "goes from here to there")),
    "appear": (("appear", "show up", "emerge", "arrive", "come in", "come up", "appear", "enter", "become visible", "come into the picture", "come onto the screen", "enter the picture", "pop in", "start to be visible", "come into sight", "join in"), ("turn up", "pop up", "come out", "enter the screen", "step in", "come into the frame", "enter the scene")),
    "appears": (("appears", "shows up", "emerges", "arrives", "comes in", "comes up", "appears", "enters", "becomes visible", "comes into the picture", "comes onto the screen", "enters the picture", "pops in", "starts to be visible", "comes into sight", "joins in"), ("turns up", "pops up", "comes out", "enters the screen", "steps in", "comes into the frame", "enters the scene")),
    "disappear": (("disappear", "vanish", "leave", "fade away", "get lost", "go missing", "disappear", "vanish", "fade out", "go out", "become invisible", "stop being visible", "leave the picture", "get out of sight", "leave the screen", "drop out"), ("go away", "exit", "get away", "go out of sight", "leave the scene", "fade", "get out of the picture")),
    "disappears": (("disappears", "vanishes", "leaves", "fades away", "gets lost", "goes missing", "disappears", "vanishes", "fades out", "goes out", "becomes invisible", "stops being visible", "leaves the picture", "gets out of sight", "leaves the screen", "drops out"), ("goes away", "exits", "gets away", "goes out of sight", "leaves the scene", "fades", "gets out of the picture")),
    "appear later": (("appear later", "appear after the start", "show up later", "appear only later", "come in later", "emerge later", "arrive later", "enter later", "come in after the start", "appear after a while", "show up after the start", "appear in the middle of the {video}", "become visible later", "show up only later", "arrive after a while", "come into the picture later"), ("turn up later", "join later", "emerge after the start", "enter after a while", "arrive only later", "come in only after a while", "appear later on")),
    "appears later": (("appears later", "appears after the start", "shows up later", "comes in later", "emerges later", "arrives later", "enters later", "comes in after the start", "appears after a while", "shows up after the start", "appears in the middle of the {video}", "becomes visible later", "shows up only later", "arrives after a while", "comes into the picture later"), ("turns up later", "joins later", "emerges after the start", "enters after a while", "arrives only later", "comes in only after a while", "appears later on")),
    "disappear later": (("disappear", "disappear during the clip", "vanish", "disappear at some point", "disappear in the video", "leave", "fade away", "get lost", "leave again", "leave at some point", "disappear before the end", "vanish before the end", "go missing", "disappear again", "leave the picture", "become invisible", "fade out", "disappear after a while", "leave the screen"), ("go away", "vanish at some point", "vanish after a while", "leave before the end", "fade away before the end", "go missing at some point", "vanish again", "get out of the picture")),
    "disappears later": (("disappears", "disappears during the clip", "vanishes", "disappears at some point", "leaves", "fades away", "gets lost", "leaves again", "leaves at some point", "disappears before the end", "vanishes before the end", "goes missing", "disappears again", "leaves the picture", "becomes invisible", "fades out", "disappears after a while", "leaves the screen"), ("goes away", "vanishes at some point", "vanishes after a while", "leaves before the end", "fades away before the end", "goes missing at some point", "vanishes again", "gets out of the picture")),
    "text": (("text", "word", "text", "writing", "caption", "title", "label", "inscription", "text", "word", "printed word", "written word", "line of text", "subtitle", "headline", "heading", "note", "phrase", "string", "term"), ("lettering", "message", "short text", "printed text", "piece of text", "line", "short word", "line of writing")),
    "somewhere": ((" in the {video}", " in this {video}", " on the screen", " here", " in the picture", " on screen", " in the frame", " inside the {video}", " on this screen", " in the image", " on the display"),
                  (" in the footage", " in the recording", " within the {video}", " inside this {video}", " in these frames")),
}  # fmt: skip


def _claims(statement: str) -> Texts:
    """Questions of training whether a statement is true."""
    frames = (
        "Is it right that {0}?", "Is it correct that {0}?", "{0}, right?", "{0}, correct?", "{0}, yes or no?", "{0}: yes or no?", "Would you agree that {0}?", "Am I right that {0}?",
        "Can we say that {0}?", "Does it look like {0}?", "Is it the case that {0}?", "Could it be that {0}?", "Is it a fact that {0}?", "I think {0}. Is that right?", "I think {0}. Is that true?", "Yes or no: {0}?", "{0}?",
        "Does it seem that {0}?", "{0}, isn't it so?",
    )  # fmt: skip
    return tuple(frame.replace("{0}", statement) for frame in frames)


def _new_claims(statement: str) -> Texts:
    """Questions of evaluation only whether a statement is true."""
    frames = (
        "Do you agree that {0}?", "Would it be right to say that {0}?", "Can it be said that {0}?", "{0}, is that correct?", "I say {0}. Yes or no?", "Is it really so that {0}?",
        "Can you see that {0}?", "Correct or not: {0}?", "Do you think that {0}?",
    )  # fmt: skip
    return tuple(frame.replace("{0}", statement) for frame in frames)


INTENTS: dict[str, Intent] = {
    "colour": Intent(
        ("What {colour} is {ref}?", "Which {colour} is {ref}?", "What {colour} does {ref} have?", "{ref} is what {colour}?", "What is {ref}'s {colour}?", "Say which {colour} {ref} is.", "{ref} has which {colour}?", "What {colour} can you see on {ref}?",
         "Which {colour} does {ref} have?", "Identify the {colour} of {ref}.", "What {colour} is {ref}{here}?",
         "What's {ref}'s {colour}?", "{colour} of {ref}?", "{ref} {colour}?", "What {colour} has {ref}?", "Of what {colour} is {ref}?", "How is {ref} coloured?", "What {colour} was {ref}?", "{ref}, which {colour}?", "Give {ref}'s {colour}.",
         "What kind of {colour} is {ref}?", "What {colour} do you see on {ref}?", "Which of the {colour}s is {ref}?", "Which {colour} is it that {ref} has?", "In which {colour} do you see {ref}?", "In which {colour} is {ref} painted?", "Look at {ref}. What {colour} is it?",
         "What {colour} is used for {ref}?", "{ref} comes in what {colour}?", "What's the {colour} on {ref}?", "What sort of {colour} is {ref}?"),
        ("In what {colour} is {ref}?", "{ref}: what {colour}?", "What {colour} would you say {ref} is?", "Find the {colour} of {ref}.",
         "In which {colour} is {ref}?", "What {colour} do we see on {ref}?", "{ref}: which {colour} is it?", "Which {colour} was {ref}?", "Check the {colour} of {ref}.", "What kind of {colour} does {ref} have?", "{ref}'s {colour} is what?", "What {colour} did you see on {ref}?"),
        ("what {colour} {ref} is", "which {colour} {ref} has", "how {ref} is coloured", "what the {colour} of {ref} is", "in which {colour} {ref} is painted"), ("what {colour} {ref} has", "what kind of {colour} {ref} has", "of what {colour} {ref} is"),
        ("the {colour} of {ref}", "the {colour} used for {ref}"), ("the {colour} that {ref} has", "the {colour} you see on {ref}"),
    ),
    "shape": Intent(
        ("What shape is {ref}?", "Which shape is {ref}?", "What shape does {ref} have?", "What kind of shape is {ref}?", "What is {ref}'s shape?", "Say which shape {ref} is.", "{ref} has which shape?", "{ref} is what shape?", "What form does {ref} have?",
         "Which shape does {ref} have?", "Identify the shape of {ref}.", "What shape is {ref}{here}?",
         "What's {ref}'s shape?", "Shape of {ref}?", "{ref} shape?", "What shape has {ref}?", "Of what shape is {ref}?", "How is {ref} shaped?", "What shape was {ref}?", "{ref}, which shape?", "Give {ref}'s shape.", "Which kind of shape is {ref}?",
         "Is {ref} a circle, a square, a triangle or a star?", "Which of the shapes is {ref}?", "Which shape is it that {ref} has?", "Look at {ref}. What shape is it?", "Which form has {ref}?", "What geometric shape is {ref}?", "{ref} comes in what shape?"),
        ("What sort of shape is {ref}?", "{ref}: what shape?", "What shape would you say {ref} is?", "Find the shape of {ref}.",
         "{ref}: which shape is it?", "Which shape was {ref}?", "Check the shape of {ref}.", "What kind of shape does {ref} have?", "Which geometric shape is {ref}?", "{ref}'s shape is what?", "What form has {ref}?"),
        ("what shape {ref} is", "which shape {ref} has", "how {ref} is shaped", "what the shape of {ref} is", "what form {ref} has"), ("what kind of shape {ref} is", "which form {ref} has", "of what shape {ref} is"),
        ("the shape of {ref}", "the kind of shape that {ref} is"), ("the shape that {ref} has", "the form of {ref}"),
    ),
    "count": Intent(
        ("How many {noun}{see}?", "How many {noun}{see}{here}?", "Count how many {noun} there are{here}.", "Count the {noun}{here}.",
         "How many {noun} are{somewhere}?", "Count the {noun}.", "Say how many {noun} there are.", "Count how many {noun} you can see.",
         "How many {noun} in all?", "How many {noun} does the {video} show?", "How many {noun} are there altogether?", "Work out how many {noun} there are.", "Give the count of {noun}{here}.", "What is the count of {noun}?",
         "Number of {noun}?", "Number of {noun}{here}?", "How many {noun} are there?", "How many {noun} do we have{here}?", "How much {noun} are there?", "What is the total of {noun}{here}?", "Please count the {noun}{here}.", "Can you count the {noun}{here}?",
         "{noun}: how many?", "How many {noun} has the {video}?", "How many {noun} does the {video} have?", "How many {noun} does the {video} contain?", "How many {noun} altogether?", "How many {noun} in total?", "How many {noun}{here}, all in all?", "What is the amount of {noun}{here}?",
         "{noun} count?", "Total {noun}?", "Count of {noun}?", "How many are the {noun}{here}?", "I want to count the {noun}. How many are there?", "Are there any {noun}, and how many?", "How many {noun} would you say there are?",
         "Count {noun}.", "Count {noun}{here}.", "How many {noun} are in this {video}?", "How many {noun} are in the {video}?", "{noun}, how many of them?", "Say the number of the {noun}.", "How many {noun} are in there?"),
        ("How many {noun}?", "What number of {noun}{see}?", "Could you count the {noun}?", "Count all {noun}{here}.", "Count up the {noun}.",
         "How many {noun} are on it?", "Total number of {noun}?", "What amount of {noun}{see}?", "How many {noun} are there to see?", "Could you count how many {noun} you see?", "{noun} in the {video}: how many?", "Amount of {noun}?", "How many {noun}, in total?", "Would you count the {noun}?",
         "How many {noun} does this {video} have?", "Tell the number of {noun}.", "Count every one of the {noun}.", "What is the total count of {noun}?", "How many {noun} come up in all?"),
        ("how many {noun} there are{here}", "how many {noun} you see{here}", "how many {noun} the {video} has", "how many {noun} we have{here}", "how many {noun} can be found{here}", "how many {noun} I can see{here}", "how many {noun} exist", "what the number of {noun} is"),
        ("how many {noun} are visible{here}", "how many {noun} are shown", "how many {noun} the {video} shows", "how many {noun} there are in all"),
        ("the number of {noun}{here}", "the count of {noun}", "the amount of {noun}{here}", "the total of {noun}", "the number of all {noun}{here}"), ("the total number of {noun}{here}", "the total count of {noun}", "the number of {noun} that you see"),
    ),
    "count movers": Intent(
        ("How many {objects} {stir}?", "How many {objects} are {in motion}?", "Count the moving {objects}.",
         "Count how many {objects} {stir}.", "Say how many {objects} {stir}.", "How many moving {objects}{see}?",
         "How many {objects} do not stay still?", "How many {objects} that {stir}{see}?", "Count the {objects} that {stir}.", "How many {objects} are {in motion}{here}?", "What is the number of {objects} in motion?",
         "Number of moving {objects}?", "How many moving {objects}?", "How many moving {objects} are there{here}?", "How many of them {stir}?", "How many of these {objects} {stir}?", "How many of these are {in motion}?", "How many {objects} {stir}{here}?",
         "How many {objects} don't stay still?", "How many {objects} don't stand still?", "How many {objects} are not at rest?", "How many {objects} moved?", "Moving {objects}: how many?", "Can you count the moving {objects}?", "Count everything that {stirs}.",
         "What is the count of {objects} that {stir}?", "How many {objects} can you see moving?", "How many {objects} do you see move?", "How many {objects} leave their place?", "How many things are {in motion}{here}?", "Count {objects} in motion.", "How many movers are there?"),
        ("How many of the {objects} {stir}?", "How many {objects} change their place?", "Count all moving {objects}.",
         "How many of the {objects} are {in motion}?", "How many {objects} do not stand still?", "How many of them are {in motion}?", "Could you count the moving {objects}?", "How many {objects} do we see moving?", "Count up the {objects} that {stir}.", "Moving {objects} in total?",
         "How many {objects} did move?", "How many {objects} do not keep their place?", "{objects} that {stir}: how many?"),
        ("how many {objects} {stir}", "how many {objects} are {in motion}", "how many {objects} don't stay still", "how many of them {stir}", "how many moving {objects} there are{here}", "how many things {stir}"), ("how many of the {objects} {stir}", "how many of these are {in motion}", "how many moving {objects} you see"),
        ("the number of moving {objects}", "the number of {objects} in motion", "the total of moving {objects}", "the amount of moving {objects}"), ("the count of moving {objects}", "the number of {objects} that {stir}", "the total number of moving {objects}"),
    ),
    "direction": Intent(
        ("Which way does {ref} {move}?", "In which direction does {ref} {move}?", "Where does {ref} {move}?", "Which direction is {ref} {moving}?",
         "Which way is {ref} {moving}?", "What direction does {ref} {move}?", "Where is {ref} {moving}?", "How does {ref} move?", "{ref} is {moving} where?", "Say which way {ref} {moves}.", "To which side does {ref} {move}?", "What is {ref}'s direction?", "In what direction is {ref} {moving}?",
         "{ref} direction?", "Direction of {ref}?", "{ref}: which way?", "{ref} {moves} in which direction?", "{ref} {moves} where?", "Where's {ref} {moving}?", "Where is {ref} {moving} to?", "Where does {ref} {move} to?", "Which way did {ref} {move}?",
         "In which direction did {ref} {move}?", "Into which direction does {ref} {move}?", "What is the direction of {ref}'s movement?", "How's {ref} {moving}?", "How is {ref} {moving}?", "What way is {ref} {moving}?", "Left, right, up or down: which way does {ref} {move}?",
         "Towards which side does {ref} {move}?", "Which direction does {ref} take?", "Which way do you see {ref} {move}?", "In which direction can you see {ref} {move}?", "Which way does {ref} {move}{here}?", "What direction is {ref} {moving}?", "Movement of {ref}?", "What's {ref}'s direction?",
         "Which direction does {ref} {move}?", "How does {ref} {move}?", "Which direction has {ref}?", "To where does {ref} {move}?"),
        ("Which way is {ref} heading?", "What direction is {ref} {moving} in?", "{ref} {moves} which way?", "What way does {ref} {move}?",
         "Which direction did {ref} {move}?", "In which direction is {ref} {moving}?", "{ref}: in which direction?", "To which side is {ref} {moving}?", "Which way was {ref} {moving}?", "What direction does {ref} take?", "Where to does {ref} {move}?", "Which way can you see {ref} {move}?", "{ref} {moving} which way?",
         "Give {ref}'s direction.", "In what direction did {ref} {move}?", "How did {ref} move?"),
        ("which way {ref} {moves}", "in which direction {ref} {moves}", "where {ref} {moves}", "which direction {ref} {moves}", "which way {ref} is {moving}", "where {ref} is {moving}", "how {ref} {moves}", "which direction {ref} takes"), ("what direction {ref} {moves}", "in what direction {ref} {moves}", "which direction {ref} is {moving}", "what way {ref} {moves}"),
        ("the direction of {ref}", "the direction in which {ref} {moves}", "the movement of {ref}", "the way {ref} {moves}"), ("the direction that {ref} {moves} in", "the direction {ref} {moves} in", "the direction of the movement of {ref}"),
    ),
    "movers": Intent(
        ("What is moving, and which way?", "What moves, and where?", "What is moving{here}?", "What {stirs}?", "Which {object} {stirs}?", "Which {objects} {stir}?", "What is {in motion}{here}?",
         "Name what {stirs}.", "Name everything that {stirs}.", "Which things are {in motion}?", "Do any {objects} {stir}?", "Identify the moving {objects}.", "What does not stay still?", "List what {stirs}.",
         "Does anything {stir}?", "Is anything {in motion}{here}?",
         "Anything moving?", "Anything moving{here}?", "Anything that {stirs}?", "Is there something that {stirs}?", "Does something {stir}?", "Does any {object} {stir}?", "Is any {object} {in motion}?", "Are any {objects} {in motion}?", "What's moving?", "What's moving{here}?", "What's moving, and where to?",
         "What's {in motion}{here}?", "What all {stirs}?", "What moves around{here}?", "Which ones {stir}?", "Which one {stirs}?", "Name the moving {objects}.", "Say what {stirs}.", "Which {objects} are {in motion}{here}?", "Which things don't stay still?", "Any moving {objects}?", "Any moving {objects}{here}?",
         "Any movement{here}?", "Is there any movement{here}?", "What movement is there{here}?", "What movement do you see{here}?", "Which {objects} {stir}, and in which direction?", "What {stirs}, and which way does it go?", "What {stirs}{here}?", "Which of these {objects} {stir}?", "Which of these {stirs}?",
         "Do you see anything moving{here}?", "Can you see anything {stir}?", "Do some {objects} {stir}?", "What did move?", "Are there {objects} that {stir}?", "Is there any {object} that {stirs}?", "List everything that {stirs}.", "List all moving {objects}.", "Everything that {stirs}?", "What do you see moving{here}?"),
        ("Which of the {objects} {stir}?", "Is there anything that {stirs}?", "What is in motion, and in which direction?", "Is something moving{here}?",
         "Something {in motion}?", "Which of the {objects} are {in motion}?", "Do you see something moving{here}?", "Moving {objects}?", "Is some {object} {in motion}?", "Can you see something {stir}?", "What moved{here}?", "Which of them {stir}?", "What doesn't stay still?", "Are there any moving {objects}{here}?", "Name whatever {stirs}.",
         "Which {objects} do not stay still?", "What moves, and in what direction?", "What can you see moving{here}?", "Does some {object} {stir}?", "Tell which {objects} {stir}.", "List which {objects} {stir}."),
        ("what {stirs}", "what is moving{here}", "which {object} {stirs}", "which {objects} {stir}", "what all {stirs}", "which things are {in motion}", "whether anything {stirs}", "if something {stirs}{here}", "what does not stay still", "which ones {stir}"), ("what is moving, and which way", "which of the {objects} {stir}", "whether something {stirs}", "if anything is {in motion}{here}"),
        ("the moving {object}", "the moving {objects}", "what {stirs}", "all that {stirs}", "everything that {stirs}", "all moving {objects}{here}", "the {objects} that {stir}", "any {object} that {stirs}", "all the movement{here}"), ("the {object} that {stirs}", "everything in motion", "all {objects} that {stir}", "any moving {object}"),
    ),
    "where": Intent(
        ("Where is {ref}?", "Where can I find {ref}?", "On which side is {ref}?", "In which part of the frame is {ref}?",
         "Where in the {video} is {ref}?", "Is {ref} on the left, in the middle or on the right?", "Locate {ref}.", "Where do we see {ref}?", "{ref}: where is it?", "Where does {ref} lie?", "On what side do I find {ref}?", "Which side is {ref} on?",
         "Where's {ref}?", "Where's {ref}{here}?", "Position of {ref}?", "Place of {ref}?", "{ref} position?", "{ref}, on which side?", "{ref} is where?", "{ref} where?", "Where is {ref} located?", "Where is {ref} placed{here}?", "Where does {ref} stand?", "Where does {ref} sit?", "Where was {ref}?", "In which place is {ref}?",
         "On which side of the {video} is {ref}?", "On what side is {ref}?", "In what part of the {video} is {ref}?", "What is {ref}'s position?", "What's {ref}'s place?", "Left, middle or right: where is {ref}?", "Where can {ref} be found?", "Where can we see {ref}?", "Where on the screen is {ref}?", "Where should I look for {ref}?",
         "Which side of the screen is {ref} on?", "Which part of the {video} shows {ref}?", "Which position has {ref}?", "Look for {ref}. Where is it?", "On which side can I see {ref}?", "What position is {ref} in?", "Say where {ref} is.", "What location is {ref} at?"),
        ("Whereabouts is {ref}?", "At what place is {ref}?", "Which part of the frame is {ref} in?", "Find {ref}.", "Where do you see {ref}?",
         "Where can you see {ref}?", "On what side do you see {ref}?", "In what place is {ref}?", "{ref}: on which side?", "{ref}'s position?", "Where did you see {ref}?", "Where in the frame is {ref}?", "Where is {ref} on the screen?", "Is {ref} left, right or in the middle?", "Where is {ref} to be found?", "At which side is {ref}?",
         "Which side does {ref} lie on?", "Location of {ref}?", "What side is {ref} on?"),
        ("where {ref} is{here}", "on which side {ref} is", "where {ref} is located", "where to look for {ref}", "where I can find {ref}", "in what part of the {video} {ref} is", "where {ref} lies", "what position {ref} has"), ("in which part of the frame {ref} is", "where {ref} can be found", "where we see {ref}", "which side {ref} is on"),
        ("the position of {ref}", "the place of {ref}", "the position of {ref}{here}", "the place where {ref} is", "the side on which {ref} is"), ("the location of {ref}", "the place where you see {ref}", "the part of the frame where {ref} is"),
    ),
    "side": Intent(
        ("What is {where}?", "Which {object} is {where}?", "What can you see {where}?", "What {object} is {where} of the frame?",
         "Name the {object} {where}.", "What is {where} of the {video}?", "What is {where} of the picture?",
         "What's {where}?", "What's {where} of the {video}?", "What's there {where}?", "What is there {where}?", "{where}: what is there?", "{where}: which {object}?", "What do we see {where}?", "What can I see {where}?", "What is to be seen {where}?", "What is it that is {where}?", "Which of the {objects} is {where}?", "Which of these is {where}?",
         "Name what is {where}.", "Say what is {where}.", "What can be found {where}?", "Which one is {where}?", "What lies {where}?", "What sits {where}?", "What stands {where}?", "What {object} do we have {where}?", "What is located {where}?", "What kind of {object} is {where}?", "Look {where}. What is there?", "Which {object} can you see {where}?",
         "Which {object} do I find {where}?", "What did you see {where}?", "Which {object} is {where} of the screen?", "What {object} is it {where}?", "What is shown {where}?", "What {object} is {where}?", "List what is {where}.", "What have we got {where}?"),
        ("What do you see {where}?", "Which {object} do you see {where}?", "Identify the {object} {where}.",
         "What {object} can you see {where}?", "Which {object} lies {where}?", "What do you find {where}?", "Tell what is {where}.", "What is placed {where}?", "Which {object} is located {where}?", "{where}, what can you see?", "What {object} do you see {where}?", "Which {object} do we see {where}?", "What is visible {where}?", "Which of them is {where}?", "What was {where}?", "What is {where} of this {video}?",
         "Check for the {object} {where}."),
        ("what is {where}", "which {object} is {where}", "what's {where}", "what there is {where}", "what {object} you can see {where}", "which of the {objects} is {where}", "what lies {where} of the {video}"), ("what you see {where}", "what can be found {where}", "which one is {where}", "what we see {where}"),
        ("the {object} {where}", "what is {where}", "the {object} {where} of the frame", "the one {where}"), ("the {object} that is {where}", "the {object} you see {where}", "the thing that lies {where}"),
    ),
    "event": Intent(
        ("What happens {word}?", "Which event happens {word}?", "What is the {word} thing that happens?", "What is the {word} event?",
         "Which change comes {word}?", "What changes {word}?", "Name the {word} event.",
         "What happens {word} in the {video}?", "What happens {word} in this {video}?", "What is the {word} thing to happen?", "What's happening {word}?", "Name the {word} thing that happens.", "What happened {word}?", "Which thing happens {word}?", "What event is the {word} one?", "Which one is the {word} event?", "{word} event?", "Of all events, which is the {word}?",
         "Which event is {word}?", "What kind of event happens {word}?", "What do you see happening {word}?", "Which event comes {word}?", "What is {word} to happen?", "Say what happens {word}.", "What is the very {word} event?", "What goes on {word}?", "In the {video}, what happens {word}?", "Of the events, which one comes {word}?", "{word}, what happens?", "What's the {word} thing that we see happen?"),
        ("What takes place {word}?", "What occurs {word}?", "What is the {word} change?", "What happens {word} of all?",
         "What is the {word} of the events?", "What did happen {word}?", "Which event happened {word}?", "Of all that happens, what is {word}?", "What can you see happening {word}?", "What is going on {word}?", "Which is the {word} thing to happen?", "What happens as the {word} thing?", "List the {word} event only.", "Which happens {word}?"),
        ("what happens {word}", "which event happens {word}", "what happened {word}", "which event comes {word}", "what changes {word} in the {video}"), ("what the {word} event is", "which event is the {word}", "which thing happens {word}"),
        ("the {word} event", "the {word} thing that happens", "the {word} event{here}", "the very {word} event"), ("the {word} change", "the {word} of all events", "the event that comes {word}"),
    ),
    "comer": Intent(
        ("Which {object} comes {word}?", "Which {object} do we see {word}?", "Which {object} is seen {word}?", "Name the {object} that comes {word}.",
         "Which of the {objects} comes {word}?", "Which one comes {word}?", "Which {object} is the {word} to come?", "What {object} comes {word}?", "Which {object} came {word}?", "{word} {object} to come?", "Which {object} is {word} to come?", "Which {object} comes {word} in the {video}?", "Of these {objects}, which comes {word}?", "Say which {object} comes {word}.", "Which {object} is the {word} one?"),
        ("Which {object} do you see {word}?", "Which {object} is the {word} to be seen?", "What {object} is seen {word}?", "Which of these comes {word}?", "Which {object} did come {word}?", "Of all {objects}, which comes {word}?", "Tell which {object} comes {word}."),
        ("which {object} comes {word}", "which {object} is seen {word}", "which one comes {word}", "which of the {objects} comes {word}"), ("which {object} we see {word}", "which {object} is the {word} to come"),
        ("the {object} that comes {word}", "the {word} {object} that comes"), ("the {object} that is seen {word}", "the one that comes {word}"),
    ),
    "newcomer": Intent(
        ("Which {object} {appears} {word}?", "What {appears} {word}?", "Which one {appears} {word}?", "Name the {object} that appears {word}.",
         "Which of the {objects} {appears} {word}?", "What {object} {appears} {word}?", "Which is the {word} {object} that {appears}?", "What {appears} {word} in the {video}?", "{word} {object} that {appears}?", "Say what {appears} {word}.", "What is the {word} thing that {appears}?", "Which {object} is {word} to {appear}?", "Of these {objects}, which {appears} {word}?", "Name what {appears} {word}.",
         "Which {object} {appears} {word} in this {video}?"),
        ("Which {object} is the {word} to {appear}?", "Identify what {appears} {word}.", "Which of these {appears} {word}?", "What {object} is {word} to {appear}?", "Of all {objects}, which {appears} {word}?", "Tell what {appears} {word}.", "Which {object} did {appear} {word}?"),
        ("what {appears} {word}", "which {object} {appears} {word}", "which of the {objects} {appears} {word}", "what {object} {appears} {word}"), ("which one {appears} {word}", "which {object} is {word} to {appear}"),
        ("the {object} that {appears} {word}", "the {word} {object} that {appears}"), ("the {word} {object} to {appear}", "the one that {appears} {word}"),
    ),
    "happening": Intent(
        ("What happens at second {at}?", "Which event happens at second {at}?", "What changes at second {at}?", "What is the event at second {at}?",
         "What's happening at second {at}?", "What goes on at second {at}?", "What happened at second {at}?", "What happens {at} seconds into the {video}?", "At {at} seconds, what happens?", "Second {at}: what happens?", "What happens in second {at}?", "What happens at {at} seconds?", "What happens at {at} s?", "Does anything happen at second {at}?", "Is there an event at second {at}?", "Event at second {at}?",
         "What do you see happen at second {at}?", "What event do we have at second {at}?", "Which thing happens at second {at}?", "What happens at second number {at}?", "Which event is at second {at}?", "What changes at {at} seconds?", "Say what happens at second {at}.", "What happens around second {at}?", "What happens when {at} seconds have passed?"),
        ("What takes place at second {at}?", "What occurs at second {at}?", "At second {at}, what happens?", "What is happening at second {at}?", "What happens at the time of {at} seconds?", "Does something happen at second {at}?", "Which change happens at second {at}?", "Which event happens at {at} seconds?", "What goes on at {at} seconds?", "What did happen at second {at}?", "At second {at} there is what event?"),
        ("what happens at second {at}", "which event happens at second {at}", "what happens at {at} seconds", "what happened at second {at}", "if anything happens at second {at}"), ("what changes at second {at}", "which event is at second {at}", "what happens in second {at}"),
        ("the event at second {at}", "what happens at second {at}", "the event at {at} seconds", "the thing that happens at second {at}"), ("the change at second {at}", "the event of second {at}", "whatever happens at {at} seconds"),
    ),
    "comings": Intent(
        ("What {what} during the {video}?", "Which {object} {what}?", "Does anything {stem}?", "Does something {stem}?", "What {what}?",
         "Which {object} {what} in the {video}?", "Does any {object} {stem} during the {video}?", "Which {object} {what} during the {video}?",
         "Name anything that {what}.", "Is there an {object} that {what}?", "What is it that {what}?", "Do any {objects} {stem}?", "Can you see something {stem}?",
         "Anything that {what}?", "Anything that {what}{here}?", "Does some {object} {stem}?", "Does any of the {objects} {stem}?", "Does one of the {objects} {stem}?", "Is there something that {what}?", "Is there some {object} that {what}?", "What all {what}?", "Which one {what}?", "Which {objects} {stem}?", "Which things {stem}?", "Which things {stem} after the start?", "What did {stem}?", "Name the {object} that {what}.",
         "Name what {what}.", "List what {what}.", "List everything that {what}.", "Say which {object} {what}.", "Which {object} is it that {what}?", "Something that {what}?", "What {what}{here}?", "What {what} at some point?", "Do you see anything {stem}?", "Can you see any {object} {stem}?", "Which {object} {what} later?", "Which {object} {what} after a while?", "Which {object} {what} over time?", "Did anything {stem}?", "Did something {stem}{here}?",
         "Any {object} that {what}?", "Which of these {what}?", "Which of these {objects} {stem}?", "What kind of {object} {what}?", "What {object} {what}?", "What {object} {what}{here}?", "Say what {what}.", "Will anything {stem}?", "What {what} in this {video}?", "Does anything {stem} during the {video}?", "Which {object} did {stem}?"),
        ("Is there anything that {what}?", "Can anything be seen that {what}?", "Which of the {objects} {what}?", "Identify what {what}.",
         "Is there any {object} that {what}?", "Does anything {stem} at some point?", "Do you see something {stem}?", "Can you see anything {stem}?", "What {object} {what} during the {video}?", "Tell what {what}.", "Which one of the {objects} {what}?", "Did any {object} {stem}?", "Which ones {stem}?", "What {what} after a while?", "Some {object} that {what}?", "Does any {object} {stem}?", "Is there one {object} that {what}?", "Will something {stem}?", "Name each {object} that {what}.",
         "What {what} in the course of the {video}?", "Find what {what}.", "Have you seen anything {stem}?"),
        ("what {what}", "which {object} {what}", "whether anything {what}", "if anything {what}", "which of the {objects} {what}", "if something {what}{here}", "which {objects} {stem}", "what {what} during the {video}", "what all {what}", "which one {what}"), ("whether any {object} {what}", "whether something {what}", "what {object} {what}", "if any {object} {what}"),
        ("the {object} that {what}", "what {what}", "everything that {what}", "the {objects} that {stem}", "anything that {what}", "the one that {what}"), ("the {object} which {what}", "all that {what}", "one {object} that {what}"),
    ),
    "whether it comes": Intent(
        ("Does {ref} {later}?", "Does {ref} {later} in this {video}?", "Will {ref} {later}?", "Do we see that {ref} {laters}?", "Can you see whether {ref} {laters}?", "Is it so that {ref} {laters}?",
         "Did {ref} {later}?", "Is {ref} something that {laters}?", "Is {ref} some {object} that {laters}?", "Do you see {ref} {later}?", "Can you see {ref} {later}?", "Can we see {ref} {later}?", "Yes or no: does {ref} {later}?", "Does {ref} {later} or not?", "Does it happen that we see {ref} {later}?", "Is {ref} one of the {objects} that {later}?", *_claims("{ref} {laters}")),
        ("Is it true that {ref} {laters}?", "Would you say that {ref} {laters}?", "Does it happen that {ref} {laters}?", "Do we see {ref} {later}?", "Is {ref} the one that {laters}?", "Does {ref} {later}, yes or no?", "Did you see {ref} {later}?", *_new_claims("{ref} {laters}")),
        ("whether {ref} {laters}", "if {ref} {laters}", "whether or not {ref} {laters}", "if we see {ref} {later}", "if {ref} is something that {laters}"), ("if it is true that {ref} {laters}", "if {ref} {laters} or not", "whether you see {ref} {later}"),
    ),
    "second": Intent(
        ("At what second does {ref} {stem}?", "When does {ref} {stem}?", "At which second does {ref} {stem}?", "At what time does {ref} {stem}?",
         "After how many seconds does {ref} {stem}?", "In which second does {ref} {stem}?", "How many seconds in does {ref} {stem}?", "When exactly does {ref} {stem}?", "When is the moment that {ref} {what}?", "When do we see that {ref} {what}?",
         "{ref} {what} when?", "Name the second in which {ref} {what}.", "What is the time at which {ref} {what}?", "At what point does {ref} {stem}?", "How late does {ref} {stem}?",
         "What time does {ref} {stem}?", "When did {ref} {stem}?", "When does {ref} {stem} in the {video}?", "When in the {video} does {ref} {stem}?", "After what time does {ref} {stem}?", "Which second does {ref} {stem}?", "How soon does {ref} {stem}?", "When {ref} {what}?", "{ref} {what} after how many seconds?", "How many seconds until {ref} {what}?", "How many seconds pass before {ref} {what}?", "How long before {ref} {what}?",
         "How long until {ref} {what}?", "How much time passes until {ref} {what}?", "Time when {ref} {what}?", "In what second does {ref} {stem}?", "Which second is it when {ref} {what}?", "At which time does {ref} {stem}?", "How far into the {video} does {ref} {stem}?", "On which second does {ref} {stem}?", "{ref} {what} at which second?", "When will {ref} {stem}?", "What is the moment when {ref} {what}?", "At which moment does {ref} {stem}?", "When's {ref} seen to {stem}?"),
        ("What second does {ref} {stem} at?", "How long does it take until {ref} {what}?", "When is it that {ref} {what}?", "{ref} {what} at what second?", "During which second does {ref} {stem}?",
         "At what moment does {ref} {stem}?", "Second when {ref} {what}?", "When does {ref} {stem} exactly?", "After which second does {ref} {stem}?", "How many seconds before {ref} {what}?", "How many seconds does it take until {ref} {what}?", "{ref} {what} at what time?", "At which point does {ref} {stem}?", "Which moment does {ref} {stem}?", "When do you see that {ref} {what}?", "How many seconds have passed when {ref} {what}?"),
        ("when {ref} {what}", "at what second {ref} {what}", "at what time {ref} {what}", "after how many seconds {ref} {what}", "in which second {ref} {what}", "when exactly {ref} {what}", "how long it takes until {ref} {what}"), ("at which second {ref} {what}", "at which time {ref} {what}", "how many seconds pass until {ref} {what}", "in what second {ref} {what}"),
        ("the second at which {ref} {what}", "the time when {ref} {what}", "the moment when {ref} {what}", "the second that {ref} {what}"), ("the second when {ref} {what}", "the time that {ref} {what}", "the moment at which {ref} {what}"),
    ),
    "text": Intent(
        ("What does the {text} say?", "What {text} is on the screen?", "Which {text} is shown?", "Read the {text}.", "What is written{somewhere}?",
         "What {text} can you see?", "What is the {text} on screen?", "What {text} is written?", "Can you read the {text}?", "What {text} is displayed?",
         "What does the {text} on the screen say?", "Which {text} appears on screen?",
         "What's written?", "What's written{somewhere}?", "What is written there?", "What does the screen say?", "What does the {video} say?", "What {text} do we see?", "What {text} does the {video} show?", "What {text} does the {video} have?", "What does the {text} read?", "What {text} is there?", "What {text} is there{somewhere}?", "What {text} is written on the screen?", "Which {text} is written{somewhere}?",
         "What {text} is it?", "What {text} can be read?", "What {text} can I read?", "What can you read{somewhere}?", "What can I read{somewhere}?", "What do you read{somewhere}?", "Read what is written.", "Read what is written{somewhere}.", "Read me the {text}.", "Please read the {text}.", "Please read what the {text} says.", "{text} on screen?", "{text} on the screen?", "What is the {text} that you see?",
         "Is there a {text}, and what does it say?", "Copy the {text}.", "Quote the {text}.", "Repeat the {text}.", "Give the {text}.", "Type the {text}.", "Which {text} can you read?", "Which {text} can you see{somewhere}?", "Any {text}? What does it say?", "What does it say?", "Say what is written.", "What {text} did you see?", "{text}?", "What did the {text} say?", "Which {text} is on screen?", "Can you read me the {text}?", "Could you read the {text}?",
         "What {text} has the {video}?", "What are we told by the {text}?"),
        ("What does it say on the screen?", "Which {text} do you see?", "Read out the {text}.", "Read the {text} to me.",
         "What {text} do you see{somewhere}?", "Which {text} is on the screen?", "What can be read{somewhere}?", "What {text} can you read?", "Read the {text} on the screen.", "What is it that the {text} says?", "What {text} is shown{somewhere}?", "What {text} stands{somewhere}?", "Can you say what stands{somewhere}?", "Tell the {text}.", "Which {text} does the {video} show?", "Which {text} is displayed?", "What did you read{somewhere}?", "Give me whatever is written{somewhere}.", "Please type the {text}.",
         "What do we read{somewhere}?", "Would you read the {text}?", "{text}: what does it say?", "What reads the {text}?"),
        ("what the {text} says", "what {text} is on the screen", "what is written in the {video}", "what {text} you see", "which {text} is shown", "what it says{somewhere}", "what I can read{somewhere}", "which {text} is written{somewhere}", "what the {text} on the screen says", "what {text} there is"), ("what {text} is shown", "what is written on the screen", "what {text} you can read", "which {text} you see{somewhere}", "what the {text} reads"),
        ("the {text} on the screen", "the {text}{somewhere}", "the written {text}", "what is written in the {video}", "the {text} you can read", "the {text} that you see"), ("the {text} that is shown", "the {text} that is written{somewhere}", "what we can read{somewhere}", "the {text} you see"),
    ),
    "describe": Intent(
        ("Describe the {video}.", "What happens in the {video}?", "What do you see?", "Describe what you see.", "What is in this {video}?", "Summarise the {video}.",
         "Summarize the {video}.", "What is going on?", "What can you see in the {video}?", "What is shown?", "Explain what happens in this {video}.", "Describe this scene.",
         "Tell me what you see in this {video}.", "Tell me about the {video}.", "What is happening{here}?", "Give an account of the {video}.", "Describe it.", "What is there to see?",
         "Describe all that you see{here}.", "What are we looking at?", "What do you see{here}?", "What is this {video} about?", "Recap the {video}.", "What goes on{here}?", "Caption this {video}.",
         "Please describe the {video} in detail.", "What does one see{here}?", "What is the content of the {video}?",
         "Describe this {video}.", "Describe this.", "Describe what happens{here}.", "Describe everything that happens{here}.", "Describe everything{here}.", "Describe all things{here}.", "What's happening?", "What's happening{here}?", "What's going on{here}?", "What's in the {video}?", "What's in it?", "What's this {video} about?", "What's shown{here}?", "What's there to see{here}?", "What all do you see{here}?", "What all is in the {video}?",
         "What all happens in the {video}?", "What things do you see{here}?", "What did you see{here}?", "What can I see{here}?", "What can we see in this {video}?", "What is the {video} showing?", "What is shown in the {video}?", "What is to be seen{here}?", "What is visible{here}?", "What is in it?", "What is the {video} about?", "What do we see{here}?", "What do we have{here}?", "What happened in the {video}?", "What is this?", "What is this {video}?", "Tell me all about this {video}.", "Tell me everything about the {video}.",
         "Tell me everything that you see.", "Tell me everything you can see{here}.", "Tell me what happens.", "Tell us about this {video}.", "Say what you see{here}.", "Say what happens{here}.", "List what you see{here}.", "List everything in the {video}.", "Give me all details of the {video}.", "Give details of the {video}.", "Explain the {video}.", "Explain this {video} to me.", "Explain what is in the {video}.", "Take me through the {video}.", "Go through the {video} for me.", "Talk about the {video}.",
         "Could you describe the {video}?", "Can you describe what you see{here}?", "Can you describe the {video}?", "Can you summarise this {video}?", "Would you describe this {video}?", "Please describe this {video}.", "Please describe what is shown{here}.", "Please summarise the {video}.", "Write a text about this {video}.", "Write a caption.", "Make a summary of the {video}.", "I can't see the {video}. What is in it?", "In short, what is in the {video}?", "Report what you see{here}.", "Report all that happens{here}.", "Full description of the {video}?",
         "Description?", "Summary?", "Summary of the {video}?", "Description of this {video}?", "Everything in the {video}?", "What would you see in the {video}?", "What does this {video} have in it?", "What does the {video} contain?", "Show me what is in the {video}.", "What is on the screen?", "What's on screen?", "Name everything in the {video}.", "Watch and describe.", "Overview?", "Contents of the {video}?", "Look at the {video} and describe it."),
        ("What does the {video} show?", "Describe everything you see.", "What can be seen{here}?", "Sum up the {video}.", "Walk me through the {video}.", "Outline the {video}.", "What are the contents of the {video}?",
         "What does this {video} contain?", "Describe the content of the {video}.", "Describe what is going on{here}.", "Describe what the {video} shows.", "Can you sum up this {video}?", "Can you tell me about this {video}?", "What do you find in the {video}?", "Describe what is in the {video}.", "Could you summarise the {video}?", "Please tell me about this {video}.", "Summarise what you see.", "Summarise what happens{here}.", "What would you say about the {video}?", "Tell me all that you see{here}.",
         "Describe in detail what you see.", "Give a good description.", "Please give a summary of the {video}.", "Write what you see{here}.", "List all that is in the {video}.", "What all can you see{here}?", "What does this show?", "Explain what you see{here}.", "Account of the {video}?", "Describe the whole {video}.", "Describe that {video} for me.", "What is it about?", "What is all this?", "Talk me through this {video}.", "Describe the events and the {objects}.", "What is going on in that {video}?", "Report on the {video}.", "What do you see going on{here}?",
         "What things are in the {video}?", "Put the {video} into words.", "Describe shortly what is shown{here}."),
        ("what happens", "what you see", "what happens in the {video}", "what you can see{here}", "what is going on{here}", "what is shown{here}", "what is in the {video}", "what there is to see",
         "what's happening{here}", "what's in the {video}", "what we see{here}", "what all you see{here}", "what all happens{here}", "what this {video} is about", "what the {video} contains", "what is happening", "what you saw{here}", "what is on the screen", "what this {video} is", "everything that happens{here}", "everything that is in the {video}", "all that is shown{here}", "what is visible{here}", "about the {video}"),
        ("what the {video} shows", "what takes place{here}", "everything you see", "all that goes on{here}", "what goes on{here}", "what one can see{here}", "all that you see{here}", "what is to be seen{here}", "what the {video} is about", "everything in the {video}", "what things you see{here}", "what there is in the {video}"),
        ("a description of the {video}", "a summary of the {video}", "a description", "a summary", "a caption for the {video}", "an account of the {video}", "a short description of this {video}", "the content of the {video}",
         "a full description", "a full account of this {video}", "a short summary", "a caption", "an outline of the {video}", "all details of the {video}", "a description of everything{here}", "a description of what you see", "a description of what happens{here}", "a summary of what happens", "a short report of the {video}", "the whole content of this {video}", "a few words about the {video}", "a text about the {video}", "all that happens", "the description of this {video}"),
        ("a description of this scene", "a report on the {video}", "an overview of the {video}", "a caption of this {video}", "a full summary", "a summary of everything{here}", "an account of what you see", "a short account", "the contents of this {video}", "the summary of this {video}", "a description of all that happens", "a report of what you see"),
    ),
    "is there": Intent(
        ("Is there {noun}?", "Can you see {noun}?", "Do you see {noun}?", "Does the {video} show {noun}?", "Is {noun} in the {video}?",
         "Is there {noun}{here}?", "Does {noun} appear in the {video}?", "Is {noun} there?", "Is {noun} present?", "Do we see {noun}{here}?", "Is it so that there is {noun}?", "Can {noun} be found{here}?",
         "Is there {noun} anywhere?", "Can I see {noun}?", "Can we see {noun}{here}?", "Is {noun} to be seen{here}?", "Is {noun} on the screen?", "Any sign of {noun}?", "Does the {video} have {noun}?", "Does the {video} contain {noun}?", "Does {noun} exist{here}?", "Have we got {noun}{here}?", "Do you find {noun}?", "Can you find {noun}{here}?", "Did you see {noun}?", "{noun}{here}, yes or no?",
         "Is {noun} among the {objects}?", "Is one of the {objects} {noun}?", "Is there such a thing as {noun}?", "Was there {noun}?", "Could you see {noun}{here}?", "Do we have {noun}{here}?", "Has the {video} {noun}?", "Is there {noun} or not?", "Is any of the {objects} {noun}?", *_claims("there is {noun}{here}"), *_claims("you see {noun}")),
        ("Is {noun} visible?", "Is {noun} shown?", "Are you able to see {noun}?",
         "Can one see {noun}{here}?", "Is there {noun} to be seen?", "Does this {video} have {noun}?", "Is {noun} included{here}?", "Did you find {noun}?", "Is {noun} part of the {video}?", "Is there {noun}, yes or no?", "Have you seen {noun}?", "Does this {video} contain {noun}?", "Does one see {noun}{here}?", *_new_claims("there is {noun}{here}")),
        ("whether there is {noun}", "if there is {noun}{here}", "if you can see {noun}", "whether {noun} is there", "if the {video} has {noun}", "if the {video} shows {noun}", "whether or not there is {noun}"), ("whether you see {noun}", "if {noun} is shown", "whether the {video} contains {noun}", "if there is {noun} or not"),
    ),
    "is colour": Intent(
        ("Is {ref} {hue}?", "Is the {colour} of {ref} {hue}?", "Is {ref} {hue} in {colour}?", "Is it so that {ref} is {hue}?", "Does {ref} look {hue}?", "Do you see that {ref} is {hue}?", "Is {ref} {hue}{here}?",
         "Is {ref} {hue} or not?", "Does {ref} have the {colour} {hue}?", "Is {hue} the {colour} of {ref}?", "{ref} {hue}?", "Has {ref} the {colour} {hue}?", "Is {ref} coloured {hue}?", "Is {ref} of {hue} {colour}?", "Was {ref} {hue}?", "Is {ref}'s {colour} {hue}?", "Yes or no: is {ref} {hue}?", "Is {ref} painted {hue}?", *_claims("{ref} is {hue}")),
        ("Is it true that {ref} is {hue}?", "Would you call {ref} {hue}?", "Is {ref} {hue}, yes or no?", "Is {ref} seen in {hue}?", "Does {ref} have {hue} {colour}?", "Is {hue} {ref}'s {colour}?", "Do we see that {ref} is {hue}?", *_new_claims("{ref} is {hue}")),
        ("whether {ref} is {hue}", "if {ref} is {hue}", "if {ref} looks {hue}", "whether or not {ref} is {hue}", "if {ref} has the {colour} {hue}"), ("whether the {colour} of {ref} is {hue}", "if {ref} is {hue} or not", "if {ref} is coloured {hue}"),
    ),
    "stays": Intent(
        ("Does {ref} stay still?", "Is {ref} standing still?", "Is {ref} still?", "Does {ref} stay in place?", "Does {ref} rest?", "Is {ref} at rest?", "Does {ref} keep its place?", "Is it so that {ref} stays still?",
         "Is {ref} stationary?", "Is {ref} staying in place?", "Does {ref} stand still?", "Does {ref} hold still?", "Is {ref} fixed in place?", "Is {ref} motionless?", "Does {ref} stay put?", "Does {ref} stay in the same place?", "Is {ref} always in the same place?", "Did {ref} stay still?", "Is {ref} one that stays still?", "Does {ref} keep still?", "Is {ref} without movement?", "Does {ref} stay still{here}?", "Does {ref} remain at rest?", *_claims("{ref} stays still")),
        ("Does {ref} remain still?", "Does {ref} stay where it is?", "Is {ref} not moving?", "Does {ref} remain in place?", "Is {ref} keeping still?", "Does {ref} stay at one place?", "Is {ref} staying still?", "Is {ref} resting?", "Did {ref} stay in place?", *_new_claims("{ref} stays still")),
        ("whether {ref} stays still", "if {ref} stays in place", "if {ref} stands still", "whether {ref} keeps its place", "if {ref} is at rest"), ("whether {ref} is still", "if {ref} remains still", "if {ref} keeps still"),
    ),
    "stirs": Intent(
        ("Does {ref} {stir}?", "Is {ref} {in motion}?", "Does {ref} change its place?", "Can you see {ref} {stir}?", "Does {ref} {stir}{here}?", "Is it so that {ref} {stirs}?", "Do we see {ref} {stir}?",
         "Is {ref} moving or not?", "Any movement of {ref}?", "Is there any movement of {ref}?", "Does {ref} make any movement?", "Has {ref} moved?", "Did {ref} {stir}?", "Can you see {ref} moving?", "Do you see {ref} {stir}?", "Does {ref} go anywhere?", "Is {ref} a moving {object}?", "Is {ref} one of the moving {objects}?", "Is {ref} {in motion}{here}?", "Is {ref} {in motion} or not?", "Yes or no: does {ref} {stir}?", "Is {ref} some {object} that {stirs}?", "{ref} moving?", *_claims("{ref} {stirs}")),
        ("Is it true that {ref} {stirs}?", "Does {ref} {stir} at all?", "Would you say that {ref} {stirs}?", "Does {ref} {stir}, yes or no?", "Is {ref} something that {stirs}?", "Can we see {ref} {stir}?", "Did you see {ref} {stir}?", "Is there movement of {ref}?", "Does {ref} go to another place?", *_new_claims("{ref} {stirs}")),
        ("whether {ref} {stirs}", "if {ref} is {in motion}", "if {ref} {stirs}", "whether {ref} is {in motion}", "if you see {ref} {stir}"), ("whether {ref} changes its place", "if {ref} {stirs} or not", "whether we see {ref} {stir}"),
    ),
    "moves to": Intent(
        ("Does {ref} {move} {way}?", "Is {ref} {moving} {way}?", "Do we see {ref} {move} {way}?", "Is it so that {ref} {moves} {way}?", "Is {ref} {moving} {way}{here}?",
         "Did {ref} {move} {way}?", "Is {way} the direction of {ref}?", "Is the direction of {ref} {way}?", "Do you see {ref} {move} {way}?", "Can you see {ref} {move} {way}?", "Yes or no: does {ref} {move} {way}?", "Does {ref} {move} {way}{here}?", "Does {ref} {move} {way} or not?", "{ref} {moving} {way}?", "Is {ref} on its way {way}?", *_claims("{ref} {moves} {way}")),
        ("Is it true that {ref} {moves} {way}?", "Would you say that {ref} {moves} {way}?", "Is {way} where {ref} {moves}?", "Can we see {ref} {move} {way}?", "Is {way} the way {ref} {moves}?", "Does {ref} {move} {way}, yes or no?", "Was {ref} {moving} {way}?", *_new_claims("{ref} {moves} {way}")),
        ("whether {ref} {moves} {way}", "if {ref} {moves} {way}", "if {ref} is {moving} {way}", "if you see {ref} {move} {way}"), ("whether {ref} is {moving} {way}", "if {ref} {moves} {way} or not"),
    ),
    "beside": Intent(
        ("Is {ref} {side} {other}?", "Is {ref} {side} {other} in the {video}?", "Is it so that {ref} is {side} {other}?", "Do you see {ref} {side} {other}?", "Does {ref} lie {side} {other}?",
         "Do we see {ref} {side} {other}?", "Can you see {ref} {side} {other}?", "Is {ref} located {side} {other}?", "Is {ref} somewhere {side} {other}?", "Does {ref} stand {side} {other}?", "Does {ref} sit {side} {other}?", "{ref} {side} {other}?", "Is {ref} found {side} {other}?", "Is {ref} placed {side} {other}?", "Look at {other}. Is {ref} {side} it?", "Is {ref} {side} {other} or not?", "Was {ref} {side} {other}?", "Yes or no: is {ref} {side} {other}?", *_claims("{ref} is {side} {other}")),
        ("Is it true that {ref} is {side} {other}?", "Would you say that {ref} is {side} {other}?", "Can {ref} be seen {side} {other}?", "Is the place of {ref} {side} {other}?", "Is {ref} {side} {other}, yes or no?", "Can we see {ref} {side} {other}?", "Did you see {ref} {side} {other}?", *_new_claims("{ref} is {side} {other}")),
        ("whether {ref} is {side} {other}", "if {ref} is {side} {other}", "whether {ref} lies {side} {other}", "if you see {ref} {side} {other}"), ("if {ref} is {side} {other} or not", "whether you see {ref} {side} {other}"),
    ),
    "is text": Intent(
        ("Is there any {text}?", "Is there {text} on the screen?", "Is something written{somewhere}?", "Can you see {text}?",
         "Is there any {text} on screen?", "Does the {video} show any {text}?",
         "Is there some {text}?", "Any {text}?", "Any {text}{somewhere}?", "Does the {video} contain {text}?", "Does the {video} have any {text}?", "Is any {text} there?", "Is some {text} visible?", "Can you read any {text}?", "Can I read something{somewhere}?", "Do we see {text}?", "Is anything written{somewhere}?", "Has the {video} any {text}?", "Is {text} present?", "Is there a {text}?", "Is there a {text}{somewhere}?",
         "Is there anything to read?", "Is there something to read{somewhere}?", "Is {text} displayed{somewhere}?", "Do you find any {text}?", "Is there some {text}{somewhere}?", "Do we have any {text}{somewhere}?", "Anything written{somewhere}?", "Can any {text} be read?", "Is there {text} or not?", "Was there any {text}?", "Does it say anything{somewhere}?", *_claims("there is some {text}{somewhere}")),
        ("Do you see any {text}?", "Is any {text} shown?", "Is there any {text} to read?", "Does this {video} have {text}?", "Can you find any {text}{somewhere}?", "Do we see any {text}{somewhere}?", "Does the {video} contain a {text}?", "Is some {text} shown{somewhere}?", "Can we read anything{somewhere}?", "Did you see any {text}?", "Is a {text} present?", *_new_claims("there is some {text}{somewhere}")),
        ("whether there is any {text}", "if there is {text} on the screen", "if there is some {text}{somewhere}", "whether anything is written{somewhere}", "if you can read any {text}", "if the {video} has any {text}"), ("whether you see any {text}", "whether the {video} contains {text}", "if something is written{somewhere}", "if any {text} is shown"),
    ),
}  # fmt: skip
