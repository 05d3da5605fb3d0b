"""Every question about a clip has one answer, which agrees with the clip."""

import re
from random import Random

import pytest

from training.questions.events import lifecycle, order
from training.questions.intents import INTENTS
from training.questions.places import SIDES, position
from training.questions.view import View
from training.questions.yes_no import yes_no
from training.scenes import make_scene
from training.talk_batch import QUESTION_SHARES, make_timing


def views(count):
    """Clips of all lengths, sampled as in serving. Frames of short clips are up to 0.7 s apart."""
    rng = Random(3)
    while count:
        timing = make_timing(rng, rng.choice((4.5, 20)))
        view = View(make_scene(rng, timing.duration_s, 16 / 9), timing.times_s)
        if view.things:
            count -= 1
            yield rng, view


def asked(builder, count=600):
    return [(view, q) for rng, view in views(count) if (q := builder(rng, view)) is not None]


def test_no_two_questions_of_a_clip_contradict_each_other():
    for rng, view in views(60):
        answers_by_text = {}
        for builder in QUESTION_SHARES:
            for _ in range(30):
                question = builder(rng, view)
                if question is not None and question.kind != "outside my world":
                    assert answers_by_text.setdefault(question.text, question.short) == question.short, (
                        question.text
                    )


@pytest.mark.parametrize("builder", QUESTION_SHARES, ids=lambda builder: builder.__name__)
def test_the_second_in_an_answer_is_right_within_one(builder):
    for _, question in asked(builder, 300):
        if question.seconds is not None:
            second = int(re.search(r"second (\d+)", question.sentence)[1])
            assert abs(second - question.seconds) <= 1, question


def test_the_answer_about_a_side_is_in_that_half_and_nothing_else_is_ever_nearer_to_it():
    sides = [
        (view, q, side)
        for view, q in asked(position)
        for side in SIDES
        if q.sentence.endswith((f"on the {side}.", f"at the {side}.")) and q.short != side
    ]
    assert {side for _, _, side in sides} == set(SIDES)
    for view, question, side in sides:
        axis, sign = SIDES[side]
        middle = (view.scene.aspect / 2, 0.5)[axis]
        seen = [(t, thing) for thing in view.things for t in view.times_s if thing.is_visible(t)]
        its = [sign * thing.centre(t)[axis] for t, thing in seen if thing.name == question.short]
        alone = [
            sign * thing.centre(t)[axis]
            for t, thing in seen
            if not any(other.name == question.short for at, other in seen if at == t)
        ]
        assert max(its) < min([sign * middle, *alone]), question


def test_a_thing_in_the_middle_is_in_the_middle_of_both_axes():
    middles = [(view, q) for view, q in asked(position) if q.short == "middle"]
    assert middles
    for view, question in middles:
        thing = next(t for t in view.things if question.sentence.startswith(f"The {t.name} "))
        assert 1 / 3 < thing.y < 2 / 3


def test_a_thing_that_is_there_from_the_start_is_not_said_to_appear_later_or_first():
    later = re.compile(r"\bappears? (later|after the start|after a while|only later|in the middle of)")
    whether = [q.text for _, q in asked(lifecycle) if q.short in ("yes", "no") and " appear" in q.text]
    assert whether
    assert all(later.search(text) for text in whether), whether
    for view, question in asked(order):
        if "appears first" in question.text or "shows up first" in question.text:
            thing = next(t for t in view.things if t.name == question.short)
            assert view.appears(thing) is not None
    intents = {
        name
        for name, intent in INTENTS.items()
        if any("appear in the {video}" in form for form in intent.asked)
    }
    assert intents == {"is there"}
    answers = {q.short for _, q in asked(yes_no, 500) if q.wording and q.wording.intent in intents}
    assert answers == {"yes", "no"}
