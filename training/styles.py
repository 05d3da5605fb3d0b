"""The wording of an answer: the style that the system prompt asks for, and the chain of thought."""

from __future__ import annotations

import json

from training.questions.question import NUMBERS, ON_SCREEN, Question
from training.questions.unseen import EMPTY, PICTURE
from training.questions.view import View, caption

# Style → system prompts that ask for it; "" means no system prompt.
SYSTEM_PROMPTS: dict[str, tuple[str, ...]] = {
    "plain": ("", "", "", "", "", "", "You are a helpful assistant.", "You answer questions about videos.", "Be helpful and precise."),
    "one word": (
        "Answer in one word.", "Answer with one word.", "One word only.", "Reply with a single word.", "Use one word.", "Respond with one word.",
        "Give one-word answers.", "Answer in a single word.", "Reply in one word.", "Just one word, please.",
    ),
    "one sentence": (
        "Answer in one sentence.", "Answer with one sentence.", "Reply in one sentence.", "Use one sentence.", "Respond with a single sentence.",
        "Answer in a single sentence.", "Give one full sentence.", "Reply with one full sentence.",
    ),
    "json": (
        "Answer in JSON.", "Reply in JSON.", "Respond with JSON.", "Answer as JSON.", "Answer with a JSON object.", "Return JSON only.",
        "Output JSON.", "Use JSON.", "Give your answer as a JSON object.", "Respond in JSON format.",
    ),
}  # fmt: skip


CONCLUSION = " So: "


def answer_in_style(question: Question, style: str) -> str:
    """The answer in a style."""
    if style == "one word":
        return question.short if question.kind == ON_SCREEN else question.short.split()[-1].capitalize()
    if style == "json":
        return json.dumps({"answer": question.short})
    return question.sentence


def chain(view: View, question: Question) -> str:
    """The chain of thought: a caption of the clip, then the conclusion."""
    if question.kind == PICTURE:
        return f"I see no simple scene.{CONCLUSION}unknown"
    if question.kind == EMPTY:
        return f"I see nothing.{CONCLUSION}{conclusion(question)}"
    if question.kind == "outside my world":
        return f"I see a simple scene. The question is about something else.{CONCLUSION}unknown"
    return f"{caption(view, places=True)}{CONCLUSION}{conclusion(question)}"


def conclusion(question: Question) -> str:
    """The conclusion of a chain. It has the fact that decides the answer first, so that the chain decides it.

    For an event that fact is its second: the model finds the earliest second in the chain, and by it the event.
    """
    if question.kind == "describe":
        return "the scene above"
    if question.kind == "what moves":
        return question.sentence[0].lower() + question.sentence[1:].rstrip(".")
    if question.short in ("yes", "no", *NUMBERS) or question.names_second:
        return f"{question.sentence[0].lower()}{question.sentence[1:].rstrip('.')}"
    return question.short
