"""Things that are alike in colour and shape are told apart, listed and counted."""

from random import Random

from training.judge import is_right
from training.questions.question import NUMBERS
from training.questions.traits import COUNTS, count_of_colour, count_of_shape, movers
from training.questions.view import View, caption, listing
from training.scenes import make_scene
from training.story import story_targets
from training.styles import answer_in_style, chain

TIMES = tuple(i / 2 for i in range(16))


def _views(count: int) -> list[View]:
    rng = Random(4)
    views: list[View] = []
    while len(views) < count:
        view = View(make_scene(rng, 8.0, 16 / 9, twins=1.0), TIMES)
        if len({t.name for t in view.things}) < len(view.things):
            views.append(view)
    return views


def test_each_of_them_is_listed():
    for view in _views(40):
        for text in (listing(view.things), caption(view).lower()):
            assert sum(text.count(t.name) for t in {t.name: t for t in view.things}.values()) == len(
                view.things
            )
            assert " another " in f" {text}"


def test_counts_are_true_and_the_chain_concludes_the_answer():
    rng = Random(5)
    for view in _views(60):
        for count in COUNTS:
            question = count(rng, view)
            number = NUMBERS.index(question.short)
            assert number <= len(view.things)
            named = sum(question.sentence.lower().count(name) for name in {t.name for t in view.things})
            assert named == number
            assert chain(view, question).endswith(answer_in_style(question, "plain")[1:].rstrip("."))
            other = NUMBERS[(number + 1) % 4]
            assert not is_right(question, question.sentence.replace(f"so {question.short}", f"so {other}"))


def test_every_number_from_zero_to_three_is_asked_by_shape_and_by_colour():
    rng = Random(6)
    for count in (count_of_shape, count_of_colour):
        shorts = [count(rng, view).short for view in _views(150)]
        assert set(shorts) == set(NUMBERS)
        assert max(map(shorts.count, NUMBERS)) < 100


def test_what_moves_is_told_with_its_direction():
    rng = Random(7)
    for view in _views(60):
        question = movers(rng, view)
        assert question is not None
        assert sum(question.sentence.count(t.name) for t in view.things if t.direction) >= (
            question.short != "nothing"
        )
        assert is_right(question, question.sentence)
        parts = question.sentence.rstrip(".").split(" and ")
        assert is_right(question, " and ".join(reversed(parts)))
        if question.short != "nothing":
            assert not is_right(question, "Nothing moves.")


def test_the_targets_count_each_of_them():
    for view in _views(40):
        story = story_targets(view)
        assert story["count"][-1].item() == len(view.things)
        assert story["by_shape"][-1].sum() == story["by_colour"][-1].sum() == len(view.things)
        assert story["by_shape"][-1].max() >= 2
