import json
from pathlib import Path


def test_vllm_takes_every_field_frame_and_sound_that_is_sent(run_vllms_python, sent_bodies, tmp_path):
    file = tmp_path / "bodies.json"
    file.write_text(json.dumps(sent_bodies), encoding="utf-8")
    printed = run_vllms_python(Path(__file__).parent / "protocol.py", file)
    assert "vLLM takes every field" in printed
