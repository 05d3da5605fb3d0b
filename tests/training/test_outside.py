"""Questions with unknown words contain no words about scenes but those that any question may have."""

import re
from random import Random

from training import outside
from training.questions.ask import BUILDERS
from training.questions.forms import worded
from training.questions.strange import FAMILIAR
from training.questions.view import View
from training.questions.whole import beyond
from training.scenes import make_scene

TIMES = tuple(i / 2 for i in range(20))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def _words_about_scenes() -> set[str]:
    rng = Random(1)
    known: set[str] = set()
    for _ in range(400):
        view = View(make_scene(rng, 10.0, 16 / 9), TIMES)
        for builder in (b for b in BUILDERS if b is not beyond and view.things):
            question = builder(rng, view)
            if question is not None and question.wording is not None:
                known |= _words(worded(rng, question.wording.intent, question.wording.slots, strange=0.0))
    return known


def test_replacement_words_do_not_occur_in_questions_about_scenes():
    rng, known = Random(2), _words_about_scenes()
    for _ in range(2000):
        plain = outside.question(rng)
        assert not (_words(outside.with_unknown_words(rng, plain)) - _words(plain)) & known


def test_question_words_stay_and_some_content_words_change():
    rng = Random(3)
    changed = 0
    for _ in range(500):
        plain = outside.question(rng)
        other = outside.with_unknown_words(rng, plain)
        assert re.findall(r"[^A-Za-z]+", plain) == re.findall(r"[^A-Za-z]+", other)
        assert plain.split()[0] == other.split()[0] or plain.split()[0].lower() not in ("what", "who", "is")
        changed += plain != other
    assert changed > 200


def test_a_share_of_zero_changes_nothing():
    rng = Random(4)
    for _ in range(100):
        plain = outside.question(rng)
        assert outside.with_unknown_words(rng, plain, share=0.0) == plain


def test_a_question_outside_its_world_always_has_a_word_that_no_question_about_scenes_has():
    rng = Random(5)
    telling = {"who", "whose", "why", "your", "you", "good", "film"}
    for _ in range(3000):
        text = outside.with_unknown_words(rng, outside.question(rng))
        assert _words(text) - FAMILIAR or _words(text) & telling or re.search(r"\d", text), text


def test_where_a_shape_is_named_no_word_is_replaced():
    rng = Random(6)
    text = "How heavy is the star?"
    assert all(outside.with_unknown_words(rng, text) == text for _ in range(100))


def test_nouns_of_other_worlds_are_asked_about_in_the_words_of_questions_about_scenes():
    rng = Random(7)
    texts = [outside.question(rng) for _ in range(3000)]
    assert any(re.match(r"How many \w+ (are there|can you see)", text) for text in texts)
    assert any(re.match(r"(Which way|In which direction) does the \w+ \w+", text) for text in texts)
