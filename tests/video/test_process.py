"""A reader stays correct, whatever a compromised decoding child does."""

import logging
import os
import subprocess
import sys
import time

import pytest
from clips import ClipSpec, write_clip
from processes import children_of, is_running, parent_of

from omnireel.errors import InputError
from omnireel.video.limits import SUPPORTED_CODECS, VideoLimits
from omnireel.video.messages import RECORD_BYTES, Facts, FrameReady
from omnireel.video.reader import budget, children, process
from omnireel.video.reader.frames import Sampling, open_clip


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
def test_an_invalid_answer_fails_the_clip_and_nothing_else(script, hostile, clip):
    hostile(script)
    with pytest.raises(InputError) as caught:
        open_clip(clip)
    assert caught.value.kind == "video_decode_failed"


def test_a_child_that_sends_endless_frames_is_ended(hostile, clip):
    facts = Facts(160, 90, 0, 0, 0, 0, 60, 0, 60, 30.0, 2.0).pack()
    hostile(f"os.write(1, {facts!r})\nwhile True: os.write(1, {FrameReady(0, 0, 0.0).pack()!r})")
    with open_clip(clip) as reader, pytest.raises(InputError) as caught:
        list(reader.read_frames())
    assert caught.value.kind == "video_decode_failed"


@pytest.mark.parametrize("lie", [{"width": 60000, "height": 60000}, {"num_source_frames": 1 << 24}])
def test_facts_beyond_the_limits_are_refused(lie, hostile, clip):
    facts = Facts(160, 90, 0, 0, 0, 0, 60, 0, 60, 30.0, 2.0)._replace(**lie).pack()
    hostile(f"os.write(1, {facts!r}); time.sleep(60)")
    with pytest.raises(InputError) as caught:
        open_clip(clip)
    assert caught.value.kind == "video_decode_failed"


def test_a_child_that_sends_endless_facts_is_ended(hostile, clip):
    facts = Facts(160, 90, 0, 0, 0, 0, 60, 0, 60, 30.0, 2.0).pack()
    hostile(f"\nwhile True: os.write(1, {facts!r})")
    with open_clip(clip) as reader, pytest.raises(InputError) as caught:
        list(reader.read_frames())
    assert caught.value.kind == "video_decode_failed"


def test_a_child_that_sends_a_frame_that_was_not_chosen_is_ended(hostile, clip):
    facts = Facts(160, 90, 0, 0, 0, 0, 60, 0, 60, 30.0, 2.0).pack()
    hostile(f"os.write(1, {facts!r}); os.write(1, {FrameReady(1, 0, 0.0).pack()!r}); time.sleep(60)")
    with open_clip(clip, Sampling(fps=1.0)) as reader, pytest.raises(InputError) as caught:
        list(reader.read_frames())
    assert caught.value.kind == "video_decode_failed"


def test_a_child_that_computes_for_longer_than_its_clip_explains_is_ended(hostile, clip, monkeypatch):
    monkeypatch.setattr(budget, "_LEAST_S", 0.3)
    hostile("while True: pass")
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        open_clip(clip, limits=VideoLimits(timeout_s=600))
    assert caught.value.kind == "video_decode_timeout"
    assert time.monotonic() - began < 300


def test_a_clip_may_take_processor_time_by_its_pixels_frames_and_codec():
    small = Facts(160, 90, 0, 0, 0, 0, 60, 0, 60, 30.0, 2.0)
    large = small._replace(width=1920, height=1080, num_source_frames=3600, num_in_window=3600)
    assert budget.decoding_s(small) < 1
    assert 150 < budget.decoding_s(large) < 300
    assert budget.decoding_s(large._replace(num_in_window=360)) == pytest.approx(
        budget.decoding_s(large) / 10
    )
    assert budget.decoding_s(large._replace(codec=SUPPORTED_CODECS.index("av1"))) > budget.decoding_s(large)
    assert budget.reading_s(1 << 30) > budget.reading_s(1 << 20) + 60


def test_a_child_that_never_answers_is_ended(hostile, clip):
    hostile("time.sleep(60)")
    with pytest.raises(InputError) as caught:
        open_clip(clip, limits=VideoLimits(timeout_s=0.5))
    assert caught.value.kind == "video_decode_timeout"


def test_a_child_ends_with_the_process_that_started_it():
    """The kernel ends it, so a child that ignores its closed socket ends as well."""
    script = "import sys, time; sys.path.insert(0, sys.argv[1]); from omnireel.video.decoder.sandbox import die_with;"
    script += "die_with(int(sys.argv[2])); print('ready', flush=True); time.sleep(60)"
    packages = children._PACKAGES
    parent = (
        "import os, subprocess, sys;"
        f"c = subprocess.Popen([sys.executable, '-I', '-c', {script!r}, {packages!r}, str(os.getpid())],"
        " stdout=subprocess.PIPE); c.stdout.readline(); print(c.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", parent], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    ends_at = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < ends_at:
        time.sleep(0.02)
    assert not is_running(pid)


def test_every_clip_has_its_own_child_of_one_fork_server(clip):
    every = Sampling(fps=None)
    with open_clip(clip, every) as one, open_clip(clip, every) as other:
        assert one.child_pid != other.child_pid
        assert parent_of(one.child_pid) == parent_of(other.child_pid) == children._fork_server._process.pid
        assert len(list(one.read_frames())) == len(list(other.read_frames())) == len(one.facts.indices)


def test_the_fork_server_can_be_stopped_while_a_clip_is_open(clip):
    with open_clip(clip):
        fork_server = children._fork_server._process.pid
    children.stop_fork_server()
    assert not is_running(fork_server)


def test_a_killed_fork_server_is_replaced_for_this_clip_and_the_next(clip):
    with open_clip(clip, Sampling(fps=None)) as reader:
        children._fork_server._process.kill()
        assert len(list(reader.read_frames())) == len(reader.facts.indices)
    with open_clip(clip) as reader:
        assert len(list(reader.read_frames())) == len(reader.facts.indices)


def test_a_child_has_no_open_files_but_its_standard_streams(hostile):
    hostile("sys.exit(' '.join(sorted(os.listdir('/proc/self/fd'))))")
    neighbour, child = children.fork_child(), children.fork_child()
    try:
        child.send(b"go")
        assert child.wait() == 1
        # The fourth one is the directory that is listed.
        assert os.read(child.stderr, 100) == b"0 1 2 3"
    finally:
        neighbour.end()
        child.end()


def test_a_finished_child_leaves_no_process_and_no_open_file(clip):
    children.start_fork_server()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with open_clip(clip) as reader:
            list(reader.read_frames())
    fork_server = children._fork_server._process.pid
    assert len(os.listdir("/proc/self/fd")) == before
    ends_at = time.monotonic() + 10
    while (left := children_of(fork_server)) and time.monotonic() < ends_at:
        time.sleep(0.02)
    assert not left
    assert len(os.listdir(f"/proc/{fork_server}/fd")) < 8


def test_a_child_that_closes_its_output_and_keeps_running_is_ended(hostile, clip):
    hostile("os.close(1); time.sleep(60)")
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        open_clip(clip)
    assert caught.value.kind == "video_decode_failed"
    assert time.monotonic() - began < 20


def test_the_childs_stderr_goes_to_the_log_only(hostile, clip, caplog):
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


def test_a_slow_caller_does_not_use_up_the_decoders_time(tmp_path):
    """Only waiting for the decoder counts. The caller may take longer for the frames than the timeout."""
    path = write_clip(tmp_path / "clip.mp4", ClipSpec(num_frames=30))
    with open_clip(path, Sampling(fps=None)) as reader:
        used_s = reader._limits.timeout_s - reader._wait_left_s
        reader._wait_left_s = used_s + 1.0
        seen = []
        for frame in reader.read_frames():
            seen.append(frame.index)
            if len(seen) % 10 == 0:
                time.sleep(0.5)
    assert seen == list(range(30))
