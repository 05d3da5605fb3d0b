"""A stage that continues starts with the given weights, and an export writes them."""

from pathlib import Path

import pytest
import torch
from torch import nn

import omnireel
from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.model.omni import Omni
from training.export import export
from training.model_with_heads import WORDS
from training.recipe import LOGIT_SCALE
from training.start import Start
from training.talk import TalkStage
from training.talk_batch import Curriculum
from training.tower import TowerStage
from training.vocabulary import read_words
from training.weights import READ_OUT

DEMO = Path(omnireel.__file__).parent / "assets" / "demo"


@pytest.fixture(scope="module")
def shipped() -> Omni:
    return load_checkpoint(DEMO, torch.float32)


def _same(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_tower_training_continues_from_a_finished_model_and_from_the_checkpoint_of_either_stage(
    shipped: Omni, tmp_path: Path
):
    stage = TowerStage(DEMO)
    assert _same(stage.tower, shipped.vision_model)
    with torch.no_grad():
        next(stage.tower.parameters()).add_(1)
    torch.save({"module": stage.state_dict()}, tmp_path / "last.pt")
    assert _same(TowerStage(tmp_path / "last.pt").tower, stage.tower)
    whole = TalkStage(Start(DEMO, tmp_path / "last.pt"), DEMO, Curriculum()).model_with_heads
    torch.save({"module": whole.state_dict()}, tmp_path / "whole.pt")
    assert _same(TowerStage(tmp_path / "whole.pt").tower, stage.tower)


def test_question_training_continues_from_a_model_with_another_tower(shipped: Omni, tmp_path: Path):
    tower = TowerStage()
    torch.save({"module": tower.state_dict()}, tmp_path / "last.pt")
    model = TalkStage(Start(DEMO, tmp_path / "last.pt"), DEMO, Curriculum()).model
    assert _same(model.vision_model, tower.tower)
    assert _same(model.language_model.backbone, shipped.language_model.backbone)
    assert _same(model.mlp1, shipped.mlp1)


def test_loading_and_exporting_a_model_changes_nothing(shipped: Omni, tmp_path: Path):
    stage = TalkStage(Start(DEMO, None), DEMO, Curriculum())
    torch.save({"module": stage.trained().state_dict()}, tmp_path / "last.pt")
    export(tmp_path / "last.pt", tmp_path / "again")
    assert _same(load_checkpoint(tmp_path / "again", torch.float32), shipped)
    logits = [m.logits(torch.ones(1, 1, m.config.language.hidden_size)) for m in (shipped, stage.model)]
    assert torch.equal(logits[0], LOGIT_SCALE * logits[1])


def test_word_rows_are_moved_from_the_vocabulary_of_the_checkpoint(tmp_path: Path):
    words = read_words(DEMO / "tokenizer.json")
    shifted = {word: (number + 1) % len(words) for word, number in words.items()}
    stage = TalkStage(Start(DEMO, None), DEMO, Curriculum())
    torch.save({"module": stage.model_with_heads.state_dict() | {WORDS: shifted}}, tmp_path / "last.pt")
    model = TalkStage(Start(tmp_path / "last.pt", None), DEMO, Curriculum()).model
    for name in ("language_model.backbone.embeddings.weight", READ_OUT):
        assert torch.equal(model.get_parameter(name), stage.model.get_parameter(name).roll(-1, 0))
    with pytest.raises(ValueError, match="another vocabulary"):
        stage.model_with_heads.load_state_dict(stage.model_with_heads.state_dict() | {WORDS: shifted})
    with pytest.raises(ValueError, match="another vocabulary"):
        export(tmp_path / "last.pt", tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


def test_a_checkpoint_that_lacks_a_weight_of_the_model_is_refused(tmp_path: Path):
    saved = TalkStage(Start(DEMO, None), DEMO, Curriculum()).model_with_heads.state_dict()
    del saved["model.mlp1.0.weight"]
    torch.save({"module": saved}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match="mlp1"):
        TalkStage(Start(tmp_path / "last.pt", None), DEMO, Curriculum())


def test_models_of_different_kinds_cannot_be_averaged(tmp_path: Path):
    torch.save({"module": TowerStage().state_dict()}, tmp_path / "tower.pt")
    saved = TalkStage(Start(DEMO, None), DEMO, Curriculum()).model_with_heads.state_dict()
    torch.save({"module": saved}, tmp_path / "whole.pt")
    del saved["model.mlp1.0.weight"]
    torch.save({"module": saved}, tmp_path / "smaller.pt")
    with pytest.raises(ValueError, match="a tower alone"):
        export(tmp_path / "whole.pt", tmp_path / "demo", [tmp_path / "tower.pt"])
    for one, other in (("whole.pt", "smaller.pt"), ("smaller.pt", "whole.pt")):
        with pytest.raises(ValueError, match=r"smaller\.pt.*mlp1\.0\.weight"):
            export(tmp_path / one, tmp_path / "demo", [tmp_path / other])
    assert not (tmp_path / "demo").exists()


def test_an_export_with_other_models_writes_their_mean(tmp_path: Path):
    stage = TalkStage(Start(DEMO, None), DEMO, Curriculum())
    saved = stage.model_with_heads.state_dict()
    before = saved["model.mlp1.1.weight"].clone()
    for number, moved in enumerate((1.0, 5.0)):
        torch.save({"module": saved | {"model.mlp1.1.weight": before + moved}}, tmp_path / f"{number}.pt")
    export(tmp_path / "0.pt", tmp_path / "demo", [tmp_path / "1.pt", DEMO])
    mean = load_checkpoint(tmp_path / "demo", torch.float32).state_dict()
    torch.testing.assert_close(mean.pop("mlp1.1.weight"), (before + 2.0).bfloat16().float())
    shipped = load_checkpoint(DEMO, torch.float32).state_dict()
    assert all(torch.allclose(mean[name], shipped[name], rtol=1e-6) for name in mean)
