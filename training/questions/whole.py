"""Questions about the whole clip: its text, its description, and subjects that it does not show."""

from __future__ import annotations

from random import Random

from training import outside
from training.questions.question import Question, pick
from training.questions.view import View, caption


def on_screen(rng: Random, view: View) -> Question | None:
    """What does the text say?"""
    word = view.scene.word
    if word is None and rng.random() < 0.8:
        return None
    noun = (
        "number"
        if word and word.text.isdigit() and rng.random() < 0.5
        else rng.choice(("text", "word", "text", "writing"))
    )
    text = pick(
        rng,
        f"What does the {noun} say?",
        f"What {noun} is on the screen?",
        f"Which {noun} is shown?",
        f"Read the {noun}.",
        "What is written in the video?",
        f"What {noun} can you see?",
        f"What is the {noun} on screen?",
        f"What {noun} is written?",
        f"Can you read the {noun}?",
        f"What {noun} is displayed?",
        f"What does the {noun} on the screen say?",
        f"Which {noun} appears on screen?",
    )
    if word is None:
        return Question("no text", text, "none", "There is no text.")
    return Question("on-screen word", text, word.text.upper(), f"The text says {word.text.upper()}")


def describe(rng: Random, view: View) -> Question | None:
    """Describe the video."""
    text = pick(
        rng,
        "Describe the video.",
        "What happens in the video?",
        "What do you see?",
        "Describe what you see.",
        "Describe the clip.",
        "What is in this video?",
        "Tell me what happens.",
        "Summarise the video.",
        "Summarize the clip.",
        "What is going on?",
        "What can you see in the video?",
        "Give me a description of the video.",
        "What is shown?",
        "Explain what happens in this clip.",
        "Describe this scene.",
        "Please describe the video.",
    )
    return Question("describe", text, caption(view), caption(view))


def beyond(rng: Random, view: View) -> Question | None:
    """A question that is not about the scene."""
    del view
    return Question("outside my world", outside.question(rng), "unknown", outside.ANSWER)
