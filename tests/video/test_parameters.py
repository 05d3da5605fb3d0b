"""Clips whose decoder parameters change in the stream, as in joined clips, and clips that repeat them."""

import struct
from dataclasses import replace

import av
import numpy as np
import pytest
from clips import ClipSpec, frames_of, moving_square, write_clip
from forge import VISUAL_ENTRY, Box, built, find, parse, u32

from omnireel.video.decoder.bitstream.parameters import ParameterTracker, sets_of_avcc, sets_of_hvcc
from omnireel.video.decoder.bitstream.roles import Role, role_reader
from omnireel.video.decoder.plan import Action, Picture, plan_packets
from omnireel.video.reader.frames import Sampling, open_clip

NUM_FRAMES = 60
SAMPLINGS = [
    Sampling(fps=None, max_frames=None),
    Sampling(fps=0.5),
    Sampling(fps=None, max_frames=4),
    Sampling(start_s=3.0, end_s=3.9),
    Sampling(fps=None, start_s=2.5),
]
H264 = ClipSpec(num_frames=NUM_FRAMES, gop_size=10, options={"bf": "0", "x264-params": "cabac=1:ref=1"})
HEVC = ClipSpec("hevc", num_frames=NUM_FRAMES, gop_size=10, options={"x265-params": "log-level=none:ctu=32"})
PAIRS = {
    "h264": (H264, {"bf": "0", "x264-params": "cabac=0:ref=3"}),
    "hevc": (HEVC, {"x265-params": "log-level=none:ctu=16:no-sao=1:open-gop=0"}),
}
SETS_OF = {"h264": (b"avcC", sets_of_avcc), "hevc": (b"hvcC", sets_of_hvcc)}


@pytest.fixture(scope="module", params=PAIRS)
def pair(request, tmp_path_factory):
    """A codec, and two clips in it that are encoded with different parameters and show different frames."""
    spec, options = PAIRS[request.param]
    folder = tmp_path_factory.mktemp("parts")
    other = replace(spec, options=options, paint=lambda number: moving_square(number + NUM_FRAMES, 160, 90))
    return request.param, write_clip(folder / "one.mp4", spec), write_clip(folder / "two.mp4", other)


def check(path, num_frames=2 * NUM_FRAMES):
    """Check that every sampling gives the same frames as a full decode."""
    reference = frames_of(path)
    assert len(reference) == num_frames
    for sampling in SAMPLINGS:
        with open_clip(path, sampling) as reader:
            frames, facts = list(reader.read_frames()), reader.facts
        assert facts.warnings == ()
        assert [frame.index for frame in frames] == list(facts.indices)
        assert all(np.array_equal(frame.rgb, reference[frame.index]) for frame in frames)


def packets_of(path):
    """The header of the stream, and its packets in file order."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.codec_context.extradata, [p for p in container.demux(stream) if p.size]


def headed(path):
    """The header of the stream, and the bytes of its packets."""
    extradata, packets = packets_of(path)
    return extradata, [bytes(packet) for packet in packets]


def rewritten(path, packets, template):
    """A file with the stream header of `template` and these packets: content, pts, dts, is_key."""
    with av.open(str(template)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        time_base = source.streams.video[0].time_base
        for content, pts, dts, is_key in packets:
            packet = av.Packet(content)
            packet.pts, packet.dts, packet.time_base, packet.is_keyframe = pts, dts, time_base, is_key
            packet.stream = stream
            container.mux(packet)
    return path


def joined(path, one, two, change_packet):
    """Both clips in one stream, under the header of the first.

    change_packet: changes the first packet of the second clip
    """
    _, first = packets_of(one)
    _, second = packets_of(two)
    gap = max(p.pts for p in first) + first[0].duration - second[0].pts
    contents = [bytes(p) for p in first] + [change_packet(bytes(second[0]))] + [bytes(p) for p in second[1:]]
    times = [(p.pts, p.dts) for p in first] + [(p.pts + gap, p.dts + gap) for p in second]
    keys = [p.is_keyframe for p in first + second]
    packets = [(c, *t, k) for c, t, k in zip(contents, times, keys, strict=True)]
    return rewritten(path, packets, one)


def described_twice(one, two):
    """An mp4 of both clips with a sample description for each; the clips have no B-frames."""
    boxes, packets = parse(one.read_bytes()), [packets_of(path)[1] for path in (one, two)]
    samples = packets[0] + packets[1]
    table, entries = find(boxes, b"stbl"), find(boxes, b"stsd")
    entries.prefix, entries.inside = u32(0, 2), entries.inside + find(parse(two.read_bytes()), b"stsd").inside
    keys = [i + 1 for i, sample in enumerate(samples) if sample.is_keyframe]
    front = [next(box for box in boxes if box.kind == b"ftyp")]
    data = Box(b"mdat", content=b"".join(bytes(sample) for sample in samples))
    places = np.cumsum([len(built(front)) + 8] + [sample.size for sample in samples[:-1]])
    table.inside = [
        entries,
        Box(b"stts", content=u32(0, 1, len(samples), samples[0].duration)),
        Box(b"stss", content=u32(0, len(keys), *keys)),
        Box(b"stsc", content=u32(0, 2, 1, 1, 1, len(packets[0]) + 1, 1, 2)),
        Box(b"stsz", content=u32(0, 0, len(samples), *[sample.size for sample in samples])),
        Box(b"stco", content=u32(0, len(samples), *places)),
    ]
    track = find(boxes, b"trak")
    track.inside = [box for box in track.inside if box.kind != b"edts"]
    return built([*front, data, find(boxes, b"moov")])


def sets_of(codec, path):
    """The parameter sets that an mp4 file's sample entry names, in order."""
    name, read = SETS_OF[codec]
    entry = find(parse(path.read_bytes()), b"stsd").inside[0]
    header = find(parse(entry.content[VISUAL_ENTRY:]), name).content
    return [unit for kind, units in read(header).items() if kind in (7, 8, 32, 33, 34) for unit in units]


def with_lengths(units):
    return b"".join(u32(len(unit)) + unit for unit in units)


def with_start_codes(units):
    return b"".join(b"\0\0\0\1" + unit for unit in units)


def units_of(packet):
    units = []
    while packet:
        (size,) = struct.unpack_from(">I", packet)
        units.append(packet[4 : 4 + size])
        packet = packet[4 + size :]
    return units


def roles_of(extradata, contents, codec="h264"):
    role_of = role_reader(codec, extradata)
    return [role_of(content) for content in contents]


@pytest.mark.parametrize("codec", PAIRS)
def test_joined_clips_with_two_sample_descriptions_give_the_frames_of_a_full_decode(codec, tmp_path):
    spec, other_options = PAIRS[codec]
    paths = []
    for number, options in enumerate((spec.options, other_options)):
        still = {key: f"{value}:bframes=0" for key, value in options.items() if "params" in key}
        paths.append(write_clip(tmp_path / f"{number}.mp4", replace(spec, options=still)))
    path = tmp_path / "both.mp4"
    path.write_bytes(described_twice(*paths))
    check(path)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_joined_clips_with_parameters_in_the_stream_give_the_frames_of_a_full_decode(pair, suffix, tmp_path):
    codec, one, two = pair
    sets = with_lengths(sets_of(codec, two))
    check(joined(tmp_path / f"both.{suffix}", one, two, lambda packet: sets + packet))


def test_parameters_after_start_codes_in_a_stream_of_lengths_are_found(tmp_path):
    one = write_clip(tmp_path / "one.mp4", H264)
    two = write_clip(tmp_path / "two.mp4", replace(H264, options=PAIRS["h264"][1]))
    front = [b"\x09\xf0", *sets_of("h264", two)]
    check(joined(tmp_path / "both.mp4", one, two, lambda p: with_start_codes(front + units_of(p))))


def test_a_header_in_place_of_a_packet_is_found():
    header = bytes([1, 100, 0, 11, 0xFF, 0xE0, 0])
    assert roles_of(header, [header + bytes(20)])[0] & Role.CHANGES_PARAMETERS


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_clip_whose_later_key_frames_lack_the_sequence_header_can_be_decoded_from_a_later_start(
    suffix, tmp_path
):
    path = write_clip(tmp_path / f"clip.{suffix}", ClipSpec("av1", num_frames=2 * NUM_FRAMES, gop_size=10))
    first, *later = headed(path)[1]
    header = first[: 2 + first[1]]
    assert sum(packet.startswith(header) for packet in later) > 5
    data = path.read_bytes()
    end = data.index(first) + len(first)
    # Padding of the same length, so that no offset changes.
    path.write_bytes(data[:end] + data[end:].replace(header, b"\x7a" + header[1:]))
    check(path)


@pytest.mark.parametrize(("profile", "build", "needs_first_packet"), [
    (244, b"148", True), (244, b"151", False), (100, b"148", False), (100, b"33", True),
])  # fmt: skip
def test_pictures_of_an_encoder_whose_bugs_ffmpeg_reproduces_need_the_first_packet(
    profile, build, needs_first_packet
):
    """FFmpeg reads the build of x264 from a message in the first packet."""
    message = b"\x06\x05\x30" + bytes(16) + b"x264 - core " + build + b" r2"
    (role,) = roles_of(bytes([1, profile, 0, 31, 0xFF]), [with_lengths([message, b"\x65" + bytes(20)])])
    assert role & Role.START
    assert bool(role & Role.CHANGES_PARAMETERS) == needs_first_packet


REPEATING = {
    "h264": ClipSpec(gop_size=10, options={"x264-params": "repeat-headers=1"}),
    "hevc": ClipSpec("hevc", gop_size=10, options={"x265-params": "log-level=none:repeat-headers=1"}),
    "av1": ClipSpec("av1", gop_size=10),
}


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("codec", REPEATING)
@pytest.mark.parametrize("has_header", [True, False])
def test_a_clip_that_repeats_its_parameters_is_still_decoded_in_part(codec, has_header, suffix, tmp_path):
    """So is a clip without parameters in its header, where every group has its own."""
    path = write_clip(tmp_path / f"clip.{suffix}", REPEATING[codec])
    extradata, packets = packets_of(path)
    assert all(repeated(codec, extradata, bytes(packets[0])) in bytes(p) for p in packets if p.is_keyframe)
    header = extradata if has_header else extradata[: {"h264": 5, "hevc": 22, "av1": 4}[codec]]
    roles = roles_of(header, map(bytes, packets), codec)
    pictures = [Picture(p.pts, role) for p, role in zip(packets, roles, strict=True)]
    actions = plan_packets(pictures, {max(p.pts for p in packets)})
    assert actions.count(Action.SKIP) > len(packets) / 2


def repeated(codec, extradata, first_packet):
    """A parameter set that the stream has."""
    if codec == "av1":
        return first_packet[: 2 + first_packet[1]]
    return SETS_OF[codec][1](extradata)[{"h264": 7, "hevc": 33}[codec]][0]


SPS, OTHER_SPS, PPS, OTHER_PPS = b"\x67A", b"\x67B", b"\x68A", b"\x68B"
STORED = {7: [SPS], 8: [PPS]}


def changes(stored, packets):
    """For each packet, given as (sets, is_start), whether it changes parameters."""
    tracker = ParameterTracker(stored)
    return [tracker.is_change(sets, is_start=is_start) for sets, is_start in packets]


def test_sets_of_the_header_may_be_repeated_anywhere():
    assert changes(STORED, [({}, True), ({8: [PPS]}, False), (STORED, True)]) == [False] * 3


@pytest.mark.parametrize("sets", [{7: [OTHER_SPS]}, {8: [OTHER_PPS]}, {8: [PPS, OTHER_PPS]}, {9: [PPS]}])
@pytest.mark.parametrize("is_start", [True, False])
def test_sets_that_differ_from_the_headers_are_a_change(sets, is_start):
    assert changes(STORED, [({}, True), (sets, is_start)]) == [False, True]


def test_sets_that_the_first_start_brings_have_to_come_with_every_start():
    new = {7: [OTHER_SPS], 8: [PPS]}
    assert changes(STORED, [(new, True), ({}, False), (new, True)]) == [False, False, False]
    assert changes(STORED, [(new, True), ({8: [PPS]}, True)]) == [False, True]
    assert changes(STORED, [(new, True), ({7: [SPS]}, True)]) == [False, True]


def test_sets_before_the_first_start_are_a_change():
    """The packet with these sets may itself be skipped."""
    assert changes({}, [(STORED, False), (STORED, True)]) == [True, True]


@pytest.mark.parametrize("length", range(40))
def test_a_truncated_header_is_read_to_its_end(length):
    avcc = bytes([1, 100, 0, 31, 0xFF, 0xE1, 0, 2]) + SPS + b"\1\0\2" + PPS
    hvcc = bytes([1]) + bytes(21) + b"\2" + b"\x21\0\1\0\2" + SPS + b"\x22\0\1\0\2" + PPS
    assert set(sets_of_avcc(avcc[:length])) <= {7, 8}
    assert set(sets_of_hvcc(hvcc[:length])) <= {33, 34}
    assert sets_of_avcc(avcc) == STORED
    assert sets_of_hvcc(hvcc) == {33: [SPS], 34: [PPS]}
