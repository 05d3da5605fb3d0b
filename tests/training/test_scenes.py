"""Training scenes contain what docs/demo-model.md describes."""

from itertools import combinations
from random import Random

import numpy as np
import pytest

from training.paint import paint
from training.scenes import COLOURS, DIRECTIONS, SHAPES, make_crowded_scene, make_scene

RNG_SEEDS = range(60)


def scene_of(seed, aspect=16 / 9):
    return make_scene(Random(seed), 8.0, aspect)


def test_scenes_have_the_described_numbers_sizes_and_traits():
    for seed in RNG_SEEDS:
        scene = scene_of(seed)
        assert 1 <= len(scene.things) <= 3
        assert len(scene.words) <= 1
        for thing in scene.things:
            assert thing.shape in SHAPES
            assert thing.colour in COLOURS
            assert 0.08 <= thing.size <= 0.30
            assert thing.direction is None or thing.direction in DIRECTIONS


def test_things_share_one_trait_as_often_as_requested_and_never_both():
    def pairs(alike):
        scenes = [make_scene(Random(seed), 8.0, 16 / 9, alike=alike) for seed in RNG_SEEDS]
        return [pair for scene in scenes for pair in combinations(scene.things, 2)]

    def share(alike):
        return np.mean([a.shape == b.shape or a.colour == b.colour for a, b in pairs(alike)])

    assert share(0.0) == 0 < share(0.25) < share(1.0)
    assert all(a.name != b.name for a, b in pairs(1.0))


def test_things_stay_in_the_picture():
    for seed in RNG_SEEDS:
        scene = scene_of(seed)
        for thing in scene.things:
            for time_s in np.linspace(0, scene.duration_s, 30):
                if thing.is_visible(time_s):
                    x, y = thing.centre(time_s)
                    assert thing.size / 2 - 1e-6 <= x <= scene.aspect - thing.size / 2 + 1e-6
                    assert thing.size / 2 - 1e-6 <= y <= 1 - thing.size / 2 + 1e-6


@pytest.mark.parametrize(("width", "height"), [(160, 90), (320, 180), (90, 160), (128, 128)])
def test_a_thing_is_painted_at_its_place_in_its_colour(width, height):
    for seed in RNG_SEEDS:
        scene = scene_of(seed, width / height)
        frame = paint(scene, [4.0], width, height)[0]
        for thing in scene.things:
            if thing.is_visible(4.0):
                x, y = thing.centre(4.0)
                pixel = frame[int(y * height), int(x / scene.aspect * width)].astype(int)
                assert abs(pixel - thing.rgb).max() <= 2, (seed, thing)


def test_the_same_seed_gives_the_same_pixels():
    for make in (make_scene, make_crowded_scene):
        one, two = (paint(make(Random(5), 6.0, 1.0), [0.0, 3.0], 96, 96) for _ in range(2))
        assert (one == two).all()


def test_a_crowded_scene_has_more_things_and_words():
    scenes = [make_crowded_scene(Random(seed), 8.0, 16 / 9) for seed in RNG_SEEDS]
    assert sum(len(c.things) + len(c.words) for c in scenes) / len(scenes) > 5
