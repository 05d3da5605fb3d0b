"""What a continued training run takes over from the model it starts with."""

import torch

from training.loop import digest
from training.talk import carry_words


def test_words_keep_their_rows_wherever_a_new_vocabulary_has_them():
    old, new = {"red": 0, "star": 1, "gone": 2}, {"star": 0, "new": 1, "red": 2}
    tables = ("language_model.backbone.embeddings.weight", "language_model.lm_head.weight")
    weights = {name: torch.arange(6.0).view(3, 2) + 10 * n for n, name in enumerate(tables)}
    fresh = {name: torch.full((3, 2), -1.0) for name in tables}
    place_table = "vision_model.radio_model.model.patch_generator.pos_embed"
    weights[place_table] = fresh[place_table] = torch.ones(1, 3, 2)
    carried = carry_words(weights, fresh, old, new)
    for name in tables:
        assert torch.equal(carried[name], torch.stack([weights[name][1], fresh[name][1], weights[name][0]]))
    assert carried[place_table] is weights[place_table]
    assert weights[tables[0]][0, 0] == 0, "what is given stays as it is"


def test_a_continued_run_sees_clips_of_its_own_even_when_its_start_has_an_old_name(tmp_path):
    model = tmp_path / "demo"
    model.mkdir()
    names = []
    for weights in (b"first", b"second"):
        (model / "model.safetensors").write_bytes(weights)
        names.append(digest(model))
    assert names[0] != names[1]
    (tmp_path / "last.pt").write_bytes(b"second")
    assert digest(tmp_path / "last.pt") == names[1]
