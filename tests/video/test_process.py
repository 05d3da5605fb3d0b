"""What a child that has been taken over can and cannot do to its reader."""

import logging
import os
import sys

import pytest
from clips import ClipSpec, write_clip

from omnireel.errors import InputError
from omnireel.video import process
from omnireel.video.frames import Sampling, open_clip
from omnireel.video.messages import RECORD_BYTES, FrameReady

SAY = "import os, sys, time; sys.stdin.buffer.read1(); "


@pytest.fixture
def hostile(monkeypatch):
    """Put a script in the child's place."""

    def replace_child(script):
        monkeypatch.setattr(process, "_COMMAND", (sys.executable, "-I", "-c", SAY + script))

    return replace_child


@pytest.mark.parametrize(
    "script",
    [
        f"os.write(1, b'\\xff' * {RECORD_BYTES})",
        "os.write(1, b'short')",
        f"os.write(1, {FrameReady(0, 0, 0.0).pack()!r})",
        "sys.exit(0)",
        "sys.exit('words')",
    ],
)
def test_an_impossible_answer_fails_the_clip_and_nothing_else(script, hostile, clip):
    hostile(script)
    with pytest.raises(InputError) as caught:
        open_clip(clip)
    assert caught.value.kind == "video_decode_failed"


def test_the_childs_last_words_go_to_the_log_only(hostile, clip, caplog):
    hostile("sys.exit('secret /path')")
    with caplog.at_level(logging.WARNING), pytest.raises(InputError) as caught:
        open_clip(clip)
    assert "secret /path" in caplog.text
    assert "secret" not in caught.value.message


def test_the_shared_memory_cannot_be_resized():
    fd = process._sealed_memory(8192)
    try:
        for size in (4096, 16384):
            with pytest.raises(PermissionError):
                os.ftruncate(fd, size)
    finally:
        os.close(fd)


def test_a_slow_consumer_does_not_use_up_the_decoders_time(tmp_path, monkeypatch):
    """Only waiting counts: each frame may be looked at for longer than the whole timeout."""
    path = write_clip(tmp_path / "clip.mp4", ClipSpec(num_frames=30))
    with open_clip(path, Sampling(fps=None)) as reader:
        used_s = reader._limits.timeout_s - reader._wait_left_s
        reader._wait_left_s = used_s + 1.0
        seen = []
        for frame in reader.read_frames():
            seen.append(frame.index)
            if len(seen) % 10 == 0:
                process.time.sleep(0.5)
    assert seen == list(range(30))
