"""Clips whose pictures change their size: the largest size rules, proportions stay, and each picture has to be within
the limits."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numbered import DATA, clip_of, header_of, number_in, painted, read, remuxed, samples_of

from omnireel.errors import InputError
from omnireel.video.decoder.bitstream.sizes import fitted, size_reader
from omnireel.video.reader.frames import Sampling, open_clip

CODECS = {"vp8": "webm", "vp9": "webm", "h264": "mkv", "hevc": "mkv", "mpeg4": "mkv", "av1": "mkv"}
# Parameters in the stream, before each key frame.
REPEATED = {
    "av1": {"preset": "8"},  # faster ones swap small details
    "h264": {"bf": "0", "x264-params": "repeat-headers=1"},
    "hevc": {"x265-params": "log-level=none:bframes=0:repeat-headers=1"},
}


def joined(folder, codec, *sizes, **further):
    """Ten pictures of each size, in one stream."""
    whole, at, start = [], 0, 0
    for width, height in sizes:
        spec = {
            "codec": codec,
            "options": REPEATED.get(codec, {}),
            "width": width,
            "height": height,
        } | further
        path = clip_of(folder / f"{width}x{height}.{CODECS[codec]}", range(start, start + 10), **spec)
        for sample in samples_of(path):
            front = header_of(path) if codec == "mpeg4" and sample.is_key else b""
            times = {"pts": sample.pts + at, "dts": sample.pts + at}
            whole.append(replace(sample, content=front + sample.content, **times))
        start, at = start + 10, at + 333
    first = folder / f"{sizes[0][0]}x{sizes[0][1]}.{CODECS[codec]}"
    return remuxed(folder / f"joined.{CODECS[codec]}", (first, whole))


def frames_of(path):
    with open_clip(path, Sampling(fps=None, max_frames=None)) as reader:
        frames = list(reader.read_frames())
        return reader.facts, frames


@pytest.mark.parametrize("codec", CODECS)
def test_a_clip_that_grows_has_the_size_of_its_largest_pictures(codec, tmp_path):
    facts, numbers, times_s = read(joined(tmp_path, codec, (64, 48), (256, 192), (128, 96)))
    assert (facts.width, facts.height, facts.warnings) == (256, 192, ())
    assert numbers == list(range(30))
    assert times_s == pytest.approx([i / 30 for i in range(30)], abs=0.003)


@pytest.mark.parametrize("codec", CODECS)
def test_pictures_of_another_shape_keep_their_proportions(codec, tmp_path):
    """Upright ones within a wide one: black bars at the left and the right."""
    facts, frames = frames_of(joined(tmp_path, codec, (192, 96), (64, 128)))
    assert (facts.width, facts.height) == (192, 96)
    assert [number_in(frame.rgb) for frame in frames[:10]] == list(range(10))
    for number, frame in enumerate(frames[10:], 10):
        assert frame.rgb.shape == (96, 192, 3)
        assert not frame.rgb[:, :72].any()
        assert not frame.rgb[:, 120:].any()
        assert number_in(frame.rgb[:, 72:120]) == number
        expected = painted(number, 48, 96).astype(int)
        assert np.abs(frame.rgb[8:40, 76:116] - expected[8:40, 4:44]).mean() < 20


@pytest.mark.parametrize("codec", CODECS)
def test_a_later_picture_beyond_the_limit_is_refused(codec, tmp_path):
    with pytest.raises(InputError) as caught:
        read(joined(tmp_path, codec, (64, 48), (2048, 48)))
    assert caught.value.kind == "video_resolution_too_large"
    assert (caught.value.ctx["provided_width"], caught.value.ctx["provided_height"]) == (2048, 48)


def test_a_picture_beyond_the_limit_is_refused_where_sizes_are_no_longer_measured(tmp_path):
    """After 64 changes of parameters. The first frames are read; then its own size is looked at."""
    sizes = [(64, 48), *[(96, 48), (80, 48)] * 33, (2048, 48)]
    with open_clip(joined(tmp_path, "h264", *sizes), Sampling(fps=None, max_frames=None)) as reader:
        frames = reader.read_frames()
        assert number_in(next(frames).rgb) == 0
        with pytest.raises(InputError) as caught:
            list(frames)
    assert caught.value.kind == "video_resolution_too_large"


def test_one_size_is_left_as_it_is(tmp_path):
    path = joined(tmp_path, "vp9", (130, 98), (130, 98))
    assert read(path)[0].width == 130


def test_pixels_that_are_not_square_are_fitted_as_they_are_shown(tmp_path):
    path = joined(tmp_path, "h264", (64, 96), (128, 192), sample_aspect=Fraction(2))
    facts, numbers, _ = read(path)
    assert (facts.width, facts.height) == (256, 192)
    assert numbers == list(range(20))
    with pytest.raises(InputError) as caught:
        read(joined(tmp_path, "h264", (64, 96), (1000, 96), sample_aspect=Fraction(2)))
    assert caught.value.ctx["provided_width"] == 2000


def test_a_size_in_a_picture_that_is_predicted_from_others_counts():
    """Browsers scale a call down and up without key frames."""
    key = bits("10 0 0 0 0 1 0", f"{0x498342:024b}", "001 0", f"{319:016b}{239:016b}")
    smaller = bits("10 0 0 0 1 1 0 00", "0" * 20, "0 0 0", f"{159:016b}{119:016b}")
    same = bits("10 0 0 0 1 1 0 00", "0" * 20, "0 1", "0" * 40)
    damaged = bits("10 0 0 0 1 1 0 00", "0" * 20, "0 0 0", f"{9000:016b}{19:016b}")
    sizes_of = size_reader("vp9")
    found = [list(sizes_of(packet)) for packet in (key, same, smaller, damaged)]
    assert found == [[(320, 240)], [], [(160, 120)], []]


def bits(*parts):
    text = "".join(parts).replace(" ", "")
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


def test_the_sizes_in_headers_are_those_of_the_pictures():
    found = set()
    for sample in samples_of(DATA / "size_change.webm"):
        found |= set(read_sizes(sample.content))
    assert max(found) == (320, 240)
    assert (64, 48) in found


read_sizes = size_reader("vp9")


@given(codec=st.sampled_from(["vp8", "vp9", "h264"]), packet=st.binary(max_size=60))
def test_any_bytes_have_sizes_or_none(codec, packet):
    assert all(width >= 0 and height >= 0 for width, height in size_reader(codec)(packet))


@given(
    size=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    canvas=st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
)
def test_a_fitted_picture_lies_within_and_touches_two_sides(size, canvas):
    width, height = fitted(size, canvas)
    assert 1 <= width <= canvas[0]
    assert 1 <= height <= canvas[1]
    assert width == canvas[0] or height == canvas[1]


@pytest.mark.parametrize(
    ("size", "canvas", "expected"),
    [
        ((64, 48), (320, 240), (320, 240)),
        ((854, 480), (1280, 720), (1280, 720)),  # nearly the same proportions
        ((480, 854), (1280, 720), (405, 720)),
        ((1000, 100), (640, 640), (640, 64)),
    ],
)
def test_proportions_are_kept_but_for_roundings_of_encoders(size, canvas, expected):
    assert fitted(size, canvas) == expected
