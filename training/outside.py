"""Questions about anything but simple scenes, which the demo model cannot answer."""

import re
from random import Random

from training.questions.forms import worded
from training.questions.intents import CLAUSE_FRAMES, PHRASE_FRAMES
from training.questions.strange import FAMILIAR, SHARE, WHOLE, strange_frame, strange_word
from training.scenes import COLOURS, DIRECTIONS, SHAPES

ANSWER = "I only know simple scenes: coloured shapes, how they move, and short words on screen."

_TOPICS = {
    "animal": [
        "dog",
        "cat",
        "horse",
        "bird",
        "cow",
        "elephant",
        "tiger",
        "fish",
        "rabbit",
        "sheep",
        "monkey",
        "snake",
        "bear",
        "lion",
        "duck",
        "frog",
    ],
    "person": [
        "man",
        "woman",
        "child",
        "boy",
        "girl",
        "actor",
        "singer",
        "player",
        "driver",
        "teacher",
        "doctor",
        "presenter",
        "dancer",
        "chef",
        "baby",
    ],
    "machine": [
        "car",
        "bus",
        "train",
        "truck",
        "plane",
        "bicycle",
        "boat",
        "motorcycle",
        "tractor",
        "helicopter",
        "ship",
        "drone",
        "phone",
        "laptop",
        "camera",
    ],
    "food": [
        "pizza",
        "cake",
        "bread",
        "soup",
        "salad",
        "apple",
        "banana",
        "pasta",
        "sandwich",
        "coffee",
        "rice",
        "cheese",
        "burger",
        "sushi",
    ],
    "country": [
        "France",
        "Japan",
        "Brazil",
        "Egypt",
        "Canada",
        "India",
        "Kenya",
        "Spain",
        "Norway",
        "Peru",
        "Italy",
        "Greece",
        "China",
        "Mexico",
        "Poland",
    ],
    "sport": [
        "football",
        "tennis",
        "basketball",
        "hockey",
        "golf",
        "chess",
        "swimming",
        "boxing",
        "cricket",
        "rugby",
        "baseball",
    ],
    "feeling": [
        "happy",
        "sad",
        "angry",
        "tired",
        "nervous",
        "excited",
        "bored",
        "afraid",
        "surprised",
        "calm",
    ],
    "language": [
        "French",
        "Spanish",
        "German",
        "Japanese",
        "Italian",
        "Chinese",
        "Polish",
        "Latin",
        "Arabic",
        "Dutch",
    ],
    "subject": [
        "history",
        "physics",
        "politics",
        "philosophy",
        "economics",
        "biology",
        "chemistry",
        "law",
        "religion",
        "medicine",
        "art",
    ],
    "number": [str(n) for n in range(2, 100)],
    "shape": [*SHAPES, *(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)],
}

_TEMPLATES = (
    "What breed is the {animal}?", "How many {animal}s are there?", "Is there a {animal} in the video?", "What is the {animal} doing?",
    "What does the {animal} eat?", "Can you see a {animal}?", "What is the name of the {animal}?", "Does the {animal} sleep?",
    "Who is the {person}?", "What is the {person} wearing?", "What is the {person} saying?", "How old is the {person}?",
    "Is the {person} {feeling}?", "What is the name of the {person}?", "What is the {person} holding?", "Why does the {person} smile?",
    "Where is the {person} from?", "Does the {person} look {feeling}?", "How many people are there?", "Who is speaking?",
    "What brand is the {machine}?", "How fast is the {machine}?", "Is the {machine} new?", "What model is the {machine}?",
    "Who drives the {machine}?", "How much does the {machine} cost?", "How do I repair a {machine}?", "Where is the {machine} going to?",
    "How do I cook {food}?", "What is the recipe for {food}?", "Is the {food} tasty?", "What is in the {food}?", "Who made the {food}?",
    "What is the capital of {country}?", "What is the population of {country}?", "Was this filmed in {country}?", "How do I get to {country}?",
    "Who is the president of {country}?", "What is the currency of {country}?", "Which language do they speak in {country}?",
    "Who won the {sport} match?", "What are the rules of {sport}?", "What is the score of the {sport} game?", "Who is the best {sport} player?",
    "Translate this into {language}.", "How do you say hello in {language}?", "Write a poem in {language}.", "Can you speak {language}?",
    "Explain {subject} to me.", "Write an essay about {subject}.", "What do you think about {subject}?", "Teach me {subject}.",
    "What is {number} plus {number}?", "What is {number} times {number}?", "Solve x + {number} = {number}.", "What is the square root of {number}?",
    "What is the weather like?", "Is it raining?", "Is it day or night?", "What season is it?", "Where was this filmed?", "What city is this?",
    "When was this video made?", "Who made this video?", "What music is playing?", "What song is this?", "What is the mood of the video?",
    "Tell me a joke.", "Write a poem about love.", "Write a Python function.", "Write some code that sorts a list.", "What time is it in {country}?",
    "What is the meaning of life?", "Who are you?", "How are you today?", "Are you a robot?", "What is your favourite film?", "What is the plot of the movie?",
    "Which film is this from?", "What is the stock price today?", "Should I buy this house?", "How do I lose weight?", "What is the news today?",
    "Is this video fake?", "What camera was used?", "How tall is the building?", "What kind of tree is this?", "What flowers are in the garden?",
    "Who is cooking in the kitchen?", "Who is at the door?", "What is on the table?", "What are they talking about?", "What does the sign at the shop sell?",
    "What is the relationship between the two people?", "Is this legal?", "What illness does the {person} have?", "Give me medical advice.",
    "Who invented the {machine}?", "What is the tallest mountain in {country}?", "How many {machine}s are on the road?", "Is the {food} healthy?",
    "Why is the {person} {feeling}?", "What happens to the {animal} at the end?", "What does the {person} do with the {food}?", "Where can I buy a {machine}?",
)  # fmt: skip

# Indirect questions and noun phrases, in the same frames as those about scenes: the frame must not decide.
_CLAUSES = (
    "who the {person} is", "what the {animal} eats", "how old the {person} is", "how many {animal}s there are", "what the {person} says",
    "where the {machine} goes", "whether the {person} is {feeling}", "if there is a {animal}", "what is on the table", "how the {food} is made",
    "when the {person} arrives", "which {machine} is faster", "what the weather is like", "whether the {animal} moves", "who moves the {machine}",
    "how many people there are", "what the {person} looks like", "which {sport} team wins", "what colour the {machine} is", "where the {animal} is",
)  # fmt: skip
_PHRASES = (
    "the name of the {person}", "the number of {animal}s", "the price of the {machine}", "the capital of {country}", "the age of the {person}",
    "the recipe for {food}", "a joke", "a poem about a {animal}", "the rules of {sport}", "the colour of the {machine}", "the direction of the {machine}",
    "the weather", "a story about a {person}", "the position of the {animal}", "a lesson in {subject}", "the moving {animal}", "the word for {food} in {language}",
    "a description of the {person}", "the {animal} on the left", "the first {person}", "the size of {country}", "the weight of the {animal}",
)  # fmt: skip
_MORE = (
    "Count the {animal}s.", "Name the {person}.", "Describe the {person}.", "Describe the taste of {food}.", "What colour is the {machine}?",
    "Which way does the {animal} move?", "Where is the {person}?", "When does the {machine} appear?", "How many {food}s are there?", "What shape is the {food}?",
    "Does the {person} move?", "Is the {machine} red?", "How big is the {machine}?", "How far is {country}?", "Tell me a story about a {animal}.",
    "Write a letter to the {person}.", "Which road leads to {country}?", "Which lake is the largest in {country}?", "How strong is the {animal}?",
    "What is {number} divided by {number}?", "Draw me a {animal}.", "Tell me about {country}.", "When did the {person} live?", "Compose a song about {food}.",
    "Which language is spoken in {country}?", "How long does the {sport} match last?", "Invent a riddle.", "Write a tale about the {person}.",
)  # fmt: skip
_EVERYDAY = (
    "Is this AI generated?", "How much does it cost?", "What happens next, after the end of the clip?", "Who posted this?", "How many likes does this have?", "Can I download this video?",
    "Where can I buy this?", "What software was used for this?", "Who is the author of this video?", "What is the licence of this video?", "Is there any sound?", "What can you hear?",
    "Does anybody talk?", "What is the moral of the story?", "Is this video funny?", "Do you like this video?", "Why was this made?", "Who is the main character?", "When was it uploaded?",
    "Is it suitable for children?", "How many views does it have?", "Is this real?", "Is anyone in danger?", "What should I do tomorrow?", "Can you edit this video?", "Add some music to this clip.",
    "Send this to my friend.", "Open the website.", "What is your name?", "Whose voice is this?", "Who is the director of this film?", "What is the rating of this movie?", "How old are you?",
    "Who are the people in this clip?", "Is somebody singing?", "Is it a good film?", "How was this animation made?", "What is the lesson of this video?", "How much did this film cost?", "Delete this video.",
)  # fmt: skip
# About things of a scene, but nothing that a scene shows.
_ABOUT_SHAPES = (
    "Why does the {shape} move?", "Who drew the {shape}?", "How heavy is the {shape}?", "How much does the {shape} cost?", "What is the {shape} made of?", "What does the {shape} mean?",
    "How old is the {shape}?", "Is the {shape} {feeling}?", "Why is the {shape} there?", "What sound does the {shape} make?", "What is the {shape} good for?",
    "Who owns the {shape}?", "What does the {shape} eat?", "Does the {shape} like {food}?", "Where was the {shape} bought?", "How does the {shape} feel?", "Why does the {shape} disappear?",
    "Which {animal} is hidden behind the {shape}?", "Tell me why the {shape} moves.", "I'd like to know who made the {shape}.", "The price of the {shape}?", "Give me the weight of the {shape}.",
    "Why does the {shape} appear?", "Who moves the {shape}?", "Say a joke about the {shape}.", "Does the {shape} belong to the {person}?",
)  # fmt: skip
# Used only in evaluation.
_HELD_OUT = (
    "Which team does the {person} play for?", "What kind of {animal} lives here?", "How long does it take to bake {food}?",
    "What is the history of {country}?", "How heavy is the {machine}?", "Who is the {person} looking at?", "Is the {animal} dangerous?",
    "What is {number} minus {number}?", "Which river flows through {country}?", "What is the {person} cooking?", "What instrument is the {person} playing?",
    "Which street is this?", "What year was this recorded?", "Write a short story.", "Sing me a song.", "What is the email of the {person}?",
    "Which company built the {machine}?", "How do I learn {language}?", "What is the temperature outside?", "Which {sport} club is the best?",
)  # fmt: skip


def question(rng: Random, *, held_out: bool = False) -> str:
    """A random question about anything but simple scenes. held_out: with a wording that training does not use"""
    template = rng.choice(_HELD_OUT) if held_out else _framed(rng)
    while "{" in template:
        topic = template[template.index("{") + 1 : template.index("}")]
        template = template.replace(f"{{{topic}}}", rng.choice(_TOPICS[topic]), 1)
    return template


def _framed(rng: Random) -> str:
    roll = rng.random()
    if roll < 0.2:
        return _like_one_about_scenes(rng)
    if roll < 0.74:
        frame, text = WHOLE, rng.choice(rng.choices(_WHOLE_QUESTIONS, (5, 2, 1.5, 1))[0])
    else:
        frames, parts = (CLAUSE_FRAMES, _CLAUSES) if roll < 0.87 else (PHRASE_FRAMES, _PHRASES)
        frame, text = rng.choice(frames), rng.choice(parts)
    if rng.random() < SHARE:
        frame = strange_frame(rng, frame)
    text = frame.replace(WHOLE, text)
    return text[0].upper() + text[1:]


_WHOLE_QUESTIONS = (_TEMPLATES, _MORE, _EVERYDAY, _ABOUT_SHAPES)
# Intents that ask about a named thing.
_INTENTS = (
    "colour", "shape", "count", "count", "direction", "where", "second", "whether it comes", "is there", "is there", "is colour", "stays", "stirs",
    "moves to", "beside",
)  # fmt: skip


def _like_one_about_scenes(rng: Random) -> str:
    """A question worded like those about scenes, about a thing that no scene has: its noun must decide."""
    topic = rng.choice(("animal", "person", "machine", "food"))
    noun = rng.choice(_TOPICS[topic])
    if rng.random() < 0.2:
        noun = f"{rng.choice(list(COLOURS))} {noun}"
    what = rng.choice(("appear", "disappear"))
    slots = {
        "ref": f"the {noun}",
        "noun": noun,
        "stem": f"{{{what}}}",
        "what": f"{{{what}s}}",
        "later": f"{{{what} later}}",
        "laters": f"{{{what}s later}}",
        "hue": rng.choice(list(COLOURS)),
        "way": rng.choice(list(DIRECTIONS)),
        "side": rng.choice(("to the left of", "to the right of", "above", "below")),
        "other": f"the {rng.choice(_TOPICS['shape'])}",
    }
    intent = rng.choice(_INTENTS)
    if intent == "count":
        slots["noun"] = f"{noun}s"
    elif intent == "is there":
        slots["noun"] = f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
    return worded(rng, intent, slots)


_NAMES_A_SHAPE = re.compile(rf"\b({'|'.join(SHAPES)})s?\b")


def with_unknown_words(rng: Random, text: str, share: float = 0.5) -> str:
    """The question with a share of its content words replaced by random words, some of them invented.

    From the templates alone the model would learn their words. It has to learn that a question about an unknown thing is
    not about the scene. A question that names a shape stays as it is: there the unknown word would not be the thing, and in
    questions about scenes such words do not matter.
    """
    if _NAMES_A_SHAPE.search(text.lower()):
        return text

    def other(match: re.Match[str]) -> str:
        word = match[0]
        if word.lower() in FAMILIAR or rng.random() > share:
            return word
        replacement = strange_word(rng)
        return replacement.capitalize() if word[0].isupper() else replacement

    return re.sub(r"[A-Za-z]+", other, text)
