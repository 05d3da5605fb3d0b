"""What question training loads at its start and does in each step."""

import re
from pathlib import Path
from random import Random

import pytest
import torch

import omnireel
from omnireel.prompting.layout import time_labels
from omnireel.text.tokenizer import Tokenizer
from training import talk_batch
from training.dense import NO_LOSS
from training.loop import HEADS_ONLY_STEPS, Schedule, digest
from training.pictures.footage import Pictures
from training.recipe import demo_config, pixel_spec
from training.scenes import COLOURS, SHAPES
from training.start import Start, move_word_rows
from training.talk import TalkStage
from training.talk_batch import Curriculum, Row, TalkBatches, encode_spelled, make_timing, padded, part_of
from training.vocabulary import read_words

DEMO = Path(omnireel.__file__).parent / "assets" / "demo"
SPEC = pixel_spec(demo_config())


def _text(batches: TalkBatches, ids: list[int]) -> str:
    return b"".join(map(batches.tokenizer.token_bytes, ids)).decode()


def test_words_keep_their_rows_in_a_new_vocabulary():
    old, new = {"red": 0, "star": 1, "gone": 2}, {"star": 0, "new": 1, "red": 2}
    tables = ("language_model.backbone.embeddings.weight", "language_model.lm_head.weight")
    weights = {name: torch.arange(6.0).view(3, 2) + 10 * n for n, name in enumerate(tables)}
    fresh = {name: torch.full((3, 2), -1.0) for name in tables}
    place_table = "vision_model.radio_model.model.patch_generator.pos_embed"
    weights[place_table] = fresh[place_table] = torch.ones(1, 3, 2)
    moved = move_word_rows(weights, fresh, old, new)
    for name in tables:
        assert torch.equal(moved[name], torch.stack([weights[name][1], fresh[name][1], weights[name][0]]))
    assert moved[place_table] is weights[place_table]
    assert weights[tables[0]][0, 0] == 0, "the given weights are not changed"


def test_the_digest_depends_on_the_weights_and_not_on_the_file_name(tmp_path):
    model = tmp_path / "demo"
    model.mkdir()
    names = []
    for weights in (b"first", b"second"):
        (model / "model.safetensors").write_bytes(weights)
        names.append(digest(model))
    assert names[0] != names[1]
    (tmp_path / "last.pt").write_bytes(b"second")
    assert digest(tmp_path / "last.pt") == names[1]


def test_each_step_adjusts_the_selection_bias_by_the_loads_of_the_step_before_only():
    stage = TalkStage(Start(DEMO, None), DEMO, Curriculum(tubelets=6, questions=12))
    batch = stage.batch(Random(1), 0)
    biases = [router.e_score_correction_bias for router in stage.routers]
    before = [bias.clone() for bias in biases]
    with torch.no_grad():
        stage.loss(batch, 0)
        num_loads = len(stage.loads)
        assert all(torch.equal(a, b) for a, b in zip(biases, before, strict=True))
        stage.loss(batch, 1)
    assert len(stage.loads) == num_loads
    assert not any(torch.equal(a, b) for a, b in zip(biases, before, strict=True))


def test_a_decision_has_the_same_weight_after_a_chain_of_any_length_and_a_first_token_that_of_a_word():
    end = 3
    rows = padded([Row([7, 8, 9], [], [6, 5, end]), Row([7, 8], [1, 2, 4, 6], [6, 5, end])])
    assert rows.ids.tolist() == [[7, 8, 9, 6, 5, 0, 0, 0], [7, 8, 1, 2, 4, 6, 6, 5]]
    nothing = [NO_LOSS] * 3
    assert rows.targets.tolist() == [
        [NO_LOSS, NO_LOSS, 6, 5, end, *nothing],
        [NO_LOSS, 1, 2, 4, 6, 6, 5, end],
    ]
    for weights, targets in zip(rows.weights, rows.targets, strict=True):
        assert weights[targets == end] == weights[targets == 5] == pytest.approx(3**-0.5)
        assert not weights[targets == NO_LOSS].any()
    assert rows.weights[1, 1:5].tolist() == [1.0, 0.5, 0.5, 0.5]
    assert rows.weights[0, 2] == 1.0


def test_a_decision_begins_with_the_conclusion():
    batches = TalkBatches(Curriculum(tubelets=6, questions=12), DEMO, SPEC, Pictures(None))
    decisions = []
    for step in range(6):
        for group in batches.make(Random(step), step).suffixes:
            for targets, weights in zip(group.targets, group.weights, strict=True):
                target_ids, weight = targets[targets != NO_LOSS], weights[targets != NO_LOSS]
                text = _text(batches, target_ids[weight == weight[-1]].tolist())
                if weight[1] != weight[-1]:
                    decisions.append(text)
    assert len(decisions) > 12
    assert all(text.startswith(" So: ") for text in decisions)


def test_the_decision_after_a_counterfactual_chain_follows_from_the_chain(monkeypatch):
    monkeypatch.setattr(talk_batch, "COUNTERFACTUAL", 1.0)
    monkeypatch.setattr(talk_batch, "PICTURED", 0.0)
    monkeypatch.setattr(talk_batch, "EMPTY_SHARE", 0.0)
    batches = TalkBatches(Curriculum(tubelets=6, questions=24), DEMO, SPEC, Pictures(None))
    name = re.compile(f"(?<!no )({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})")
    chains, named = set(), 0
    for step in range(8):
        for group in batches.make(Random(step), step).suffixes:
            for ids, targets in zip(group.ids.tolist(), group.targets.tolist(), strict=True):
                start = next(i for i, target in enumerate(targets) if target != NO_LOSS) + 1
                thoughts = _text(batches, ids[:start]).rpartition("<think>")[2]
                if "</think>" in thoughts:
                    continue
                decision = _text(batches, [target for target in targets if target != NO_LOSS])
                assert decision.startswith(" So: "), "the model must not learn to write counterfactual chains"
                seen, decided = (set(name.findall(text)) for text in (thoughts, decision))
                assert decided <= seen
                chains.add(thoughts)
                named += len(decided)
    assert named > 40
    assert len(chains) > 50, "each clip has many chains"


def test_a_part_of_a_clip_keeps_the_seconds_of_the_whole():
    rng, parts = Random(3), 0
    for _ in range(60):
        whole = make_timing(rng, 20)
        part = part_of(rng, whole)
        if part == whole:
            assert whole.duration_s < 4
            continue
        parts += 1
        assert part.duration_s == whole.duration_s
        assert 0.9 < part.times_s[0] < part.times_s[-1] < whole.duration_s
        label = re.findall(r"[\d.]+(?= seconds)", time_labels(part.indices, part.fps)[0])
        assert float(label[0]) == pytest.approx(part.times_s[0], rel=0.05)
    assert parts > 30


def test_the_rate_rises_to_its_peak_and_falls_to_nothing():
    schedule = Schedule(steps=200, peak_rate=1.0, warmup=50)
    rates = [schedule.rate(step) for step in range(201)]
    assert max(rates) == rates[49] == rates[50] == 1.0
    assert rates[:50] == sorted(rates[:50])
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[-1] == 0.0


def test_the_heads_do_not_change_gradients_of_the_model_in_the_first_steps():
    stage = TalkStage(Start(DEMO, None), DEMO, Curriculum(tubelets=6, questions=12))
    batch = stage.batch(Random(1), 0)

    def gradient(step: int) -> torch.Tensor:
        stage.model_with_heads.zero_grad()
        stage.loads.clear()  # otherwise the selection bias would differ between the calls
        stage.loss(batch, step)[0].backward()
        return torch.cat([p.grad.flatten() for p in stage.model.mlp1.parameters()])

    without_heads, with_heads = gradient(0), gradient(HEADS_ONLY_STEPS)
    with torch.no_grad():
        for name, parameter in stage.model_with_heads.named_parameters():
            if not name.startswith("model."):
                parameter.mul_(3)
    torch.testing.assert_close(gradient(0), without_heads)
    assert (gradient(HEADS_ONLY_STEPS) - with_heads).norm() > 0.1 * with_heads.norm()


@pytest.mark.parametrize(
    ("text", "word", "is_word"),
    [
        ("The text says good bus", "good bus", False),
        ("A red star moves left. The text says red So: red\n</think>\nThe text says red", "red", True),
        ('{"answer": "Tea 12"}', "Tea 12", True),
        ("star", "star", True),
        ("The star is red.", "red", False),
    ],
)
def test_what_a_text_says_is_spelled_with_a_token_for_each_character(text: str, word: str, is_word: bool):
    tokenizer, words = Tokenizer.from_directory(DEMO), read_words(DEMO / "tokenizer.json")
    ids = encode_spelled(tokenizer, words, text, word, is_word=is_word)
    parts = [tokenizer.token_bytes(i).decode() for i in ids]
    assert "".join(parts) == text
    spelled = "|".join(word)
    assert "|".join(parts).count(spelled) == (len(re.findall(f"(says |So: ){word}", text)) or int(is_word))
