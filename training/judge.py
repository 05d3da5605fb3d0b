"""Whether an answer is right. Its meaning counts, not its wording."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable
from itertools import pairwise

from training import outside
from training.questions.question import NUMBERS, ON_SCREEN, Question
from training.questions.unseen import EMPTY, PICTURE
from training.questions.view import UNREADABLE
from training.scenes import COLOURS, DIRECTIONS, SHAPES

_WAYS = (*DIRECTIONS, "still")
_REFUSAL = re.findall(r"[a-z]+", outside.ANSWER.lower())
_EVENTS = ("appears", "disappears")
_PLACES = ("left", "right", "middle")
# Conclusion of a chain → text that the answer then contains.
_DENIALS = {"none": "there is no ", "unknown": "only know simple scenes"}


def split_thoughts(output: str) -> tuple[str, str]:
    """The chain of thought and the answer of an output. The chain is empty without thinking, the answer where it was cut."""
    if not output.startswith("<think>"):
        return "", output.strip()
    thoughts, _, answer = output.removeprefix("<think>").partition("</think>")
    return thoughts.strip(), answer.strip()


def conclusion_of(thoughts: str) -> str:
    """The conclusion of a chain: the text after its last "So:"."""
    return thoughts.rpartition("So:")[2].strip()


def is_right(question: Question, answer: str) -> bool:
    """Whether `answer` (a sentence, a word or JSON) is true and names nothing that the true answer does not name."""
    words = _words_as_written(answer) if question.kind == ON_SCREEN else _words(answer)
    judge = _JUDGES.get(question.kind, _says_the_same)
    return judge(question, words) and _names(_words(answer)) <= _names(_words(question.sentence))


def dates_right(question: Question, answer: str) -> bool | None:
    """Whether the second that a right answer gives unasked is right; None if it gives none."""
    if not question.names_second or not is_right(question, answer):
        return None
    return _is_near(_words(answer), question.seconds)


def agrees(question: Question, conclusion: str, answer: str) -> bool:
    """Whether the chain's conclusion and the answer after it say the same."""
    if question.kind == "describe":
        return bool(conclusion)
    if conclusion in _DENIALS:
        return _DENIALS[conclusion] in answer.lower()
    concluded = _words(conclusion)
    return bool(concluded) and set(concluded) <= set(_words(answer))


def _words(text: str) -> list[str]:
    return _words_as_written(text.lower())


def _words_as_written(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]+|\d+", text)


def _said(words: Iterable[str], known: Container[str]) -> set[str]:
    return {w for w in words if w in known}


def _names(words: list[str]) -> set[str]:
    return _said(words, (*COLOURS, *SHAPES, "nothing"))


def _number(words: list[str]) -> int | None:
    found = [NUMBERS.index(w) if w in NUMBERS else int(w) for w in words if w in NUMBERS or w.isdigit()]
    return found[0] if len(set(found)) == 1 else None


def _is_near(words: list[str], seconds: float | None) -> bool:
    numbers = [int(w) for w in words if w.isdigit()]
    return seconds is not None and len(numbers) == 1 and abs(numbers[0] - seconds) <= 1.0


def _denies(words: list[str], missing: str) -> bool:
    """Whether the words say that there is no such thing, or are only "none" (in JSON after the key)."""
    return ("no", missing) in pairwise(words) or words in (["none"], ["answer", "none"])


def is_refusal(answer: str) -> bool:
    """Whether an answer says that the model does not know this."""
    words = _words(answer)
    return "unknown" in words or words == _REFUSAL


def _reads(question: Question, words: list[str]) -> bool:
    """Whether the words end with the text on screen, each letter in the case that is seen."""
    wanted = _words_as_written(question.short)
    return words[-len(wanted) :] == wanted


def _says_nothing_is_there(question: Question, words: list[str]) -> bool:
    return words[-1:] == [question.short] or "nothing" in words


def _moves_alike(question: Question, words: list[str]) -> bool:
    """Whether each thing is said to move as it does, in any order."""
    return (
        _motions(words) == _motions(_words(question.sentence))
        if question.short != "nothing"
        else "nothing" in words
    )


def _motions(words: list[str]) -> list[tuple[str, ...]]:
    facts = [word for word in words if word in (*COLOURS, *SHAPES, *_WAYS)]
    return sorted(tuple(facts[i : i + 3]) for i in range(0, len(facts), 3))


def _says_the_same(question: Question, words: list[str]) -> bool:
    if question.short in ("yes", "no"):
        return _said((*words[:1], *words[-1:]), ("yes", "no")) == {question.short}
    if question.short in _PLACES:
        return _said(words, _PLACES) == {question.short}
    wanted = question.short.split()
    is_denied = words[:1] == ["no"]
    may = _said(_words(question.sentence), _EVENTS) or {
        "appears"
    }  # "comes first" may be answered by "appears first"
    is_event = _said(wanted, _EVENTS) <= _said(words, _EVENTS) <= may
    return not is_denied and is_event and _names(words) == _names(wanted)


_JUDGES: dict[str, Callable[[Question, list[str]], bool]] = {
    "colour": lambda question, words: _said(words, COLOURS) == {question.short},
    "shape": lambda question, words: _said(words, SHAPES) == {question.short},
    "how many": lambda question, words: _number(words) == NUMBERS.index(question.short),
    "direction": lambda question, words: _said(words, _WAYS) == {question.short},
    "second of appearance": lambda question, words: _is_near(words, question.seconds),
    "second of disappearance": lambda question, words: _is_near(words, question.seconds),
    ON_SCREEN: _reads,
    "unreadable text": lambda _, words: UNREADABLE in words,
    "outside my world": lambda _, words: "unknown" in words or words == _REFUSAL,
    PICTURE: lambda _, words: "unknown" in words or words == _REFUSAL,
    EMPTY: _says_nothing_is_there,
    "what moves": _moves_alike,
    "absent": lambda question, words: _denies(words, _words(question.sentence)[-1]),
    "no text": lambda _, words: _denies(words, "text"),
    "describe": lambda question, words: words == _words(question.sentence),
}
