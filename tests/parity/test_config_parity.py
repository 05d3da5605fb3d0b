import json

from oracle import read_oracle_config

from omnireel.model.config import read_config


def test_a_config_saved_by_transformers_is_read_as_the_same_config(checkpoint, tmp_path):
    """It has new field names, a list of layer kinds, and infinity as {"__float__": "Infinity"}."""
    read_oracle_config(checkpoint).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert "text_config" in saved
    assert "llm_config" not in saved
    assert saved["text_config"]["time_step_limit"] == [0.0, {"__float__": "Infinity"}]
    assert read_config(tmp_path) == read_config(checkpoint)
