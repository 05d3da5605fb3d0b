import os
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from clips import ClipSpec, frames_of, moving_square, write_clip
from processes import is_running

from omnireel.video.reader.frames import Sampling, open_clip

SAMPLINGS = [
    Sampling(fps=2),
    Sampling(fps=None, max_frames=None),
    Sampling(fps=10, start_s=1.0, end_s=1.6),
    Sampling(fps=None, start_s=1.05, end_s=1.2),
]
GRAIN = np.random.default_rng(0).integers(0, 40, (8, 90, 160, 3), np.uint8)
VARIANTS = {
    "h264-pyramid": ClipSpec(options={"preset": "medium", "bf": "6", "x264-params": "b-pyramid=strict"}),
    "h264-open-groups": ClipSpec(options={"preset": "medium", "bf": "4", "x264-params": "open-gop=1"}),
    "h264-intra-refresh": ClipSpec(options={"x264-params": "intra-refresh=1"}),
    "h264-fragmented": ClipSpec(container_options={"movflags": "frag_keyframe+empty_moov"}),
    "h264-moov-first": ClipSpec(container_options={"movflags": "faststart"}),
    "hevc-open-groups": ClipSpec(
        "hevc", options={"x265-params": "log-level=none:open-gop=1:bframes=4:b-adapt=0"}
    ),
    "hevc-closed-groups": ClipSpec("hevc", options={"x265-params": "log-level=none:open-gop=0:bframes=4"}),
    "hevc-layers": ClipSpec("hevc", options={"x265-params": "log-level=none:temporal-layers=1:bframes=4"}),
    "av1": ClipSpec("av1"),
    "vp9-hidden-frames": ClipSpec(
        "vp9", options={"deadline": "good", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "16"}
    ),
    "mpeg4-b-frames": ClipSpec("mpeg4", options={"bf": "2"}),
}
VP8 = {"vp8": ClipSpec("vp8")}


def grainy(number):
    return np.minimum(moving_square(number, 160, 90).astype(int) // 2 + GRAIN[number % 8], 255).astype(
        np.uint8
    )


def read(path, sampling=SAMPLINGS[0]):
    with open_clip(path, sampling) as reader:
        frames = list(reader.read_frames())
        return reader.facts, frames


@pytest.mark.parametrize(
    ("name", "suffix"),
    [*((name, suffix) for name in VARIANTS for suffix in ("mp4", "mkv")), *((name, "webm") for name in VP8)],
)
def test_chosen_frames_equal_those_of_a_full_decode_bit_by_bit(name, suffix, tmp_path):
    spec = replace((VARIANTS | VP8)[name], paint=grainy, num_frames=60, gop_size=24)
    path = write_clip(tmp_path / f"clip.{suffix}", spec)
    reference = frames_of(path)
    for sampling in SAMPLINGS:
        facts, frames = read(path, sampling)
        assert facts.warnings == ()
        assert [frame.index for frame in frames] == list(facts.indices)
        assert all(np.array_equal(frame.rgb, reference[frame.index]) for frame in frames)


def test_facts_are_known_before_the_first_frame(clip):
    with open_clip(clip) as reader:
        facts = reader.facts
    assert (facts.width, facts.height, facts.codec) == (160, 90, "h264")
    assert (facts.source_fps, facts.duration_s, facts.num_source_frames) == (30.0, 2.0, 60)
    assert facts.has_audio
    assert facts.indices == (0, 19, 39, 59)


def test_times_come_from_the_container(tmp_path):
    times = [0, 1, 5, 30, 31, 60]
    path = write_clip(tmp_path / "uneven.mp4", ClipSpec(num_frames=6, times=times))
    _, frames = read(path, Sampling(fps=None))
    assert [frame.time_s for frame in frames] == pytest.approx([t / 30 for t in times])


def test_times_count_from_the_first_frame(tmp_path):
    path = write_clip(tmp_path / "late.mkv", ClipSpec(num_frames=5, times=[300 + i for i in range(5)]))
    facts, frames = read(path, Sampling(fps=None))
    assert frames[0].time_s == 0
    assert facts.duration_s == pytest.approx(5 / 30, abs=0.002)


def test_frames_outside_an_edit_list_do_not_count(tmp_path):
    """A negative first pts becomes an edit that hides the frames before zero."""
    path = write_clip(tmp_path / "edited.mp4", ClipSpec(num_frames=40, times=[i - 10 for i in range(40)]))
    reference = frames_of(path)
    facts, frames = read(path, Sampling(fps=None))
    assert facts.num_source_frames == len(reference) == 30
    assert all(np.array_equal(frame.rgb, reference[frame.index]) for frame in frames)


def test_frames_are_chosen_only_between_start_and_end(slow_clip):
    facts, frames = read(slow_clip, Sampling(fps=1, start_s=3, end_s=6))
    assert facts.indices == (3, 4, 5, 6)
    assert [frame.time_s for frame in frames] == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("rotation", "mirrored"), [(0, True), (90, False), (180, False), (-90, False), (90, True)]
)
def test_frames_are_upright_whatever_the_display_matrix(rotation, mirrored, tmp_path):
    """The matrix mirrors after it rotates."""
    plain = write_clip(tmp_path / "plain.mp4", ClipSpec(num_frames=2))
    turned = write_clip(tmp_path / "turned.mp4", ClipSpec(num_frames=2, rotation=rotation, mirrored=mirrored))
    facts, (frame,) = read(turned)
    expected = np.rot90(frames_of(plain)[0], rotation // 90)
    expected = expected[:, ::-1] if mirrored else expected
    assert np.array_equal(frame.rgb, expected)
    assert (facts.height, facts.width) == expected.shape[:2]


def test_delivered_frames_have_square_pixels(tmp_path):
    path = write_clip(tmp_path / "wide.mp4", ClipSpec(num_frames=2, sample_aspect=Fraction(4, 3)))
    facts, (frame,) = read(path)
    assert (facts.width, facts.height) == (213, 90)
    assert frame.rgb.shape == (90, 213, 3)


@pytest.mark.parametrize(
    "spec", [ClipSpec("hevc", pix_fmt="yuv420p10le"), ClipSpec(pix_fmt="yuv444p", width=161, height=91)]
)
def test_pictures_of_high_bit_depth_or_odd_size_become_plain_rgb(spec, tmp_path):
    path = write_clip(tmp_path / "clip.mp4", spec)
    _, frames = read(path)
    assert all(np.array_equal(frame.rgb, frames_of(path)[frame.index]) for frame in frames)


def test_frames_stay_valid_after_later_ones_are_read(clip):
    _, frames = read(clip, Sampling(fps=None))
    assert len(frames) == 60
    assert len({frame.rgb.tobytes() for frame in frames}) == 60


def test_a_reader_closed_before_its_frames_are_read_leaves_no_process(clip):
    with open_clip(clip, Sampling(fps=None)) as reader:
        next(iter(reader.read_frames()))
        pid = reader.child_pid
        assert is_running(pid)
    assert not is_running(pid)
    assert reader.child_pid is None


def test_the_child_ends_when_its_reader_is_killed(clip):
    script = (
        "import sys, time; from omnireel.video.reader.frames import *;"
        "reader = open_clip(sys.argv[1], Sampling(fps=None));"
        "print(reader.child_pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, clip], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
    deadline_s = time.monotonic() + 5
    while is_running(pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_reading_leaves_no_descriptors_open(clip):
    read(clip)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        read(clip)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [("omnireel.video.reader.frames", {"av", "torch"}), ("omnireel.video.decoder.child", {"torch", "numpy"})],
)
def test_the_reader_never_loads_pyav_and_the_child_never_loads_torch(module, forbidden):
    script = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not forbidden & set(done.stdout.split())
