"""Files as phones, browsers and recorders make them: which pictures reach the model, and at which times."""

from dataclasses import dataclass, replace

import pytest
from av.stream import Disposition
from numbered import DATA, Sample, clip_of, read, remuxed, samples_of

from omnireel.errors import InputError
from omnireel.video.limits import VideoLimits
from omnireel.video.reader.frames import Sampling, open_clip


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


@pytest.fixture
def moving(tmp_path):
    """Ten numbered pictures, of few bits."""
    return clip_of(tmp_path / "moving.mp4", range(10), options={"bf": "0"})


@pytest.fixture
def still(tmp_path):
    """One picture of another size, of more bits."""
    return clip_of(tmp_path / "still.mp4", [200], width=256, height=192, options={"bf": "0"})


def in_codec(folder, codec, numbers, suffix="mov"):
    pix_fmt = {"mjpeg": "yuvj420p", "prores": "yuv422p10le"}[codec]
    return clip_of(folder / f"{codec}.{suffix}", numbers, codec=codec, pix_fmt=pix_fmt)


@pytest.mark.parametrize("layout", ["mp4", "fragments", "mkv"])
def test_a_still_before_the_moving_pictures_is_not_the_clip(layout, moving, still, tmp_path):
    """In an mp4 the tables say how many frames a track has; in the others they are counted."""
    options = {"movflags": "frag_keyframe+empty_moov"} if layout == "fragments" else {}
    path = tmp_path / f"both.{'mkv' if layout == 'mkv' else 'mp4'}"
    remuxed(path, (still, samples_of(still)), (moving, samples_of(moving)), options=options)
    facts, numbers, _ = read(path)
    assert (numbers, facts.width, facts.warnings) == (list(range(10)), 128, ())


def test_a_thumbnail_in_a_codec_that_is_not_read_is_not_the_clip(moving, tmp_path):
    cover = in_codec(tmp_path, "mjpeg", [200])
    path = remuxed(tmp_path / "both.mp4", (cover, samples_of(cover)), (moving, samples_of(moving)))
    assert read(path)[1] == list(range(10))


def test_a_preview_of_many_pictures_in_a_codec_that_is_not_read_is_not_the_clip(moving, tmp_path):
    preview = in_codec(tmp_path, "mjpeg", range(100, 120))
    path = remuxed(tmp_path / "both.mov", (preview, samples_of(preview)), (moving, samples_of(moving)))
    assert read(path)[1] == list(range(10))


def test_a_still_does_not_stand_for_moving_pictures_in_a_codec_that_is_not_read(still, tmp_path):
    film = in_codec(tmp_path, "prores", range(10))
    path = remuxed(tmp_path / "both.mov", (film, samples_of(film)), (still, samples_of(still)))
    with pytest.raises(InputError) as caught:
        read(path)
    assert (caught.value.kind, caught.value.ctx["provided"]) == ("unsupported_codec", "prores")


def test_a_track_that_is_switched_off_is_not_the_clip_even_with_more_bits(moving, tmp_path):
    other = clip_of(tmp_path / "other.mp4", range(100, 130), options={"bf": "0"}, gop_size=1)
    off = {0: Disposition(0), 1: Disposition.default}
    both = [(other, samples_of(other)), (moving, samples_of(moving))]
    assert read(remuxed(tmp_path / "both.mp4", *both, disposition=off))[1] == list(range(10))


def test_of_two_tracks_that_are_on_the_one_of_more_bits_is_read_and_of_equal_ones_the_first(moving, tmp_path):
    """As FFmpeg chooses."""
    other = clip_of(tmp_path / "other.mp4", range(100, 110), options={"bf": "0"}, gop_size=1)
    on = {0: Disposition.default, 1: Disposition.default}
    tracks = [(moving, samples_of(moving)), (other, samples_of(other))]
    assert read(remuxed(tmp_path / "both.mp4", *tracks, disposition=on))[1] == list(range(100, 110))
    twice = [(moving, samples_of(moving)), (moving, samples_of(moving))]
    assert read(remuxed(tmp_path / "twice.mp4", *twice, disposition=on))[1] == list(range(10))


def test_a_sequence_of_avif_pictures_is_read_and_not_its_cover(tmp_path):
    path = clip_of(tmp_path / "sequence.avif", range(6), codec="av1")
    assert path.read_bytes()[8:12] == b"avis"
    assert read(path)[1] == list(range(6))


def test_a_clip_of_one_picture_is_still_read(still):
    assert read(still)[1] == [200]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("b_frames", [0, 3])
def test_messages_and_headers_in_packets_of_their_own_are_neither_frames_nor_damage(
    codec, suffix, b_frames, tmp_path
):
    """Each picture follows a delimiter and a message, in 1/4 of its time; the last one is followed by an end."""
    options = {"h264": {"bf": str(b_frames)}, "hevc": {"x265-params": f"log-level=none:bframes={b_frames}"}}
    whole = clip_of(tmp_path / "whole.mp4", range(40), codec=codec, options=options[codec], gop_size=10)
    extra = {
        "h264": (b"\x09\xf0", b"\x06\x05\x10" + bytes(range(16)) + b"\x80", b"\x0a"),
        "hevc": (b"\x46\x01\x50", b"\x4e\x01\x05\x10" + bytes(range(16)) + b"\x80", b"\x48\x01"),
    }[codec]
    samples = []
    for sample in samples_of(whole):
        quarter = sample.duration // 4
        at = [(sample.pts - i * quarter, sample.dts - i * quarter) for i in (2, 1)]
        units = [len(unit).to_bytes(4, "big") + unit for unit in extra[:2]]
        samples += [Sample(unit, *time, False, quarter) for unit, time in zip(units, at, strict=True)]
        samples.append(sample)
    end = samples[-1]
    after = (end.pts + 1, end.dts + 1)
    samples.append(Sample(len(extra[2]).to_bytes(4, "big") + extra[2], *after, False, 1))
    path = remuxed(tmp_path / f"apart.{suffix}", (whole, samples))
    facts, numbers, times_s = read(path)
    assert (numbers, facts.warnings) == (list(range(40)), ())
    assert times_s == pytest.approx([i / 30 for i in range(40)], abs=0.002)
    assert facts.source_fps == pytest.approx(30, rel=0.05)
    assert read(path, Sampling(fps=None, start_s=0.66, end_s=0.74))[1] == [20, 21, 22]


def test_packets_without_pictures_do_not_count_in_the_frame_rate(tmp_path):
    """One for every second picture: half as many packets again, as the container's rate says."""
    whole = clip_of(tmp_path / "whole.mp4", range(40), options={"bf": "0"})
    message = b"\0\0\0\x04\x06\x05\x00\x80"
    samples = []
    for number, sample in enumerate(samples_of(whole)):
        half = sample.duration // 2
        samples.append(replace(sample, duration=half))
        if number % 2:
            samples.append(Sample(message, sample.pts + half, sample.dts + half, False, half))
    facts, numbers, _ = read(remuxed(tmp_path / "apart.mp4", (whole, samples)))
    assert numbers == list(range(40))
    assert facts.source_fps == pytest.approx(30, rel=0.02)


def test_the_limit_of_frames_counts_pictures_and_not_packets():
    limits = VideoLimits(max_num_packets=30)
    with open_clip(DATA / "sei_samples.mp4", Sampling(), limits) as reader:
        assert reader.facts.num_source_frames == 30
    with pytest.raises(InputError) as caught:
        open_clip(DATA / "sei_samples.mp4", Sampling(), VideoLimits(max_num_packets=29))
    assert caught.value.kind == "video_too_many_frames"
    with pytest.raises(InputError) as caught:
        open_clip(DATA / "sei_samples.mp4", Sampling(), VideoLimits(max_num_packets=10))
    assert caught.value.kind == "video_too_many_frames"


def test_a_damaged_packet_is_a_frame_that_is_missing_and_not_a_message(tmp_path):
    whole = clip_of(tmp_path / "whole.mp4", range(40), options={"bf": "0"})
    samples = samples_of(whole)
    samples[17] = replace(samples[17], content=b"\xff" * len(samples[17].content))
    facts, numbers, _ = read(remuxed(tmp_path / "damaged.mp4", (whole, samples)))
    assert (facts.num_source_frames, facts.warnings) == (40, ("frames_skipped",))
    assert len(numbers) == 39


def test_pictures_of_vp8_that_are_not_shown_are_no_frames(tmp_path):
    whole = clip_of(tmp_path / "whole.webm", range(40), codec="vp8")
    samples = samples_of(whole)
    for number in (7, 23, 31):
        content = samples[number].content
        samples[number] = replace(samples[number], content=bytes([content[0] & ~0x10]) + content[1:])
    facts, numbers, _ = read(remuxed(tmp_path / "hidden.webm", (whole, samples)))
    assert numbers == [n for n in range(40) if n not in (7, 23, 31)]
    assert (facts.num_source_frames, facts.warnings) == (37, ())


def test_a_recording_that_begins_within_an_open_group_has_no_frames_that_need_what_is_missing(tmp_path):
    options = {"x265-params": "log-level=none:open-gop=1:bframes=4:b-adapt=0:keyint=12:min-keyint=12"}
    whole = clip_of(tmp_path / "whole.mkv", range(60), codec="hevc", options=options, gop_size=12)
    samples = samples_of(whole)
    start = [i for i, sample in enumerate(samples) if sample.is_key][1]
    later = [sample for sample in samples[start:] if sample.pts >= samples[start].pts]
    assert len(later) < len(samples[start:])
    path = remuxed(tmp_path / "cut.mkv", (whole, samples[start:]))
    facts, numbers, times_s = read(path)
    assert numbers == list(range(60 - len(later), 60))
    assert (facts.num_source_frames, facts.warnings, times_s[0]) == (len(later), (), 0.0)
