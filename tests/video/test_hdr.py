"""Tone mapping of high dynamic range clips, compared with the formulas for single pixels and in real files."""

import math
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorTrc
from hypothesis import given
from hypothesis import strategies as st

from omnireel.video.reader.frames import Sampling, open_clip
from omnireel.video.reader.hdr import tone_mapped

TAGS = {"pq": ("smpte2084", ColorTrc.SMPTE2084), "hlg": ("arib-std-b67", ColorTrc.ARIB_STD_B67)}


def pq_code(nits):
    """ST 2084, equation 5.2."""
    y = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def pq_nits(code):
    root = code ** (1 / 78.84375)
    return 10_000 * (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)


def hlg_scene(code):
    """BT.2100, table 5."""
    return code**2 / 3 if code <= 0.5 else (math.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12


def expected(codes, transfer):
    if transfer == "pq":
        light = [pq_nits(code) / 203 for code in codes]
    else:
        scene = [hlg_scene(code) for code in codes]
        luma = 0.2627 * scene[0] + 0.6780 * scene[1] + 0.0593 * scene[2]
        light = [1000 / 203 * max(luma, 1e-6) ** 0.2 * value for value in scene]
    r, g, b = light
    narrow = [
        max(1.6605 * r - 0.5876 * g - 0.0728 * b, 0),
        max(-0.1246 * r + 1.1329 * g - 0.0083 * b, 0),
        max(-0.0182 * r - 0.1006 * g + 1.1187 * b, 0),
    ]
    most = max(narrow)
    if most > 0.75:
        t, peak = (most - 0.75) / 0.25, (1000 / 203 - 0.75) / 0.25
        t = min(t, peak)
        bent = 0.75 + 0.25 * t * (1 + t / peak**2) / (1 + t)
        narrow = [value * bent / most for value in narrow]
    return [255 * value ** (1 / 2.4) for value in narrow]


@given(st.lists(st.integers(0, 65535), min_size=3, max_size=3), st.sampled_from(["pq", "hlg"]))
def test_each_pixel_agrees_with_the_formulas(codes, transfer):
    mapped = tone_mapped(np.array(codes, np.uint16), transfer)
    assert mapped.astype(float) == pytest.approx(expected([c / 65535 for c in codes], transfer), abs=0.75)


@pytest.mark.parametrize("transfer", TAGS)
def test_more_light_is_never_darker_and_the_ends_are_black_and_white(transfer):
    greys = np.repeat(np.arange(65536, dtype=np.uint16)[:, None], 3, 1)
    mapped = tone_mapped(greys, transfer).astype(int)
    assert (np.diff(mapped[:, 0]) >= 0).all()
    assert mapped[0].max() == 0
    assert mapped[-1].min() >= 254


def write_deep_clip(path, transfer, codes):
    """Four stripes with these full-range BT.2020 codes, in 10 bits."""
    name, trc = TAGS[transfer]
    options = {"x265-params": f"log-level=none:colorprim=bt2020:transfer={name}:colormatrix=bt2020nc:qp=4"}
    stripes = np.repeat(np.repeat(np.array([codes]) * 65535, 32, 1), 64, 0).round().astype(np.uint16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=Fraction(5), options={"preset": "ultrafast"} | options)
        stream.height, stream.width = stripes.shape[:2]
        stream.pix_fmt = "yuv420p10le"
        stream.codec_context.color_trc, stream.codec_context.color_primaries = trc, ColorPrimaries.BT2020
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(stripes, format="rgb48le")
            frame.color_trc, frame.color_primaries = trc, ColorPrimaries.BT2020
            deep = frame.reformat(format="yuv420p10le", dst_colorspace="bt2020")
            deep.pts = number
            container.mux(stream.encode(deep))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("transfer", TAGS)
def test_a_real_clip_is_tone_mapped(transfer, tmp_path):
    greys = [pq_code(nits) for nits in (5, 100, 203, 900)] if transfer == "pq" else [0.2, 0.5, 0.75, 0.95]
    codes = [[grey] * 3 for grey in greys]
    path = write_deep_clip(tmp_path / f"{transfer}.mp4", transfer, codes)
    with open_clip(path, Sampling(fps=None)) as reader:
        frames = list(reader.read_frames())
    assert len(frames) == 3
    for number, code in enumerate(codes):
        seen = frames[0].rgb[32, 32 * number + 16].astype(float)
        assert seen == pytest.approx(expected(code, transfer), abs=4), (number, transfer)


def test_saturated_colours_keep_their_hue(tmp_path):
    bright, none = pq_code(600), 0.0
    codes = [[bright, none, none], [none, bright, none], [none, none, bright], [bright, bright, none]]
    with open_clip(write_deep_clip(tmp_path / "hues.mp4", "pq", codes)) as reader:
        picture = next(reader.read_frames()).rgb
    red, green, blue, yellow = (picture[32, 32 * n + 16].astype(int) for n in range(4))
    assert red.argmax() == 0
    assert green.argmax() == 1
    assert blue.argmax() == 2
    assert yellow[:2].min() > 2 * yellow[2]
