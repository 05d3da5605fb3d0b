"""`omnireel inspect` on checkpoints without weights, run as a command."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from omnireel.cli.backend import DEMO
from tools.scaled_checkpoint import PUBLISHED, TEMPLATE, published_config_json, tokenizer_json

# Runs the command line, then writes to stderr whether torch was loaded.
REPORTS_TORCH = """
import sys, omnireel.cli
try:
    omnireel.cli.main()
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""


def write_demo(directory):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(DEMO / name, directory)


def write_published(directory):
    (directory / "config.json").write_text(json.dumps(published_config_json()), "utf-8")
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer_json(PUBLISHED.vocab_size)), "utf-8")
    (directory / "chat_template.jinja").write_text(TEMPLATE, "utf-8")


@pytest.fixture(params=[write_demo, write_published], ids=["demo", "published geometry"])
def checkpoint(request, tmp_path):
    """A directory with everything but weights."""
    directory = tmp_path / "checkpoint"
    directory.mkdir()
    request.param(directory)
    return directory


def test_frames_tokens_and_price_need_neither_weights_nor_torch(checkpoint, clip, environment):
    begun = time.monotonic()
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            REPORTS_TORCH,
            "inspect",
            clip,
            "What moves?",
            "--model",
            checkpoint,
            "--json",
        ],
        capture_output=True,
        encoding="utf-8",
        env=environment | {"OMNIREEL_BACKEND": "local", "OMNIREEL_DATA_DIR": str(checkpoint / "data")},
        timeout=60,
        check=True,
    )
    took_s = time.monotonic() - begun
    report = json.loads(ran.stdout)
    assert report["video"]["frame_indices"] == [0, 6, 12, 19]
    assert report["video"]["vision_tokens"] > report["video"]["kept_tokens"] > 0
    assert report["usage"]["input_tokens"] > report["video"]["kept_tokens"]
    assert report["input_price_usd"] == pytest.approx(report["usage"]["input_tokens"] * 0.006 / 1000)
    assert ran.stderr.splitlines()[-1] == "False", "torch was loaded"
    assert took_s < 10  # about one second on an idle machine


def test_inspecting_the_demo_with_its_weights_gives_the_same(omnireel, clip, tmp_path):
    directory = tmp_path / "checkpoint"
    directory.mkdir()
    write_demo(directory)
    local = {"OMNIREEL_BACKEND": "local", "OMNIREEL_DATA_DIR": str(tmp_path / "data")}
    with_weights, without = (
        json.loads(omnireel("inspect", clip, "What moves?", "--model", model, "--json", **local).stdout)
        for model in ("demo", directory)
    )
    assert with_weights == without
    asked = omnireel("ask", clip, "What moves?", "--max-tokens", "1", "--json", **local)
    assert json.loads(asked.stdout)["usage"]["input_tokens"] == without["usage"]["input_tokens"]


def test_the_expected_time_is_known_once_the_model_has_answered_here(omnireel, clip, tmp_path):
    local = {"OMNIREEL_BACKEND": "local", "OMNIREEL_DATA_DIR": str(tmp_path / "data")}

    def expected(command="inspect", key="expected_s"):
        return json.loads(omnireel(command, clip, "What moves?", "--json", **local).stdout)[key]

    assert set(expected().values()) == {None}
    assert omnireel("ask", clip, "What moves?", "--max-tokens", "3", **local).returncode == 0
    first = expected()
    assert all(seconds > 0 for seconds in first.values())
    assert expected() == first
    report = json.loads(omnireel("doctor", "--port", "0", "--json", **local).stdout)
    (demo,) = [fit for fit in report["fits"] if fit["name"] == "demo"]
    assert demo["measured_decode_s"] == pytest.approx(1 / first["each_token"])
    (kept,) = (tmp_path / "data" / "rates").iterdir()
    kept.write_text("damaged")
    assert set(expected().values()) == {None}


def test_asking_a_checkpoint_without_weights_exits_with_3(omnireel, checkpoint, clip):
    ran = omnireel("ask", clip, "hello", "--model", checkpoint, OMNIREEL_BACKEND="local")
    assert ran.returncode == 3
    assert "model.safetensors" in ran.stderr
