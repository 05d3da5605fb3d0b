"""One time line from missing, stray and restarting times; and ordinary times are left alone."""

from dataclasses import replace
from fractions import Fraction

import pytest
from clips import ClipSpec, write_clip
from hypothesis import given
from hypothesis import strategies as st
from numbered import clip_of, read, remuxed, samples_of

from omnireel.errors import InputError
from omnireel.video.decoder.times import Stamp, time_line
from omnireel.video.limits import VideoLimits
from omnireel.video.reader.frames import Sampling, open_clip

TICK = 0.01


def line(times, *, duration=10, keys=(0,), is_reordered=False, frame_s=0.1):
    """Frames of a tenth of a second, in ticks of a hundredth."""
    stamps = [Stamp(time, duration, number in keys) for number, time in enumerate(times)]
    return time_line(stamps, TICK, frame_s, is_reordered=is_reordered)


@given(
    gaps=st.lists(st.integers(1, 3000), min_size=1, max_size=60),
    start=st.integers(-1000, 10**9),
    data=st.data(),
)
def test_ascending_times_are_left_alone_also_when_pictures_are_reordered(gaps, start, data):
    """Groups of B-frames: each is moved behind the picture that follows it."""
    shown = [start]
    for gap in gaps:
        shown.append(shown[-1] + gap)
    decoded, rest = [shown[0]], shown[1:]
    while rest:
        size = data.draw(st.integers(1, min(8, len(rest))))
        decoded += [rest[size - 1], *rest[: size - 1]]
        rest = rest[size:]
    result = line(decoded, is_reordered=True)
    assert result.pts == decoded
    assert result.ticks == shown
    assert (result.has_pts, result.num_strays, result.end) == (True, 0, shown[-1] + 10)


def test_times_and_duration_count_from_the_first_frame():
    result = line([50, 60, 80])
    assert result.times_s(TICK) == pytest.approx([0, 0.1, 0.3])
    assert result.duration_s(TICK, 0.1) == pytest.approx(0.4)
    assert line([50, 60, 80], duration=0).duration_s(TICK, 0.1) == pytest.approx(0.4)


@pytest.mark.parametrize("stray", [5000, -100_000])
def test_a_time_far_from_all_others_is_left_out(stray):
    start = 200_000 if stray < 0 else 0
    times = [start + 10 * i for i in range(40)]
    times[20] += stray if stray > 0 else -200_000
    result = line(times)
    assert result.pts[20] is None
    assert result.num_strays == 1
    assert result.duration_s(TICK, 0.1) == pytest.approx(4.0)


def test_a_pause_is_no_stray_although_the_picture_after_it_is_decoded_before_those_in_front():
    times = [0, 5000, 10, 20, 30, *range(5010, 5400, 10)]
    assert line(times, is_reordered=True).num_strays == 0
    assert line([*range(0, 400, 10), 5000, 400, 410], is_reordered=True).num_strays == 0


def test_a_last_frame_after_a_pause_is_no_stray():
    assert line([0, 10, 20, 5000]).num_strays == 0
    assert line([0, 5000, 5010, 5020]).num_strays == 0


def test_recordings_that_were_joined_follow_each_other():
    part = [10 * i for i in range(20)]
    result = line(part * 3, keys=(0, 20, 40))
    assert result.ticks == [10 * i for i in range(60)]
    assert result.has_pts
    assert result.duration_s(TICK, 0.1) == pytest.approx(6.0)


def test_a_part_that_begins_later_than_the_first_one_but_before_its_end_follows_it_too():
    result = line([*range(0, 400, 10), *range(100, 200, 10)], keys=(0, 40))
    assert result.ticks == [10 * i for i in range(50)]


def test_a_key_frame_a_little_early_begins_nothing():
    result = line([0, 10, 35, 20, 40], keys=range(5))
    assert result.pts == [0, 10, 35, 20, 40]


def test_only_a_key_frame_begins_another_recording():
    part = [10 * i for i in range(20)]
    result = line(part * 2, keys=(0,))
    assert not result.has_pts
    assert result.ticks == sorted(part * 2)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([None, None, 0, 10], [0, 0.1, 0.2, 0.3]),
        ([0, 10, None, None], [0, 0.1, 0.2, 0.3]),
        ([0, None, 20, 30], [0, 0.1, 0.2, 0.3]),
        ([None] * 4, [0, 0.1, 0.2, 0.3]),
    ],
)
def test_frames_without_times_are_a_frame_apart_and_the_duration_is_on_the_same_clock(times, expected):
    result = line(times)
    assert result.times_s(TICK) == pytest.approx(expected)
    assert result.duration_s(TICK, 0.1) == pytest.approx(0.4)
    assert not result.has_pts


def test_without_times_and_rate_25_frames_a_second_are_assumed():
    result = line([None] * 50, duration=0, frame_s=0.0)
    assert result.times_s(TICK)[-1] == pytest.approx(49 / 25)
    assert result.duration_s(TICK, 0.0) == pytest.approx(2.0)


@given(
    times=st.lists(st.none() | st.integers(-(10**6), 10**6), min_size=1, max_size=50),
    keys=st.sets(st.integers(0, 49)),
    is_reordered=st.booleans(),
)
def test_any_times_give_ascending_ones_and_a_frame_for_each(times, keys, is_reordered):
    result = line(times, keys=keys, is_reordered=is_reordered)
    assert len(result.pts) == len(times)
    assert 1 <= len(result.ticks) <= len(times)
    assert result.ticks == sorted(result.ticks)
    assert result.duration_s(TICK, 0.1) >= 0
    if result.has_pts:
        assert sorted(pts for pts in result.pts if pts is not None) == result.ticks


def appended(folder, suffix, *, options, codec="h264"):
    """Two recordings whose times both start at zero, in one stream."""
    spec = {"codec": codec, "options": options, "gop_size": 10}
    one = clip_of(folder / f"one.{suffix}", range(40), **spec)
    two = clip_of(folder / f"two.{suffix}", range(100, 140), **spec)
    return one, two


@pytest.mark.parametrize("sampling", [Sampling(fps=None, max_frames=None), Sampling(fps=None, max_frames=5)])
def test_matroska_files_that_were_appended_with_b_frames_are_one_clip(sampling, tmp_path):
    one, two = appended(tmp_path, "mkv", options={"preset": "medium", "bf": "3"})
    path = tmp_path / "both.mkv"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    facts, numbers, times_s = read(path, sampling)
    everything = [*range(40), *range(100, 140)]
    assert numbers == [everything[index] for index in facts.indices]
    assert times_s == pytest.approx([index / 30 for index in facts.indices], abs=0.01)
    assert facts.duration_s == pytest.approx(80 / 30, abs=0.02)
    assert facts.warnings == ()


def test_joined_recordings_longer_than_the_limit_are_too_long(tmp_path):
    slow = ClipSpec(num_frames=61, rate=Fraction(1), width=32, height=32, gop_size=100)
    one = write_clip(tmp_path / "one.mkv", slow)
    path = tmp_path / "both.mkv"
    path.write_bytes(one.read_bytes() * 2)
    with pytest.raises(InputError) as caught:
        open_clip(path)
    assert caught.value.kind == "video_duration_too_long"
    assert caught.value.ctx["provided_duration"] == pytest.approx(122)


def test_a_clip_that_is_too_long_and_has_too_many_frames_is_called_too_long(tmp_path):
    path = clip_of(tmp_path / "long.mkv", [7] * 260, rate=Fraction(2), width=32, height=32)
    with pytest.raises(InputError) as caught:
        open_clip(path, limits=VideoLimits(max_num_packets=250))
    assert caught.value.kind == "video_duration_too_long"


def test_a_stray_is_left_out_of_a_clip_in_which_times_occur_twice(tmp_path):
    whole = clip_of(tmp_path / "whole.mp4", range(60), options={"bf": "0"})
    samples = samples_of(whole)
    samples[10] = replace(samples[10], pts=samples[11].pts)
    samples[30] = replace(samples[30], pts=samples[30].pts + 10_000_000)
    facts, numbers, _ = read(remuxed(tmp_path / "twice.mp4", (whole, samples)))
    assert numbers == [number for number in range(60) if number != 30]
    assert facts.warnings == ("frames_skipped",)


@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
def test_a_stray_among_b_frames_is_left_out_and_no_other_frame_changes(codec, tmp_path):
    options = {"preset": "medium", "bf": "2"} if codec == "h264" else {"bf": "2"}
    whole = clip_of(tmp_path / "whole.mp4", range(60), codec=codec, options=options)
    samples = samples_of(whole)
    hours = 3 * 3600 * 15360
    samples[30] = replace(samples[30], pts=samples[30].pts + hours)
    missing = round(samples_of(whole)[30].pts / samples[0].duration) - samples[0].pts // samples[0].duration
    path = remuxed(tmp_path / "stray.mp4", (whole, samples))
    facts, numbers, times_s = read(path)
    assert numbers == [number for number in range(60) if number != missing]
    assert times_s == pytest.approx([number / 30 for number in numbers], abs=0.002)
    assert (facts.num_source_frames, facts.warnings) == (59, ("frames_skipped",))


def test_a_clip_that_is_far_too_long_is_refused_early_and_named_so(tmp_path):
    """Before its frames are too many as well."""
    path = clip_of(tmp_path / "long.mkv", [7] * 400, rate=Fraction(2), width=32, height=32)
    with pytest.raises(InputError) as caught:
        open_clip(path)
    assert caught.value.kind == "video_duration_too_long"
    assert caught.value.ctx["provided_duration"] == pytest.approx(200, abs=0.1)


def test_a_warning_about_a_stray_is_given_once_when_other_frames_are_damaged_too(tmp_path):
    whole = clip_of(tmp_path / "whole.mp4", range(60), options={"bf": "0"})
    samples = samples_of(whole)
    samples[20] = replace(samples[20], pts=samples[20].pts + 10_000_000)
    samples[40] = replace(samples[40], content=b"\xff" * len(samples[40].content))
    facts, numbers, _ = read(remuxed(tmp_path / "both.mp4", (whole, samples)))
    assert facts.warnings == ("frames_skipped",)
    assert len(numbers) == 58
