"""Clips that are no simple scene: what they show, and what is asked and answered about them."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

import omnireel
from training import outside, talk_batch
from training.dense import NO_LOSS
from training.judge import is_right
from training.pictures import footage
from training.pictures.footage import KINDS, Pictures
from training.pictures.sources import SOURCES, reduce
from training.questions.question import Question
from training.questions.unseen import EMPTY, PICTURE
from training.recipe import demo_config, pixel_spec
from training.scenes import training_scene
from training.story import MANY
from training.styles import chain
from training.talk_batch import QUESTION_SHARES, Curriculum, TalkBatches, make_timing

DEMO = Path(omnireel.__file__).parent / "assets" / "demo"
DRAWN = [kind for kind in KINDS if kind not in ("photo", "sprite")]


@pytest.fixture
def batches() -> TalkBatches:
    return TalkBatches(Curriculum(tubelets=6, questions=12), DEMO, pixel_spec(demo_config()), Pictures(None))


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("held_out", [False, True])
def test_a_clip_of_each_drawn_kind_has_something_to_see(kind, held_out):
    for seed in range(4):
        footage = Pictures(None, held_out=held_out).footage(Random(seed), 6.0, 16 / 9, kind)
        frames = footage.paint([0.0, 3.0, 5.9], 160, 90)
        assert frames.shape == (3, 90, 160, 3)
        assert frames.std() > 2


def test_a_photograph_fills_the_frame_and_the_camera_moves(tmp_path):
    for source in SOURCES:
        (tmp_path / source.package).mkdir()
        noise = np.random.default_rng(1).integers(0, 256, (200, 320, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / source.package / "000.png")
    pictures = Pictures(tmp_path)
    moved = 0
    for seed in range(6):
        footage = pictures.footage(Random(seed), 4.0, 16 / 9, "mate-backgrounds")
        first, last = footage.paint([0.0, 3.9], 64, 36)
        assert first.std() > 8
        moved += bool((first != last).mean() > 0.5)
    assert moved > 2
    assert {s.package for s in SOURCES if s.is_held_out}.isdisjoint(pictures.sources())


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"mate-backgrounds is missing. Run `python -m training pictures`"
    ):
        Pictures(tmp_path)


def test_pictures_of_a_package_are_reduced_and_tiny_ones_left_out(tmp_path):
    source = next(s for s in SOURCES if s.content == "photo")
    folder = tmp_path / "unpacked" / "usr" / "mate" / "nature"
    folder.mkdir(parents=True)
    for name, size in (("a", (3000, 2000)), ("b", (1500, 900)), ("c", (40, 40))):
        Image.new("RGB", size, (10, 200, 30)).save(folder / f"{name}.png")
    (tmp_path / "reduced").mkdir()
    reduce(source, tmp_path / "unpacked", tmp_path / "reduced")
    for file in (tmp_path / "reduced").iterdir():
        with Image.open(file) as small:
            assert small.width == 1024
    assert len(list((tmp_path / "reduced").iterdir())) == 2


def _asked(batches: TalkBatches, count: int) -> list[tuple[talk_batch.Shown, Question]]:
    rng = Random(5)
    found = []
    for _ in range(count):
        shown = batches._shown(rng, make_timing(rng, 8), 16 / 9)
        found += [(shown, shown.ask(rng, QUESTION_SHARES)) for _ in range(8)]
    return found


def test_every_question_about_another_picture_is_refused_with_its_chain(batches, monkeypatch):
    monkeypatch.setattr(talk_batch, "PICTURED", 1.0)
    asked = _asked(batches, 30)
    assert len({question.text for _, question in asked}) > 150, (
        "the words are those of questions about scenes"
    )
    for shown, question in asked:
        assert question.kind == PICTURE
        assert question.sentence == outside.ANSWER
        assert chain(shown.view, question) == "I see no simple scene. So: unknown"
        assert is_right(question, outside.ANSWER)
        assert not is_right(question, "The red circle moves left.")


def test_an_empty_clip_has_nothing_to_see_and_counts_are_zero(batches, monkeypatch):
    monkeypatch.setattr(talk_batch, "PICTURED", 0.0)
    monkeypatch.setattr(talk_batch, "EMPTY_SHARE", 1.0)
    shorts = set()
    for shown, question in _asked(batches, 30):
        if question.kind != EMPTY:
            assert question.kind == "outside my world"
            continue
        shorts.add(question.short)
        assert question.sentence.startswith("There is nothing to see")
        assert is_right(question, question.sentence)
        assert not is_right(question, "There is a red circle, so one.")
        assert chain(shown.view, question).startswith("I see nothing. So: ")
    assert shorts == {"nothing", "no", "zero"}


def test_another_picture_has_no_target_but_the_time_and_that_it_is_none(batches, monkeypatch):
    monkeypatch.setattr(talk_batch, "PICTURED", 1.0)
    batch = batches.make(Random(1), 0)
    assert (batch.story["world"][:, -1] == 2).all()
    assert (batch.watched["now"] >= 0).all()
    others = [batch.watched["kinds"], batch.bound["kind"], batch.story["presence"]]
    assert all((target == NO_LOSS).all() for target in others)


@pytest.mark.parametrize(
    ("kind", "counts", "has_odd", "has_patches"),
    [
        ("many things", {MANY}, {False}, True),
        ("other shapes", {NO_LOSS}, {True}, True),
        ("texture", {NO_LOSS}, {False}, False),
        ("pan", {NO_LOSS}, {False}, False),
    ],
)
def test_targets_of_other_shapes_and_of_many_things_say_what_is_odd(
    batches, monkeypatch, *, kind: str, counts: set[int], has_odd: set[bool], has_patches: bool
):
    monkeypatch.setattr(talk_batch, "PICTURED", 1.0)
    monkeypatch.setattr(footage, "KINDS", {kind: 1.0})
    batch = batches.make(Random(2), 0)
    assert set(batch.story["count"][:, -1].tolist()) == counts
    assert (batch.story["count"][:, :-1] == NO_LOSS).all()
    assert {bool((odd > 0).any()) for odd in batch.bound["odd"]} == has_odd
    assert bool((batch.patches["object"] > 0).any()) == has_patches


def test_a_scene_counts_as_one_once_something_has_been_seen(batches, monkeypatch):
    monkeypatch.setattr(talk_batch, "PICTURED", 0.0)
    monkeypatch.setattr(talk_batch, "EMPTY_SHARE", 0.0)
    for step in range(3):
        story = batches.make(Random(step), step).story
        assert torch.equal(story["world"] == 1, story["count"] > 0)


def test_scenes_behind_other_shapes_are_as_rich_as_simple_ones():
    def shares(scenes):
        several = [scene for scene in scenes if len(scene.things) > 1]
        twins = [s for s in several if len({t.name for t in s.things}) < len(s.things)]
        moving = [s for s in several if any(t.appears_s or t.disappears_s for t in s.things)]
        small = [s for s in several if any(t.size < 0.15 for t in s.things)]
        return [len(part) / len(several) for part in (twins, moving, small, [s for s in several if s.words])]

    rng, pictures = Random(1), Pictures(None)
    odd = shares([pictures.footage(rng, 8.0, 16 / 9, "outlines").scene for _ in range(150)])
    simple = shares([training_scene(rng, 8.0, 16 / 9) for _ in range(150)])
    assert odd == pytest.approx(simple, abs=0.2)
