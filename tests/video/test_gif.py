"""Animated GIFs: pictures, their times, transparency, and files that end early."""

from fractions import Fraction

import pytest
from clips import ClipSpec, write_clip
from hypothesis import given
from hypothesis import strategies as st
from numbered import painted, read

from omnireel.video.decoder.bitstream.gif import ends_within_picture
from omnireel.video.reader.frames import Sampling, open_clip

SIDE = 32


@pytest.fixture(scope="module")
def animation(tmp_path_factory):
    """Twenty numbered pictures, ten a second."""
    path = tmp_path_factory.mktemp("gif") / "clip.gif"
    spec = ClipSpec(
        "gif", width=128, height=96, num_frames=20, rate=Fraction(10), pix_fmt="rgb8", paint=painted
    )
    return write_clip(path, spec)


def image(colours, *, delay_cs=10, left=0, width=SIDE, transparent=None):
    """An extension and an image of [16, width] pixels, each the number of one of two colours, not compressed."""
    flags = 0x09 if transparent is not None else 0x08  # the picture stays when the next one is drawn
    control = bytes([0x21, 0xF9, 4, flags, *delay_cs.to_bytes(2, "little"), transparent or 0, 0])
    place = b"".join(n.to_bytes(2, "little") for n in (left, 0, width, 16))
    codes = []
    for start in range(0, len(colours), 2):
        codes += [4, *colours[start : start + 2]]  # a clear code, so that codes stay 3 bits long
    bits = sum(code << 3 * i for i, code in enumerate([*codes, 5]))
    data = bits.to_bytes(3 * (len(codes) + 1) // 8 + 1, "little")
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    return control + b"\x2c" + place + b"\0" + b"\x02" + blocks + b"\0"


def gif(*images):
    """A file of 32×16 pixels; colour 0 is red, colour 1 is blue."""
    head = b"GIF89a" + SIDE.to_bytes(2, "little") + (16).to_bytes(2, "little") + b"\x80\0\0"
    return head + b"\xff\0\0\0\0\xff" + b"".join(images) + b";"


def frames_of(path):
    with open_clip(path, Sampling(fps=None)) as reader:
        return list(reader.read_frames())


def test_every_picture_is_read_at_its_time(animation):
    facts, numbers, times_s = read(animation)
    assert numbers == list(range(20))
    assert times_s == pytest.approx([i / 10 for i in range(20)])
    assert (facts.codec, facts.width, facts.height) == ("gif", 128, 96)
    assert (facts.source_fps, facts.duration_s, facts.warnings) == (10, 2.0, ())


def test_the_usual_sampling_chooses_among_them(animation):
    assert read(animation, Sampling(fps=2.0))[1] == [0, 6, 12, 19]


def test_a_part_of_a_picture_is_drawn_over_the_one_before(tmp_path):
    half = SIDE // 2
    path = tmp_path / "parts.gif"
    path.write_bytes(gif(image([0] * SIDE * 16), image([1] * half * 16, left=half, width=half)))
    first, second = frames_of(path)
    assert (first.rgb == (255, 0, 0)).all()
    assert (second.rgb[:, :half] == (255, 0, 0)).all()
    assert (second.rgb[:, half:] == (0, 0, 255)).all()


def test_what_is_transparent_is_white_as_on_a_page(tmp_path):
    path = tmp_path / "clear.gif"
    path.write_bytes(gif(image([0, 1] * (SIDE // 2) * 16, transparent=1)))
    (frame,) = frames_of(path)
    assert (frame.rgb[:, ::2] == (255, 0, 0)).all()
    assert (frame.rgb[:, 1::2] == 255).all()


def test_delays_of_their_own_give_times_of_their_own(tmp_path):
    path = tmp_path / "uneven.gif"
    path.write_bytes(
        gif(*(image([n % 2] * SIDE * 16, delay_cs=delay) for n, delay in enumerate((5, 50, 20))))
    )
    assert [frame.time_s for frame in frames_of(path)] == pytest.approx([0, 0.05, 0.55])


@pytest.mark.parametrize(("share", "num_frames"), [(0.3, 6), (0.6, 12), (0.9, 17)])
def test_a_file_that_ends_within_a_picture_gives_those_before_and_a_warning(
    share, num_frames, animation, tmp_path
):
    path = tmp_path / "cut.gif"
    data = animation.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    facts, numbers, _ = read(path)
    assert numbers == list(range(num_frames))
    assert facts.warnings == ("video_truncated",)


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"\n", lambda d: d + b"junk" * 50])
def test_a_missing_end_or_more_after_it_is_no_loss(change, animation, tmp_path):
    path = tmp_path / "odd.gif"
    path.write_bytes(change(animation.read_bytes()))
    facts, numbers, _ = read(path)
    assert (numbers, facts.warnings) == (list(range(20)), ())


def test_only_a_picture_with_its_last_block_is_complete():
    packet = image([0] * SIDE * 16)
    whole = gif(packet)
    assert not any(map(ends_within_picture, (packet, whole, whole[:-1], packet + b";", b"")))
    assert all(ends_within_picture(packet[:size]) for size in range(1, len(packet)) if size != 8)


@given(st.binary(max_size=80))
def test_any_bytes_end_within_a_picture_or_not(packet):
    assert ends_within_picture(packet) in (True, False)
    assert ends_within_picture(b"GIF89a" + packet) in (True, False)
