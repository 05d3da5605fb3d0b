"""The auxiliary targets at the ends of tubelets agree with the answers to questions about the clip."""

import re
from collections.abc import Callable
from random import Random

import pytest

from training.questions.events import happening, lifecycle, order
from training.questions.places import SIDES, position
from training.questions.question import NUMBERS, Question
from training.questions.traits import how_many
from training.questions.view import View, caption
from training.questions.whole import on_screen
from training.scenes import COLOURS, SHAPES, make_scene
from training.story import story_targets
from training.watch import CHARACTERS_OR_NONE, NUM_KINDS

NAMES = ["nothing", *(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)]


def _asked(builder: Callable[[Random, View], Question | None]) -> list[tuple[View, Question]]:
    """Questions about many clips."""
    out = []
    for seed in range(600):
        rng = Random(seed)
        times = tuple(i / 2 for i in range(rng.randrange(8, 40)))
        view = View(make_scene(rng, times[-1] + 0.5, 16 / 9), times)
        question = builder(rng, view) if view.things else None
        if question is not None:
            out.append((view, question))
    return out


def _event(number: int) -> str:
    return f"{NAMES[(number - 1) % NUM_KINDS + 1]} {'appears' if number <= NUM_KINDS else 'disappears'}"


@pytest.mark.parametrize("side", SIDES)
def test_the_outermost_thing_at_the_end_answers_what_is_on_that_side(side: str):
    asked = [(v, q) for v, q in _asked(position) if q.sentence.endswith(f" the {side}.") and " " in q.short]
    assert len(asked) > 10
    for view, question in asked:
        outermost = story_targets(view)["outermost"][-1, list(SIDES).index(side)]
        assert NAMES[outermost] == question.short


@pytest.mark.parametrize("when", ["first", "last"])
def test_first_and_last_events_and_things_at_the_end_answer_questions_about_order(when: str):
    asked = [(v, q) for v, q in _asked(order) if when in q.text]
    assert len(asked) > 10
    for view, question in asked:
        story = {name: target[-1] for name, target in story_targets(view).items()}
        if question.short in NAMES:
            assert NAMES[story[f"{when}_comer"]] == question.short
        else:
            assert _event(int(story[f"{when}_event"])) == question.short
            assert question.sentence.startswith(f"At second {story[f'{when}_second']} the ")


def test_the_answer_about_a_second_agrees_with_the_description():
    asked = _asked(happening)
    assert {q.short == "nothing" for _, q in asked} == {True, False}
    for view, question in asked:
        at = re.findall(r"\d+", question.text)[0]
        lines = [re.match(r" ?An? (\w+ \w+)(.*)", line) for line in caption(view).split(".")]
        described = [
            f"{line[1]} {what}"
            for line in lines
            if line
            for what in re.findall(rf"(\w+) at second {at}\b", line[2])
        ]
        assert described == ([] if question.short == "nothing" else [question.short])


def test_counts_at_the_end_answer_questions_about_counts():
    asked = _asked(how_many)
    total = [
        (v, q) for v, q in asked if q.wording and q.wording.slots.get("noun", "{objects}") == "{objects}"
    ]
    assert len(total) > 20
    for view, question in total:
        moving = question.wording.intent == "count movers"
        count = int(story_targets(view)["movers" if moving else "count"][-1])
        assert NUMBERS[count] == question.short or (moving and count < 0)


def test_the_kinds_that_have_gone_at_the_end_answer_what_disappears():
    asked = [(v, q) for v, q in _asked(lifecycle) if q.sentence.endswith(" disappears.")]
    assert {q.short == "nothing" for _, q in asked} == {True, False}
    for view, question in asked:
        gone = (story_targets(view)["presence"][-1] == 2).nonzero()[:, 0].tolist()
        assert [NAMES[1 + kind] for kind in gone] == ([question.short] if question.short != "nothing" else [])


def test_the_characters_at_the_end_spell_the_word_on_screen():
    asked = [(v, q) for v, q in _asked(on_screen) if q.kind == "on-screen word"]
    assert len(asked) > 10
    for view, question in asked:
        characters = "".join(CHARACTERS_OR_NONE[i] for i in story_targets(view)["spelling"][-1].tolist())
        assert characters.rstrip("-") == question.short.replace(" ", "-")


def test_targets_at_the_start_do_not_depend_on_the_rest_of_the_clip():
    for seed in range(100):
        times = tuple(i / 2 for i in range(24))
        view = View(make_scene(Random(seed), 12.0, 16 / 9), times)
        if not view.things:
            continue
        part = {name: target[:5] for name, target in story_targets(view).items()}
        cut = View(view.scene, times[:10])
        for name, target in story_targets(cut).items():
            unknown = part[name] < 0  # it may move later
            assert (part[name][~unknown] == target[~unknown]).all(), name
