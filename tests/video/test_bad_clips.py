import os
import random
import re
import signal
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ClipSpec, frames_of, write_clip, write_sound

from omnireel.errors import InputError
from omnireel.video.limits import VideoLimits
from omnireel.video.reader.frames import Sampling, open_clip

DEFAULT, EVERY_FRAME, LIMITS = Sampling(), Sampling(fps=None), VideoLimits()
CENC = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}


def refusal(path, sampling=DEFAULT, limits=LIMITS):
    with pytest.raises(InputError) as caught, open_clip(path, sampling, limits) as reader:
        list(reader.read_frames())
    error = caught.value
    assert error.hint
    assert "\n" not in error.message
    assert not re.search(r"/|\b0x|av\.|Errno", error.message)
    return error


def read(path, sampling=EVERY_FRAME):
    with open_clip(path, sampling) as reader:
        frames = list(reader.read_frames())
        return reader.facts, frames


@pytest.fixture
def bytes_of(tmp_path):
    """A function that writes a file with the given bytes."""

    def write(content, name="clip.mp4"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def test_an_empty_file_is_refused(bytes_of):
    assert refusal(bytes_of(b"")).kind == "file_empty"


@pytest.mark.parametrize(
    "content",
    [
        b"not a video at all " * 100,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n",
        b"ffconcat version 1.0\nfile '/etc/hostname'\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\x00",
    ],
)
def test_an_unknown_container_is_refused_whatever_its_name(content, bytes_of):
    error = refusal(bytes_of(content))
    assert error.kind == "unsupported_video_format"
    assert "mp4" in error.ctx["supported_formats"]
    assert error.about == "media"


def test_an_avi_file_is_refused(tmp_path):
    path = write_clip(tmp_path / "clip.avi", ClipSpec("mpeg4", num_frames=3))
    assert refusal(path).kind == "unsupported_video_format"


@pytest.mark.parametrize("name", ["sound.mp4", "sound.mka"])
def test_a_file_with_sound_only_is_refused(name, tmp_path):
    assert refusal(write_sound(tmp_path / name)).kind == "no_video_stream"


def test_a_file_with_a_cover_picture_only_is_refused(tmp_path):
    path = tmp_path / "album.mp4"
    picture = av.CodecContext.create("mjpeg", "w")
    picture.width, picture.height, picture.pix_fmt, picture.time_base = 32, 32, "yuvj420p", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
    frame = frame.reformat(format="yuvj420p", dst_color_range="JPEG")
    frame.pts = 0
    (jpeg,) = picture.encode(frame) or picture.encode(None)
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        tone.sample_rate, tone.pts = 48_000, 0
        container.mux(sound.encode(tone))
        container.mux(sound.encode(None))
        jpeg.stream, jpeg.pts, jpeg.dts = cover, 0, 0
        container.mux(jpeg)
    assert refusal(path).kind == "no_video_stream"


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name"),
    [("mpeg2video", "yuv420p", "a.mkv"), ("mjpeg", "yuvj420p", "a.mov"), ("prores", "yuv422p10le", "a.mov")],
)
def test_other_codecs_are_refused_by_name(codec, pix_fmt, name, tmp_path):
    path = write_clip(tmp_path / name, ClipSpec(codec, num_frames=2, pix_fmt=pix_fmt))
    error = refusal(path)
    assert error.kind == "unsupported_codec"
    assert error.ctx["provided"] == codec
    assert codec in error.message


def test_an_encrypted_clip_is_refused(tmp_path):
    path = write_clip(tmp_path / "drm.mp4", ClipSpec(num_frames=5, container_options=CENC))
    error = refusal(path)
    assert (error.kind, error.ctx["provided"]) == ("unsupported_codec", "encrypted")


@pytest.mark.parametrize(("num_frames", "is_accepted"), [(120, True), (121, False), (130, False)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_two_minutes_are_the_limit(num_frames, is_accepted, suffix, tmp_path):
    spec = ClipSpec(num_frames=num_frames, rate=Fraction(1), width=32, height=32)
    path = write_clip(tmp_path / f"long.{suffix}", spec)
    if is_accepted:
        assert read(path, Sampling())[0].duration_s == pytest.approx(120)
        return
    error = refusal(path)
    assert error.kind == "video_duration_too_long"
    assert error.ctx == {"max_duration": 120.0, "provided_duration": pytest.approx(num_frames)}


def test_a_false_duration_in_the_header_is_ignored(tmp_path, bytes_of):
    path = write_clip(tmp_path / "long.mp4", ClipSpec(num_frames=130, rate=Fraction(1), width=32, height=32))
    content = bytearray(path.read_bytes())
    for box, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
        at = content.index(box) + offset
        content[at : at + 4] = (5).to_bytes(4, "big")
    assert refusal(bytes_of(bytes(content))).kind == "video_duration_too_long"


@pytest.mark.parametrize(
    ("size", "limit"),
    [((1922, 1080), (1920, 1080)), ((1082, 1920), (1080, 1920)), ((1200, 1200), (1920, 1080))],
)
def test_more_than_1080p_is_refused_in_either_orientation(size, limit, tmp_path):
    path = write_clip(tmp_path / "big.mp4", ClipSpec(width=size[0], height=size[1], num_frames=1))
    error = refusal(path)
    assert error.kind == "video_resolution_too_large"
    assert (error.ctx["max_width"], error.ctx["max_height"]) == limit


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (16, 16)])
def test_the_largest_and_the_smallest_picture_are_read(size, tmp_path):
    path = write_clip(tmp_path / "edge.mp4", ClipSpec(width=size[0], height=size[1], num_frames=1))
    facts, (frame,) = read(path)
    assert (facts.width, facts.height) == size
    assert frame.rgb.shape == (size[1], size[0], 3)


def test_a_stretched_picture_is_measured_by_its_displayed_size(tmp_path):
    path = write_clip(tmp_path / "wide.mp4", ClipSpec(num_frames=1, sample_aspect=Fraction(20)))
    assert refusal(path).kind == "video_resolution_too_large"


def test_a_picture_smaller_than_a_patch_is_refused(tmp_path):
    path = write_clip(tmp_path / "small.mp4", ClipSpec(width=64, height=14, num_frames=1))
    assert refusal(path).kind == "video_too_small"


def test_file_size_and_number_of_frames_are_limited(clip):
    assert refusal(clip, limits=VideoLimits(max_bytes=100)).ctx["max_size"] == 100
    assert refusal(clip, limits=VideoLimits(max_num_packets=59)).kind == "video_too_many_frames"


def test_a_start_after_the_end_is_refused(clip):
    error = refusal(clip, Sampling(start_s=2.5))
    assert (error.kind, error.about, error.ctx) == ("less_than", "start_s", {"lt": 2.0})


@pytest.mark.parametrize("layout", ["faststart", "frag_keyframe+empty_moov", "mkv"])
def test_a_truncated_file_gives_the_frames_it_has_and_a_warning(layout, tmp_path, bytes_of):
    suffix, options = ("mkv", {}) if layout == "mkv" else ("mp4", {"movflags": layout})
    path = write_clip(tmp_path / f"whole.{suffix}", ClipSpec(container_options=options))
    content, reference = path.read_bytes(), frames_of(path)
    counts = []
    for share in (0.4, 0.6, 0.9):
        facts, frames = read(bytes_of(content[: int(len(content) * share)], path.name))
        assert facts.warnings == ("video_truncated",)
        assert all((frame.rgb == reference[round(frame.time_s * 30)]).all() for frame in frames)
        counts.append(facts.num_source_frames)
    assert 0 < counts[0] < counts[1] < counts[2] < 60


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("change", [lambda d: d + b"\n", lambda d: d + bytes(7), lambda d: d + b"mdat" * 3])
def test_bytes_behind_the_last_picture_are_no_loss(change, suffix, tmp_path, bytes_of):
    spec = ClipSpec("vp9" if suffix == "webm" else "h264", num_frames=10, with_audio=True)
    content = write_clip(tmp_path / f"whole.{suffix}", spec).read_bytes()
    facts, frames = read(bytes_of(change(content), f"more.{suffix}"))
    assert (len(frames), facts.warnings) == (10, ())


def test_a_matroska_file_that_ends_within_its_index_has_all_its_pictures(tmp_path, bytes_of):
    content = write_clip(tmp_path / "whole.mkv", ClipSpec(num_frames=10)).read_bytes()
    end = content.rindex(b"\x1c\x53\xbb\x6b") + 12  # Cues
    facts, frames = read(bytes_of(content[:end], "cut.mkv"))
    assert (len(frames), facts.warnings) == (10, ())
    facts, frames = read(bytes_of(content[: end - 100], "cut.mkv"))
    assert facts.warnings == ("video_truncated",)


def test_a_file_that_ends_within_its_sound_is_truncated(tmp_path, bytes_of):
    path = write_clip(
        tmp_path / "whole.mp4", ClipSpec(with_audio=True, container_options={"movflags": "faststart"})
    )
    with av.open(str(path)) as container:
        last = max(packet.pos + packet.size for packet in container.demux(video=0) if packet.size)
    content = path.read_bytes()
    assert last < len(content) - 500
    facts, frames = read(bytes_of(content[:last]))
    assert (len(frames), facts.warnings) == (60, ("video_truncated",))


def test_a_truncated_file_without_frames_is_corrupt(clip, bytes_of):
    content = clip.read_bytes()
    for size in (33, len(content) // 2):  # the index is at the end
        assert refusal(bytes_of(content[:size])).kind == "video_corrupt"


def test_random_bytes_after_a_valid_signature_are_corrupt(bytes_of, clip):
    assert (
        refusal(bytes_of(clip.read_bytes()[:32] + random.Random(1).randbytes(5000))).kind == "video_corrupt"
    )


def test_a_heavily_damaged_clip_is_corrupt(tmp_path, bytes_of):
    path = write_clip(tmp_path / "whole.mp4", ClipSpec(container_options={"movflags": "faststart"}))
    content, rng = bytearray(path.read_bytes()), random.Random(1)
    for i in range(content.index(b"mdat") + 1000, len(content)):
        content[i] ^= (rng.random() < 0.02) << rng.randrange(8)
    assert refusal(bytes_of(bytes(content)), Sampling(fps=None)).kind == "video_corrupt"


def test_any_damage_gives_frames_or_a_documented_error(clip, bytes_of):
    content, rng = clip.read_bytes(), random.Random(2)
    for _ in range(12):
        damaged = bytearray(content)
        for _ in range(rng.randrange(1, 40)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path = bytes_of(bytes(damaged))
        try:
            read(path)
        except InputError as error:
            assert error.kind != "video_decode_failed"  # noqa: PT017  both outcomes are allowed


def test_a_child_that_crashes_once_is_replaced_and_no_frame_is_lost(clip):
    with open_clip(clip, Sampling(fps=None)) as reader:
        frames = reader.read_frames()
        seen = [next(frames), next(frames)]
        os.kill(reader.child_pid, signal.SIGSEGV)
        seen += frames
    assert [frame.index for frame in seen] == list(range(60))
    reference = frames_of(clip)
    assert all((frame.rgb == reference[frame.index]).all() for frame in seen)


def test_a_child_that_crashes_twice_fails_the_clip(clip):
    with open_clip(clip, Sampling(fps=None)) as reader:
        frames = reader.read_frames()
        next(frames)
        first = reader.child_pid
        os.kill(first, signal.SIGSEGV)
        while reader.child_pid == first:
            next(frames)
        os.kill(reader.child_pid, signal.SIGKILL)
        with pytest.raises(InputError) as caught:
            list(frames)
    assert caught.value.kind == "video_decode_failed"


def test_a_child_that_hangs_is_killed_after_the_timeout(clip):
    with open_clip(clip, Sampling(fps=None), VideoLimits(timeout_s=1.0)) as reader:
        frames = reader.read_frames()
        next(frames)
        pid = reader.child_pid
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(InputError) as caught:
            list(frames)
    assert caught.value.kind == "video_decode_timeout"
    assert not os.path.exists(f"/proc/{pid}")


def test_a_table_with_an_offset_before_the_start_of_the_file_is_corrupt_and_no_internal_error(caplog):
    """`make fuzz-media` found this file: seed 1, number 4110."""
    with pytest.raises(InputError) as caught:
        open_clip(Path(__file__).with_name("leads_before_its_start.mp4"))
    assert caught.value.kind == "video_corrupt"
    assert not caplog.records
