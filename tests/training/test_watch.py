"""The auxiliary targets of vision tokens agree with the scene."""

from random import Random

import pytest
import torch

from training.dense import NO_LOSS, stacked, tubelet_targets
from training.questions.view import View
from training.scenes import COLOURS, SHAPES, Thing, make_scene
from training.watch import (
    CHARACTERS_OR_NONE,
    bind_targets,
    character_targets,
    frame_pairs,
    watch_targets,
)

ASPECT, GRID = 16 / 9, (8, 16)


def _view(seed: int) -> View:
    rng = Random(seed)
    times = tuple(i / 2 for i in range(rng.randrange(8, 24)))
    return View(make_scene(rng, times[-1] + 0.5, ASPECT), times)


def _bound(view: View) -> dict[str, torch.Tensor]:
    dense = [tubelet_targets(view.scene, a, b, GRID) for a, b in frame_pairs(view.times_s)]
    return bind_targets(view, watch_targets(view), stacked(dense))


def _number(thing: Thing) -> int:
    return 1 + list(COLOURS).index(thing.colour) * len(SHAPES) + SHAPES.index(thing.shape)


@pytest.mark.parametrize("seed", range(8))
def test_only_the_tokens_of_a_thing_have_the_second_of_its_appearance(seed: int):
    view = _view(seed)
    bound = _bound(view)
    assert set(bound["kind"].unique().tolist()) == {0, *map(_number, view.things)}
    for thing in view.things:
        assert set(bound["came"][bound["kind"] == _number(thing)].tolist()) == {view.appears(thing) or 0}
    assert set(bound["came"][bound["kind"] == 0].tolist()) == {NO_LOSS}


@pytest.mark.parametrize("seed", range(8))
def test_a_thing_is_gone_in_one_tubelet_whose_second_answers_when_it_disappears(seed: int):
    view = _view(seed)
    bound = _bound(view)
    for thing in view.things:
        tubelets = (bound["gone"] == _number(thing)).flatten(1).any(1).nonzero().flatten().tolist()
        gone = view.disappears(thing)
        assert len(tubelets) == (gone is not None)
        assert [int(bound["now"][t, 0, 0]) for t in tubelets] == ([] if gone is None else [gone])


def test_characters_are_in_reading_order_and_spell_the_word():
    scenes = [make_scene(Random(seed), 3.0, ASPECT) for seed in range(40)]
    written = [s for s in scenes if s.word and s.word.is_readable]
    assert written
    for scene in written:
        characters = character_targets(scene, (4, 8))
        places = [(characters[..., i] > 0).nonzero() for i in range(characters.shape[-1])]
        found = [(i, p[0].tolist()) for i, p in enumerate(places) if len(p)]
        assert scene.word is not None
        spelled = "".join(CHARACTERS_OR_NONE[characters[r, c, i]] for i, (r, c) in found)
        assert spelled == scene.word.text.replace(" ", "")
        assert [c for _, (_, c) in found] == sorted(c for _, (_, c) in found)


def _twins(seed: int) -> View | None:
    rng = Random(seed)
    times = tuple(i / 2 for i in range(16))
    view = View(make_scene(rng, 8.0, ASPECT, twins=1.0), times)
    return view if len({t.name for t in view.things}) < len(view.things) else None


def test_tokens_of_alike_things_have_the_targets_of_their_own_thing():
    views = [view for view in map(_twins, range(40)) if view]
    assert len(views) > 8
    for view in views:
        bound = _bound(view)
        kind, rank = bound["kind"], bound["rank"]
        assert ((rank > 0) == (kind > 0)).all()
        seen: dict[int, int] = {}
        for thing in view.things:
            number = _number(thing)
            seen[number] = seen.get(number, 0) + 1
            mine = (kind == number) & (rank == seen[number])
            assert mine.any(), "descriptions name it after the things of its kind with lower ranks"
            assert set(bound["came"][mine].tolist()) == {view.appears(thing) or 0}
            column = int(thing.centre(view.times_s[view.last(thing)])[0] / ASPECT * 12)
            assert (bound["place"][mine][:, 0] == column).any()
