import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireel.video.sample import choose_frames, choose_frames_between, window

GOLDEN = [
    (300, 30, 2, 256, 20, [0, 15, 31, 47, 62, 78], [283, 299]),
    (3600, 30, 2, 256, 240, [0, 15, 30, 45, 60, 75], [3583, 3599]),
    (1000, 24, 1, 512, 41, [0, 24, 49, 74, 99, 124], [974, 999]),
    (107, 24, 2, 256, 8, [0, 15, 30, 45, 60, 75], [90, 106]),
    (10, 30, 2, 256, 1, [0], [0]),
    (300, 30, None, 32, 32, [0, 9, 19, 28, 38, 48], [289, 299]),
]


@pytest.mark.parametrize("row", GOLDEN)
def test_the_choices_of_the_reference_are_reproduced(row):
    num_frames, source_fps, fps, max_frames, count, head, tail = row
    chosen = choose_frames(num_frames, source_fps, fps=fps, max_frames=max_frames)
    assert len(chosen) == count
    assert chosen[: len(head)] == head
    assert chosen[-len(tail) :] == tail


@given(
    num_frames=st.integers(1, 20_000),
    source_fps=st.floats(0.1, 1000),
    fps=st.none() | st.floats(0.01, 200),
    max_frames=st.none() | st.integers(1, 600),
)
def test_choices_equal_numpys_truncated_linspace(num_frames, source_fps, fps, max_frames):
    chosen = choose_frames(num_frames, source_fps, fps=fps, max_frames=max_frames)
    assert chosen == np.linspace(0, num_frames - 1, len(chosen), dtype=np.float64).astype(int).tolist()
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= (max_frames or num_frames)
    if fps is not None:
        assert len(chosen) <= max(1, num_frames / source_fps * fps)


def test_a_window_shifts_the_same_choice():
    whole = choose_frames(300, 30, fps=2, max_frames=256)
    assert choose_frames_between(60, 300, 30, fps=2, max_frames=256) == [60 + index for index in whole]


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (None, None, (0, 10)),
        (0.2, None, (2, 8)),
        (None, 0.35, (0, 4)),
        (0.2, 0.5, (2, 4)),
        (0.25, 0.28, (2, 1)),  # between two frames: the one that is on screen
        (0.95, None, (9, 1)),
        (0.0, 0.0, (0, 1)),
    ],
)
def test_a_window_holds_the_frames_shown_in_it(start_s, end_s, expected):
    assert window([i / 10 for i in range(10)], start_s, end_s) == expected


def test_a_rounded_time_belongs_to_the_window_that_starts_there():
    assert window([0.0, 0.999999, 2.0], 1.0, None) == (1, 2)


@given(
    times=st.lists(st.floats(0, 100), min_size=1, max_size=50).map(sorted),
    start_s=st.none() | st.floats(0, 120),
    length_s=st.none() | st.floats(0, 50),
)
def test_a_window_is_never_empty_and_never_outside_the_clip(times, start_s, length_s):
    end_s = None if length_s is None else (start_s or 0) + length_s
    first, count = window(times, start_s, end_s)
    assert count >= 1
    assert first >= 0
    assert first + count <= len(times)
