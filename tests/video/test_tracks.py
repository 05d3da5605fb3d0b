"""Files as phones, browsers and recorders make them: which pictures reach the model, and at which times."""

from dataclasses import dataclass

import pytest
from numbered import DATA, read

from omnireel.video.reader.frames import Sampling


@dataclass(frozen=True)
class Right:
    """What a file is. numbers: those in its pictures"""

    numbers: list[int]
    rate: float = 30.0
    duration_s: float = 2.0
    size: tuple[int, int] = (128, 96)
    codec: str = "h264"
    warnings: tuple[str, ...] = ()
    times_s: list[float] | None = None


WITHOUT_ONE = [number for number in range(90) if number != 45]
CASES = {
    "sei_samples.mp4": Right(list(range(30)), rate=15.0),
    "motion_photo_two_tracks.mp4": Right(list(range(60))),
    "disabled_first_track.mp4": Right(list(range(60))),
    "size_change.webm": Right(list(range(60)), codec="vp9", size=(320, 240)),
    "trailing_newline.mp4": Right(list(range(60))),
    "negative_pts.mkv": Right(list(range(60))),
    "vp8.webm": Right(list(range(45)), codec="vp8", duration_s=1.5),
    "two_webms_joined.webm": Right([*range(30), *range(100, 130)], codec="vp9"),
    "outlier_pts.mp4": Right(
        WITHOUT_ONE, duration_s=3.0, warnings=("frames_skipped",), times_s=[n / 30 for n in WITHOUT_ONE]
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_picture_of_a_file_reaches_the_model_at_its_time(name):
    right = CASES[name]
    facts, numbers, times_s = read(DATA / name)
    expected_s = right.times_s or [i / right.rate for i in range(len(right.numbers))]
    assert numbers == right.numbers
    assert times_s == pytest.approx(expected_s, abs=0.002)
    assert (facts.width, facts.height) == right.size
    assert (facts.codec, facts.warnings) == (right.codec, right.warnings)
    assert facts.num_source_frames == len(right.numbers)
    assert facts.duration_s == pytest.approx(right.duration_s, abs=0.002)
    assert facts.source_fps == pytest.approx(right.rate, rel=0.02)


@pytest.mark.parametrize("name", CASES)
def test_a_part_of_a_file_has_the_pictures_of_its_time(name):
    """From the middle, so that pictures before it are left out of decoding where that is possible."""
    _, numbers, times_s = read(DATA / name)
    wanted = {
        number: time_s for number, time_s in zip(numbers, times_s, strict=True) if 0.91 <= time_s <= 1.29
    }
    _, some, when = read(DATA / name, Sampling(fps=None, start_s=0.91, end_s=1.29))
    assert dict(zip(some, when, strict=True)) == pytest.approx(wanted)
