"""The judge accepts true answers in every style and rejects others."""

from dataclasses import replace
from random import Random

import pytest

from training import outside
from training.judge import agrees, conclusion_of, dates_right, is_right, split_thoughts
from training.questions.ask import BUILDERS
from training.questions.question import Question
from training.questions.traits import colour, direction, how_many, shape
from training.questions.view import View
from training.questions.whole import describe, on_screen
from training.questions.yes_no import yes_no
from training.scenes import make_scene
from training.styles import answer_in_style, chain, conclusion
from training.talk_batch import QUESTION_SHARES


def some_views(count):
    rng = Random(7)
    while count:
        duration_s = rng.uniform(2, 20)
        times = tuple(i / 2 for i in range(int(duration_s * 2)))
        view = View(make_scene(rng, duration_s, 16 / 9), times)
        if view.things:
            count -= 1
            yield rng, view


def some_questions(builder, count=40):
    found = []
    for rng, view in some_views(600):
        question = builder(rng, view)
        if question is not None:
            found.append((view, question))
        if len(found) == count:
            break
    assert len(found) > 10
    return found


@pytest.mark.parametrize("builder", QUESTION_SHARES, ids=lambda builder: builder.__name__)
@pytest.mark.parametrize("style", ["plain", "one sentence", "json"])
def test_the_true_answer_is_right(builder, style):
    for _, question in some_questions(builder):
        if question.kind in ("describe", "what moves") and style == "json":
            continue  # training has none of these in JSON
        assert is_right(question, answer_in_style(question, style)), question


@pytest.mark.parametrize("builder", [colour, shape, how_many, direction, on_screen, describe, yes_no])
def test_the_answer_to_something_else_is_wrong(builder):
    questions = [question for _, question in some_questions(builder)]
    for question in questions:
        for other in questions:
            if other.short != question.short and other.kind == question.kind:
                assert not is_right(question, other.sentence), (question, other)


LEFT = Question("position", "Where is the star?", "left", "The red star is on the left.")
APPEARS = Question("appears/disappears", "What appears?", "red circle", "The red circle appears.")
NOTHING_APPEARS = Question("appears/disappears", "What appears?", "nothing", "Nothing appears.")
FIRST = Question(
    "order", "What happens first?", "red circle appears", "At second 3 the red circle appears.", 3.2
)
APPEARS_FIRST = Question("order", "Which object appears first?", "red circle", "The red circle comes first.")
ABSENT = Question("absent", "What colour is the star?", "none", "There is no star.")
NO_TEXT = Question("no text", "What does the text say?", "none", "There is no text.")
IS_RED = Question("yes/no", "Is the star red?", "yes", "The star is red, so yes.")
ONE = Question("how many", "How many circles are there?", "one", "There is a red circle, so one.")


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        (APPEARS, "The red circle appears.", True),
        (APPEARS, "The red circle.", True),
        (APPEARS, "The red circle disappears.", False),
        (NOTHING_APPEARS, "Nothing appears.", True),
        (NOTHING_APPEARS, "Nothing disappears.", False),
        (FIRST, "The red circle appears.", True),
        (FIRST, "The red circle appears, then disappears.", False),
        (APPEARS_FIRST, "The red circle appears first.", True),
        (APPEARS_FIRST, "The red circle disappears first.", False),
        (ABSENT, "There is no star.", True),
        (ABSENT, "There is no circle.", False),
        (ABSENT, "The star is red, no doubt.", False),
        (NO_TEXT, "None", True),
        (NO_TEXT, "The text says NO", False),
        (NO_TEXT, "The text says NONE", False),
        (LEFT, "The star is on the left.", True),
        (LEFT, "The blue circle is on the left.", False),
        (IS_RED, "Yes.", True),
        (IS_RED, "The star is blue, so yes.", False),
        (ONE, "There is one red circle, so one.", True),
        (ONE, "There is one red circle, so two.", False),
        (ONE, "There is a red square, so one.", False),
    ],
)
def test_an_answer_is_right_when_nothing_in_it_is_wrong(question, answer, expected):
    assert is_right(question, answer) is expected


@pytest.mark.parametrize(
    "question", [APPEARS, ABSENT, NO_TEXT, IS_RED, ONE], ids=lambda question: question.kind
)
@pytest.mark.parametrize("conclusion", ["", "..."])
def test_no_answer_agrees_with_an_empty_conclusion(question, conclusion):
    assert not agrees(question, conclusion, question.sentence)


def test_only_a_refusal_agrees_with_a_refusal():
    refused = Question("outside my world", "Who is the president?", "unknown", outside.ANSWER)
    assert agrees(refused, "unknown", outside.ANSWER)
    assert not agrees(refused, "unknown", "The star is blue.")
    assert not agrees(refused, "red", "The star is blue.")
    assert not agrees(refused, "red", outside.ANSWER)


def test_a_second_is_right_within_one_second():
    _, question = next(
        (view, q)
        for view, q in some_questions(BUILDERS_BY_NAME["second"])
        if q.kind == "second of appearance"
    )
    question = replace(question, seconds=7.4)
    results = {n: is_right(question, f"It appears at second {n}.") for n in (6, 7, 8, 9)}
    assert results == {6: False, 7: True, 8: True, 9: False}


def test_a_second_that_was_not_asked_for_is_judged_separately():
    _, question = next((v, q) for v, q in some_questions(BUILDERS_BY_NAME["order"]) if q.names_second)
    question = replace(question, seconds=7.4)
    results = {n: f"At second {n} the {question.short}." for n in (6, 7, 8, 9)}
    assert {n: dates_right(question, answer) for n, answer in results.items()} == {
        6: False,
        7: True,
        8: True,
        9: False,
    }
    assert all(is_right(question, answer) for answer in results.values())
    assert dates_right(question, "At second 7 the purple star flies.") is None
    assert dates_right(replace(question, seconds=None), results[7]) is None


BUILDERS_BY_NAME = {builder.__name__: builder for builder in BUILDERS}


@pytest.mark.parametrize("builder", QUESTION_SHARES, ids=lambda builder: builder.__name__)
def test_a_true_chain_agrees_with_its_answer(builder):
    for view, question in some_questions(builder):
        output = f"<think>\n{chain(view, question)}\n</think>\n{answer_in_style(question, 'plain')}"
        thoughts, answer = split_thoughts(output)
        assert answer == question.sentence
        assert agrees(question, conclusion_of(thoughts), answer), output


def test_the_conclusion_about_an_event_begins_with_its_second():
    orders = [(v, q) for v, q in some_questions(BUILDERS_BY_NAME["order"]) if q.names_second]
    for view, question in orders:
        thoughts, _, decided = chain(view, question).rpartition(" So: ")
        second = decided.split()[2]
        assert decided.startswith("at second ")
        assert f"at second {second}" in thoughts


def test_a_chain_that_concludes_something_else_disagrees():
    questions = [question for _, question in some_questions(BUILDERS_BY_NAME["direction"])]
    ways = {conclusion(question): question for question in questions}
    for question in ways.values():
        for other in ways:
            if other != conclusion(question):
                assert not agrees(question, other, question.sentence)


@pytest.mark.parametrize(
    ("output", "parts"),
    [
        ("<think>It is red.</think>Red.", ("It is red.", "Red.")),
        ("<think>It is", ("It is", "")),
        ("<think>It is.</think>", ("It is.", "")),
        ("Red.", ("", "Red.")),
    ],
)
def test_an_output_has_a_chain_and_an_answer_and_either_may_be_missing(output, parts):
    assert split_thoughts(output) == parts


@pytest.mark.parametrize(
    ("answer", "is_right_"),
    [
        ("The text says Red bus", True),
        ("Red bus", True),
        ("The text says RED BUS", False),
        ("red bus", False),
        ("bus", False),
    ],
)
def test_a_text_on_screen_is_read_in_the_case_that_is_seen(answer: str, is_right_: bool):
    question = Question("on-screen word", "What does it say?", "Red bus", "The text says Red bus")
    assert is_right(question, answer) is is_right_


@pytest.mark.parametrize(
    ("answer", "is_right_"), [("The text is unreadable.", True), ("The text says BUS", False)]
)
def test_a_text_too_small_to_read_is_called_unreadable(answer: str, is_right_: bool):
    question = Question("unreadable text", "What does it say?", "unreadable", "The text is unreadable.")
    assert is_right(question, answer) is is_right_
