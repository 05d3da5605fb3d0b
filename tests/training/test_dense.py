"""The targets of patches agree with the painted scene."""

from random import Random

import torch

from training.dense import CHARACTERS, NO_LOSS, OTHER, tubelet_targets
from training.pictures.footage import Pictures
from training.scenes import COLOURS, SHAPES, make_scene

GRID = (8, 16)


def test_characters_in_the_order_of_their_indices_spell_the_word():
    spelled = 0
    for seed in range(200):
        scene = make_scene(Random(seed), 5.0, 16 / 9)
        if scene.word is None or not scene.word.is_readable:
            continue
        targets = tubelet_targets(scene, 1.0, 1.5, GRID)
        has_character = targets["character"] != NO_LOSS
        assert torch.equal(has_character, targets["index"] != NO_LOSS)
        spelling = dict(
            zip(
                targets["index"][has_character].tolist(),
                targets["character"][has_character].tolist(),
                strict=True,
            )
        )
        text = scene.word.text
        want = {i: CHARACTERS.index(char) for i, char in enumerate(text.upper()) if char != " "}
        assert spelling == want
        capitals = dict(
            zip(
                targets["index"][has_character].tolist(), targets["case"][has_character].tolist(), strict=True
            )
        )
        assert capitals == {
            i: char.isupper() if char.isalpha() else NO_LOSS for i, char in enumerate(text) if char != " "
        }
        ends = (targets["index"] + targets["following"])[has_character]
        assert (ends == len(text) - 1).all()
        spelled += 1
    assert spelled > 40


def test_text_too_small_to_read_has_no_characters_and_is_marked_where_it_is():
    scenes = [make_scene(Random(seed), 5.0, 16 / 9) for seed in range(300)]
    small = [scene for scene in scenes if scene.word and not scene.word.is_readable]
    assert len(small) > 5
    for scene in small:
        targets = tubelet_targets(scene, 1.0, 1.5, GRID)
        assert (targets["character"] == NO_LOSS).all()
        rows, cols = (targets["small"] > 0).nonzero().unbind(1)
        assert scene.word is not None
        assert abs(rows.float().mean() + 0.5 - scene.word.y * GRID[0]) < 1
        assert abs(cols.float().mean() + 0.5 - scene.word.x / scene.aspect * GRID[1]) < 1
        assert (targets["writing"][targets["small"] > 0] == NO_LOSS).all()


def test_a_shape_in_place_of_a_thing_is_another_shape_and_has_no_colour():
    scene = make_scene(Random(3), 5.0, 16 / 9, smallest=0.2, count=2, still=True)
    footage = Pictures(None).with_foreign(Random(1), scene)
    assert len(footage.sprites) == 1
    targets = tubelet_targets(footage.scene, 1.0, 1.5, GRID, footage.sprites)
    first, second = (targets["thing"] == number for number in (1, 2))
    assert (targets["shape"][first] == OTHER).all()
    assert (targets["colour"][first] == NO_LOSS).all()
    assert (targets["shape"][second] == SHAPES.index(footage.scene.things[1].shape)).all()
    assert (targets["colour"][second] == list(COLOURS).index(footage.scene.things[1].colour)).all()
