import av
import pytest
from clips import ClipSpec, write_clip
from hypothesis import given
from hypothesis import strategies as st

from omnireel.video.decoder.bitstream.roles import Role, role_reader
from omnireel.video.decoder.plan import Action, Picture, plan_packets

AVCC = bytes([1, 100, 0, 31, 0xFF])
HVCC = bytes([1]) + bytes(20) + bytes([0b00001111])  # one temporal layer, lengths of four bytes


def roles_of(path):
    """Role and time stamp of every packet, in file order."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context.codec.canonical_name
        role_of = role_reader(codec, stream.codec_context.extradata or b"")
        return [Picture(p.pts, role_of(bytes(p))) for p in container.demux(stream) if p.size]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("spec", "start"),
    [
        (ClipSpec(options={"preset": "medium"}), Role.START),
        (ClipSpec("hevc", options={"x265-params": "log-level=none:open-gop=0"}), Role.START),
        (ClipSpec("hevc", options={"x265-params": "log-level=none:open-gop=1"}), Role.OPEN_START),
        (ClipSpec("av1"), Role.START),
        (ClipSpec("vp9"), Role.START),
    ],
)
def test_every_group_of_pictures_is_found(spec, start, suffix, tmp_path):
    path = write_clip(tmp_path / f"clip.{suffix}", spec)
    with av.open(str(path)) as container:
        keyframes = [p.pts for p in container.demux(video=0) if p.is_keyframe]
    starts = [p for p in roles_of(path) if p.role & (Role.START | Role.OPEN_START)]
    assert [p.pts for p in starts] == keyframes
    assert len(starts) > 1
    assert all(p.role & start for p in starts[1:])


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg4"])
def test_only_unreferenced_b_pictures_are_droppable(codec, tmp_path):
    options = {"bf": "2"} if codec == "mpeg4" else {}
    pictures = roles_of(write_clip(tmp_path / "clip.mp4", ClipSpec(codec, options=options)))
    droppable = [bool(p.role & Role.DROPPABLE) for p in pictures]
    assert 0.2 < sum(droppable) / len(droppable) < 0.8
    assert not droppable[0]


def test_at_two_frames_a_second_a_third_of_the_pictures_is_never_decoded(tmp_path):
    pictures = roles_of(write_clip(tmp_path / "clip.mp4", ClipSpec(options={"preset": "medium"})))
    shown = sorted(p.pts for p in pictures)
    actions = plan_packets(pictures, {shown[i] for i in range(0, len(shown), 15)})
    assert actions.count(Action.SKIP) > len(pictures) / 3


def test_an_intra_picture_that_is_not_a_start_has_no_start_role(tmp_path):
    path = write_clip(tmp_path / "clip.mkv", ClipSpec(options={"x264-params": "intra-refresh=1"}))
    assert not any(p.role & Role.START for p in roles_of(path)[1:])


def test_a_lower_temporal_layer_is_kept_although_its_own_layer_does_not_need_it():
    trail_n = bytes([0, 0, 0, 3, 0 << 1, 1, 0])
    two_layers = HVCC[:21] + bytes([0b00010111])
    assert role_reader("hevc", HVCC)(trail_n) == Role.DROPPABLE
    assert role_reader("hevc", two_layers)(trail_n) == Role.PLAIN


def test_pictures_of_streams_without_length_prefixes_are_all_needed():
    assert role_reader("h264", b"\0\0\0\1\x67")(b"\0\0\0\1\x01" + bytes(20)) == Role.PLAIN
    assert role_reader("h264", b"")(bytes(20)) == Role.PLAIN


def test_a_picture_in_a_packet_with_a_header_for_later_ones_is_kept():
    picture, header = b"\0\0\1\xb6\x80" + bytes(8), b"\0\0\1\x20" + bytes(8)
    assert role_reader("mpeg4", b"")(picture) == Role.DROPPABLE
    assert role_reader("mpeg4", header)(header + picture) == Role.PLAIN
    assert role_reader("mpeg4", b"")(header + picture) == Role.PLAIN | Role.CHANGES_PARAMETERS


def prefixed(*units):
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


@pytest.mark.parametrize(
    ("codec", "extradata", "packet", "role"),
    [
        ("h264", AVCC, prefixed(b"\x06\x05\x01\x80", b"\x09\xf0"), Role.NO_PICTURE),
        ("h264", AVCC, prefixed(b"\x0a"), Role.NO_PICTURE),
        ("h264", AVCC, prefixed(b"\x06\x05\x01\x80", b"\x65" + bytes(8)), Role.START),
        ("h264", AVCC, prefixed(b"\x06\x05\x01\x80") + b"\xff", Role.PLAIN),  # damaged
        ("hevc", HVCC, prefixed(b"\x4e\x01\x05"), Role.NO_PICTURE),
        ("mpeg4", b"", b"\0\0\1\xb2text", Role.NO_PICTURE),
        ("vp8", b"", b"\x10\0\0\x9d\1\x2a", Role.START),
        ("vp8", b"", b"\x11\0\0", Role.PLAIN),
        ("vp8", b"", b"\x01\0\0", Role.HIDDEN),
        ("vp8", b"", b"\x00\0\0", Role.HIDDEN),
        ("vp9", b"", bytes([0b10000010, 0]), Role.START),
        ("vp9", b"", bytes([0b10000100, 0]), Role.HIDDEN),
        ("vp9", b"", bytes([0b10001000]), Role.PLAIN),  # shows an earlier one
        ("vp9", b"", bytes([0b10110010, 0]), Role.HIDDEN),  # of profile 3
        ("vp9", b"", bytes([0b10110001, 0]), Role.PLAIN),
        # Two frames, the first one hidden, and their index.
        ("vp9", b"", bytes([0b10000100, 0, 0b10000110, 0b11000001, 2, 1, 0b11000001]), Role.PLAIN),
        ("vp9", b"", bytes([0b10000100, 0, 0b10000100, 0b11000001, 2, 1, 0b11000001]), Role.HIDDEN),
        ("av1", b"", b"\x12\0" + b"\x32\x02\x10\0", Role.START),
        ("av1", b"", b"\x12\0" + b"\x32\x02\x20\0", Role.HIDDEN),
        (
            "av1",
            b"",
            b"\x12\0" + b"\x32\x02\x00\0" + b"\x1a\x01\xa0",
            Role.PLAIN,
        ),  # hidden, then an earlier one
        ("av1", b"", b"\x12\0" + b"\x2a\x02\x04\0", Role.HIDDEN),  # metadata alone
    ],
)
def test_packets_without_pictures_and_pictures_that_are_not_shown_are_told_apart(
    codec, extradata, packet, role
):
    assert role_reader(codec, extradata)(packet) == role


@given(
    codec=st.sampled_from(["h264", "hevc", "mpeg4", "vp8", "vp9", "av1", "other"]),
    packet=st.binary(max_size=80),
)
def test_any_bytes_have_a_role(codec, packet):
    extradata = {"h264": AVCC, "hevc": HVCC}.get(codec, b"")
    assert isinstance(role_reader(codec, extradata)(packet), Role)
