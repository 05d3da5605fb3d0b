"""The targets of patches agree with the painted scene."""

from random import Random

import torch

from training.dense import CHARACTERS, NO_LOSS, tubelet_targets
from training.scenes import make_scene

GRID = (8, 16)


def test_characters_in_the_order_of_their_indices_spell_the_word():
    spelled = 0
    for seed in range(200):
        scene = make_scene(Random(seed), 5.0, 16 / 9)
        if scene.word is None:
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
        want = dict(enumerate(CHARACTERS.index(char) for char in scene.word.text.upper()))
        assert spelling == want
        ends = (targets["index"] + targets["following"])[has_character]
        assert (ends == len(want) - 1).all()
        spelled += 1
    assert spelled > 40
