"""Valid files and malicious files, each with its exact outcome.

The frames of valid files have four painted quarters. The brightness of one quarter is the number of the frame, so one
check covers size, orientation, colours and order. Names in the tables are the ids of the tests.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import forge
import numpy as np
import pytest
from clips import ClipSpec, write_clip, write_sound
from forge import Box, edited, patched, u32, without

from omnireel.errors import InputError
from omnireel.video.reader.frames import Sampling, open_clip

NUM_FRAMES, WIDTH, HEIGHT = 6, 96, 64
RED, GREEN, BLUE = (200, 40, 40), (40, 160, 60), (50, 70, 200)
EVERY_FRAME = Sampling(fps=None)


def quarters(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A frame with red, green, blue, and a grey that encodes its number."""
    grey = (40 + 30 * number,) * 3
    rgb = np.empty((height, width, 3), np.uint8)
    top, left = slice(0, height // 2), slice(0, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    rgb[top, left], rgb[top, right], rgb[bottom, left], rgb[bottom, right] = RED, GREEN, BLUE, grey
    return rgb


@dataclass(frozen=True)
class Shown:
    """The file is read.

    frames: numbers of the painted frames, in order; size: as displayed; turned: turns a painted frame as displayed
    """

    frames: tuple[int, ...] = tuple(range(NUM_FRAMES))
    size: tuple[int, int] = (WIDTH, HEIGHT)
    times_s: tuple[float, ...] | None = None
    warnings: tuple[str, ...] = ()
    turned: Callable[[np.ndarray], np.ndarray] = field(default=lambda picture: picture)
    has_audio: bool = False
    tolerance: int = 14


@dataclass(frozen=True)
class Refused:
    """The file is refused. limits: entries that the error's ctx must have"""

    kind: str
    limits: tuple[tuple[str, object], ...] = ()


Outcome = Shown | Refused
CORRUPT, NO_VIDEO, FORMAT = (
    Refused("video_corrupt"),
    Refused("no_video_stream"),
    Refused("unsupported_video_format"),
)


def spec(codec: str = "h264", **changes) -> ClipSpec:
    size = {"width": changes.get("width", WIDTH), "height": changes.get("height", HEIGHT)}
    base = {"num_frames": NUM_FRAMES, "rate": Fraction(10), "paint": lambda number: quarters(number, **size)}
    return ClipSpec(codec, **(size | base | changes))


@pytest.fixture(scope="module")
def clip_of(tmp_path_factory):
    """A function that writes a clip. Each clip is written once."""
    folder, made = tmp_path_factory.mktemp("crafted"), {}

    def make(suffix: str, key: str, wanted: ClipSpec) -> Path:
        if (suffix, key) not in made:
            made[suffix, key] = write_clip(folder / f"{len(made)}.{suffix}", wanted)
        return made[suffix, key]

    return make


def check(path: Path, outcome: Outcome, sampling: Sampling = EVERY_FRAME) -> None:
    if isinstance(outcome, Refused):
        with pytest.raises(InputError) as caught, open_clip(path, sampling) as reader:
            list(reader.read_frames())
        error = caught.value
        assert error.kind == outcome.kind, error.message
        assert dict(outcome.limits).items() <= dict(error.ctx or {}).items()
        assert str(path) not in error.message
        return
    with open_clip(path, sampling) as reader:
        frames, facts = list(reader.read_frames()), reader.facts
    assert (facts.width, facts.height) == outcome.size
    assert facts.warnings == outcome.warnings
    assert facts.has_audio == outcome.has_audio
    assert len(frames) == len(outcome.frames)
    if outcome.times_s is not None:
        assert [frame.time_s for frame in frames] == pytest.approx(outcome.times_s, abs=1e-3)
    for frame, number in zip(frames, outcome.frames, strict=True):
        expected = outcome.turned(quarters(number))
        for (y, x), colour in corners(expected).items():
            height, width = frame.rgb.shape[:2]
            seen = frame.rgb[round(y * height), round(x * width)].astype(int)
            assert abs(seen - colour).max() <= outcome.tolerance, (number, y, x, seen, colour)


def corners(picture: np.ndarray) -> dict[tuple[float, float], np.ndarray]:
    """The colour at the middle of each quarter, by its place in shares of height and width."""
    height, width = picture.shape[:2]
    middles = [(y, x) for y in (0.25, 0.75) for x in (0.25, 0.75)]
    return {(y, x): picture[round(y * height), round(x * width)].astype(int) for y, x in middles}


def rotated(turns: int, *, mirrored: bool = False) -> Callable[[np.ndarray], np.ndarray]:
    return lambda picture: np.rot90(picture, turns)[:, :: -1 if mirrored else 1]


VP8_HIDDEN = {
    "deadline": "good",
    "cpu-used": "4",
    "auto-alt-ref": "1",
    "lag-in-frames": "5",
    "arnr-maxframes": "5",
}
VFR = (0, 1, 4, 5, 9, 20)
MADE: dict[str, tuple[str, ClipSpec, Outcome]] = {
    **{f"{codec} in {suffix}": (suffix, spec(codec), Shown())
       for codec in ("h264", "hevc", "mpeg4") for suffix in ("mp4", "mov", "mkv")},
    **{f"{codec} in {suffix}": (suffix, spec(codec), Shown()) for codec in ("av1", "vp9") for suffix in ("mp4", "mkv", "webm")},
    "h264 in m4v": ("m4v", spec(), Shown()),
    **{f"{codec} {pix_fmt}": ("mp4", spec(codec, pix_fmt=pix_fmt), Shown()) for codec, pix_fmt in (
        ("h264", "yuv422p"), ("h264", "yuv444p"), ("h264", "yuvj420p"), ("h264", "yuv420p10le"), ("h264", "yuv422p10le"),
        ("hevc", "yuv422p"), ("hevc", "yuv444p"), ("hevc", "yuv420p10le"), ("hevc", "yuv422p10le"), ("hevc", "yuv444p10le"),
        ("hevc", "yuv420p12le"), ("av1", "yuv420p10le"), ("vp9", "yuv444p"), ("vp9", "yuv422p"))},
    **{f"{width}x{height}": ("mp4", spec(width=width, height=height, pix_fmt="yuv444p"), Shown(size=(width, height)))
       for width, height in ((97, 65), (96, 65), (97, 64), (17, 33), (16, 16), (640, 16))},
    **{f"turned by {angle}{' and mirrored' if mirrored else ''} in {suffix}": (
        suffix, spec(rotation=angle, mirrored=mirrored),
        Shown(size=(WIDTH, HEIGHT) if angle % 180 == 0 else (HEIGHT, WIDTH), turned=rotated(angle // 90, mirrored=mirrored)))
       for suffix in ("mp4", "mov") for angle, mirrored in ((90, False), (180, False), (-90, False), (0, True), (90, True), (180, True))},
    **{f"pixels {aspect} in {suffix}": (suffix, spec(sample_aspect=Fraction(aspect)), Shown(size=(round(WIDTH * Fraction(aspect)), HEIGHT)))
       for suffix in ("mp4", "mkv") for aspect in ("4/3", "3/4", "2", "1/2", "16/11")},
    "variable rate": ("mp4", spec(times=VFR), Shown(times_s=tuple(t / 10 for t in VFR))),
    "variable rate in mkv": ("mkv", spec(times=VFR), Shown(times_s=tuple(t / 10 for t in VFR))),
    "not starting at nought": ("mp4", spec(times=[i + 50 for i in range(6)]), Shown(times_s=tuple(i / 10 for i in range(6)))),
    "not starting at nought in mkv": ("mkv", spec(times=[i + 50 for i in range(6)]), Shown(times_s=tuple(i / 10 for i in range(6)))),
    "a long pause": ("mp4", spec(times=[0, 1, 2, 503, 504, 505]), Shown(times_s=(0, 0.1, 0.2, 50.3, 50.4, 50.5))),
    "an edit list hides the first two": ("mp4", spec(times=[i - 2 for i in range(6)]), Shown((2, 3, 4, 5))),
    "one frame": ("mp4", spec(num_frames=1), Shown((0,))),
    "two frames": ("mkv", spec(num_frames=2), Shown((0, 1))),
    "120 frames a second": ("mp4", spec(rate=Fraction(120)), Shown(times_s=tuple(i / 120 for i in range(6)))),
    "NTSC's rate": ("mp4", spec(rate=Fraction(30000, 1001)), Shown(times_s=tuple(i * 1001 / 30000 for i in range(6)))),
    "with sound": ("mp4", spec(with_audio=True), Shown(has_audio=True)),
    "with sound in mkv": ("mkv", spec(with_audio=True), Shown(has_audio=True)),
    "interlaced": ("mp4", spec(options={"x264-params": "tff=1"}), Shown()),
    "interlaced mpeg4": ("mp4", spec("mpeg4", options={"flags": "+ildct+ilme"}), Shown()),
    "fragmented": ("mp4", spec(container_options={"movflags": "frag_keyframe+empty_moov"}), Shown()),
    "a fragment for each frame": ("mp4", spec(container_options={"movflags": "frag_every_frame+empty_moov+default_base_moof"}), Shown()),
    "moov first": ("mp4", spec(container_options={"movflags": "faststart"}), Shown()),
    "all frames intra": ("mp4", spec(gop_size=1), Shown()),
    "no B-frames, one group": ("mp4", spec(options={"bf": "0"}, gop_size=300), Shown()),
    "lossless": ("mp4", spec(options={"qp": "0"}), Shown(tolerance=4)),
    "labelled as bt709": ("mp4", spec(width=1280, height=720, num_frames=1, options={"colorspace": "bt709"}), Shown((0,), size=(1280, 720), tolerance=40)),
    "mpeg2": ("mkv", spec("mpeg2video", rate=Fraction(25)), Refused("unsupported_codec", (("provided", "mpeg2video"),))),
    "mjpeg": ("mov", spec("mjpeg", pix_fmt="yuvj420p"), Refused("unsupported_codec", (("provided", "mjpeg"),))),
    "prores": ("mov", spec("prores", pix_fmt="yuv422p10le"), Refused("unsupported_codec", (("provided", "prores"),))),
    **{f"vp8 in {suffix}": (suffix, spec("vp8"), Shown()) for suffix in ("mkv", "webm")},
    "ffv1": ("mkv", spec("ffv1"), Refused("unsupported_codec", (("provided", "ffv1"),))),
    "png frames": ("mov", spec("png", pix_fmt="rgb24"), Refused("unsupported_codec", (("provided", "png"),))),
    "1922 pixels wide": ("mp4", spec(width=1922, height=16), Refused("video_resolution_too_large", (("max_width", 1920),))),
    "1082 pixels high and wide": ("mp4", spec(width=1082, height=1082), Refused("video_resolution_too_large", (("max_height", 1080),))),
    "14 pixels high": ("mp4", spec(height=14), Refused("video_too_small", (("min_height", 16),))),
    "stretched past the limit": ("mp4", spec(sample_aspect=Fraction(30)), Refused("video_resolution_too_large")),
    "120 seconds": ("mp4", spec(times=[0, 1, 2, 3, 4, 1199]), Shown(times_s=(0, 0.1, 0.2, 0.3, 0.4, 119.9))),
    "121 seconds": ("mp4", spec(times=[0, 1, 2, 3, 4, 1209]), Refused("video_duration_too_long", (("max_duration", 120.0),))),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_every_encoding_is_read_or_refused_as_listed(name, clip_of):
    suffix, wanted, outcome = MADE[name]
    check(clip_of(suffix, name, wanted), outcome)


STBL = (b"stbl",)
CUT = ("video_truncated",)


def in_front(*boxes: bytes) -> Callable[[bytes], bytes]:
    """A function that puts boxes before the first one. Offsets into mdat are adjusted."""

    def apply(data: bytes) -> bytes:
        return moved(b"".join(boxes) + data, sum(map(len, boxes)))

    return apply


def moved(data: bytes, by: int) -> bytes:
    """The file with `by` added to the offsets in its sample table."""
    boxes = forge.parse(data)
    table = forge.find(boxes, b"stco")
    count = struct.unpack_from(">I", table.content, 4)[0]
    offsets = struct.unpack_from(f">{count}I", table.content, 8)
    table.content = table.content[:8] + u32(*(offset + by for offset in offsets))
    return forge.built(boxes)


def mdat_as(header: Callable[[int], bytes]) -> Callable[[bytes], bytes]:
    """A function that gives the last box another header. header: makes it from the length of the content"""

    def apply(data: bytes) -> bytes:
        mdat = forge.parse(data)[-1]
        assert mdat.kind == b"mdat"
        made = header(len(mdat.content))
        whole = moved(data, len(made) - 8)
        return whole[: -8 - len(mdat.content)] + made + mdat.content

    return apply


def entry(at: int, value: bytes) -> Callable[[bytes], bytes]:
    """A function that overwrites bytes of the track's sample entry (avc1)."""
    return patched(b"stsd", b"avc1", at=at, value=value)


def renamed(*path: bytes, to: bytes) -> Callable[[bytes], bytes]:
    def edit(box: Box) -> None:
        box.kind = to

    return edited(*path, edit=edit)


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    assert len(old) == len(new)
    return lambda data: data.replace(old, new, 1)


def external(kind: bytes, location: bytes) -> Callable[[bytes], bytes]:
    """A function that makes the track refer to pictures in another file."""

    def apply(data: bytes) -> bytes:
        def edit(box: Box) -> None:
            box.inside = [Box(kind, content=u32(0) + location)]

        before = len(data)
        changed = edited(b"dref", edit=edit)(data)
        return moved(changed, len(changed) - before)

    return apply


def nested(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = struct.pack(">I4s", 8 + len(inner), b"moov") + inner
    return inner


def copied_tracks(count: int) -> Callable[[bytes], bytes]:
    def apply(data: bytes) -> bytes:
        boxes = forge.parse(data)
        moov = forge.find(boxes, b"moov")
        track = next(box for box in moov.inside if box.kind == b"trak")
        moov.inside += [track] * count
        changed = forge.built(boxes)
        # Every copy points into the same mdat, which has moved because of the copies.
        by = len(changed) - len(data)
        for box in moov.walk():
            if box.kind == b"stco":
                box.content = box.content[:8] + u32(
                    *(o + by for o in struct.unpack(f">{len(box.content) // 4 - 2}I", box.content[8:]))
                )
                break
        return forge.built(boxes)

    return apply


CRAFTED: dict[str, tuple[Callable[[bytes], bytes], Outcome]] = {
    "nothing changed": (lambda data: data, Shown()),
    "an unknown box in front": (in_front(Box(b"abcd", b"x" * 50).bytes()), FORMAT),
    "free space in front": (in_front(Box(b"free", b"x" * 50).bytes()), Shown()),
    "a megabyte of free space in front": (in_front(Box(b"free", bytes(1 << 20)).bytes()), Shown()),
    "5,000 empty boxes in front": (in_front(Box(b"free").bytes() * 5000), Shown()),
    "a box of 16 bytes with the length of an endless one": (lambda data: b"\0\0\0\x00free" + bytes(8) + data, CORRUPT),
    "a box with a length of 7": (lambda data: b"\0\0\0\x07free" + data, CORRUPT),
    "a box as long as 2^63": (lambda data: b"\0\0\0\x01free\x7f" + b"\xff" * 7 + data, CORRUPT),
    "a box as long as 2^64": (lambda data: b"\0\0\0\x01free" + b"\xff" * 8 + data, CORRUPT),
    "junk behind": (lambda data: data + b"junk" * 100, Shown()),
    "text behind": (lambda data: data + b"#EXTM3U\nfile:///etc/passwd\n", Shown()),
    "no ftyp": (without(b"ftyp"), Shown()),
    "a still picture's brand": (patched(b"ftyp", at=0, value=b"avif"), FORMAT),
    "an unknown brand": (patched(b"ftyp", at=0, value=b"zzzz"), Shown()),
    "a moov in free space, where FFmpeg looks for lost ones": (without(b"moov"), Shown()),
    "no moov": (lambda data: forge.built([b for b in forge.parse(data) if b.kind != b"moov"]), CORRUPT),
    "no mdat": (without(b"mdat"), Shown()),
    "mdat up to the end": (mdat_as(lambda size: b"\0\0\0\0mdat"), Shown()),
    "mdat with a long length": (mdat_as(lambda size: b"\0\0\0\1mdat" + struct.pack(">Q", size + 16)), Shown()),
    "mdat longer than the file": (mdat_as(lambda size: struct.pack(">I4s", size + 5000, b"mdat")), Shown()),
    "moov within moov, 1,000 deep": (lambda data: forge.built(forge.parse(data)[:1]) + nested(1000), CORRUPT),
    "moov within moov, 20,000 deep": (lambda data: forge.built(forge.parse(data)[:1]) + nested(20_000), CORRUPT),
    "40 more tracks": (copied_tracks(40), CORRUPT),
    "no sample descriptions": (patched(b"stsd", at=4, value=u32(0)), CORRUPT),
    "2^32 sample descriptions": (patched(b"stsd", at=4, value=u32(0xFFFFFFFF)), CORRUPT),
    "no stsd": (without(b"stsd"), Refused("unsupported_codec", (("provided", "unknown"),))),
    "an unknown codec": (renamed(b"stsd", b"avc1", to=b"zzzz"), Refused("unsupported_codec")),
    "labelled as hevc": (renamed(b"stsd", b"avc1", to=b"hvc1"), CORRUPT),
    "labelled as mpeg4": (renamed(b"stsd", b"avc1", to=b"mp4v"), CORRUPT),
    "labelled as av1": (renamed(b"stsd", b"avc1", to=b"av01"), CORRUPT),
    "no avcC": (replaced(b"avcC", b"free"), CORRUPT),
    "an avcC of another version": (lambda data: data.replace(b"avcC\x01", b"avcC\x07", 1), CORRUPT),
    "entry of 0x0": (entry(24, b"\0\0\0\0"), Shown()),
    # The ratio of track size to entry size becomes the pixel aspect. The number of pixels comes from the stream itself.
    "entry of 16384x16384": (entry(24, struct.pack(">HH", 16384, 16384)), Shown(size=(144, 64))),
    "track of 65535x65535": (patched(b"tkhd", at=76, value=u32(65535 << 16, 65535 << 16)), Shown(size=(64, 64))),
    "track of 0x0": (patched(b"tkhd", at=76, value=u32(0, 0)), Shown()),
    "a matrix of noughts": (patched(b"tkhd", at=40, value=bytes(36)), Shown()),
    "a matrix of 45 degrees": (patched(b"tkhd", at=40, value=u32(46341, 46341, 0, 0xFFFFFFFF - 46340, 46341)), Shown()),
    "a track of sound": (patched(b"hdlr", at=8, value=b"soun"), NO_VIDEO),
    "a track of subtitles that holds pictures": (patched(b"hdlr", at=8, value=b"sbtl"), Shown()),
    "a track of unknown kind that holds pictures": (patched(b"hdlr", at=8, value=b"zzzz"), Shown()),
    "a movie without a time scale": (patched(b"mvhd", at=12, value=u32(0)), Shown()),
    "a track without a time scale": (patched(b"mdhd", at=12, value=u32(0)), Refused("video_duration_too_long")),
    "a track of endless duration": (patched(b"mdhd", at=16, value=u32(0xFFFFFFFF)), Shown()),
    "a movie of endless duration": (patched(b"mvhd", at=16, value=u32(0xFFFFFFFF)), Shown()),
    "2^32 samples": (patched(b"stsz", at=8, value=u32(0xFFFFFFFF)), CORRUPT),
    "no samples": (patched(b"stsz", at=8, value=u32(0)), CORRUPT),
    "samples of 4 GB": (patched(b"stsz", at=12, value=u32(*[0xFFFFFFFF] * NUM_FRAMES)), CORRUPT),
    "samples of no bytes": (patched(b"stsz", at=12, value=u32(*[0] * NUM_FRAMES)), CORRUPT),
    "samples of one byte": (patched(b"stsz", at=4, value=u32(1)), CORRUPT),
    "no stsz": (without(b"stsz"), CORRUPT),
    "2^32 entries of times": (patched(b"stts", at=4, value=u32(0xFFFFFFFF)), CORRUPT),
    "2^32 frames in one entry of times": (patched(b"stts", at=8, value=u32(0xFFFFFFFF)), Shown()),
    # One frame is then before the start of the edit list.
    "times that stand still": (patched(b"stts", at=12, value=u32(0)), Shown((0, 1, 2, 4, 5))),
    "times that leap": (patched(b"stts", at=12, value=u32(0x7FFFFFFF)), Refused("video_duration_too_long")),
    "no stts": (without(b"stts"), CORRUPT),
    "2^32 chunks": (patched(b"stco", at=4, value=u32(0xFFFFFFFF)), Shown()),
    "a chunk beyond the end": (patched(b"stco", at=8, value=u32(0x7FFFFFFF)), CORRUPT),
    "a chunk at the start": (patched(b"stco", at=8, value=u32(0)), CORRUPT),
    "no stco": (without(b"stco"), CORRUPT),
    "chunks that begin with the last": (patched(b"stsc", at=8, value=u32(0xFFFFFFFF)), Shown()),
    "2^32 samples to a chunk": (patched(b"stsc", at=12, value=u32(0xFFFFFFFF)), Shown((0,))),
    "no samples to a chunk": (patched(b"stsc", at=12, value=u32(0)), Shown((0,))),
    "no stsc": (without(b"stsc"), CORRUPT),
    "pictures in another file": (external(b"url ", b"file:///etc/passwd\0"), Shown()),
    "pictures on another host": (external(b"url ", b"http://127.0.0.1:9/x.mp4\0"), Shown()),
    "pictures behind a Macintosh alias": (external(b"alis", b"\0" * 150), Shown()),
}  # fmt: skip


@pytest.fixture(scope="module")
def plain(clip_of):
    return clip_of("mp4", "moov first", MADE["moov first"][1]).read_bytes()


@pytest.mark.parametrize("name", CRAFTED)
def test_a_forged_file_has_one_outcome(name, plain, tmp_path):
    forgery, outcome = CRAFTED[name]
    path = tmp_path / "forged.mp4"
    path.write_bytes(forgery(plain))
    check(path, outcome)


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("clip.mp4", b"x")
    return sink.getvalue()


BOX = struct.Struct(">I4s")
OTHERS: dict[str, tuple[Callable[[], bytes], Outcome]] = {
    "nothing": (lambda: b"", Refused("file_empty")),
    "one byte": (lambda: b"\0", FORMAT),
    "a megabyte of noughts": (lambda: bytes(1 << 20), FORMAT),
    "text": (lambda: b"not a video at all " * 100, FORMAT),
    "a page": (lambda: b"<!doctype html><html><body>404</body></html>", FORMAT),
    "JSON": (lambda: b'{"error": "not found"}', FORMAT),
    "a drawing": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", FORMAT),
    "a playlist of HLS": (lambda: b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n", FORMAT),
    "a playlist of HLS behind an ID3 tag": (lambda: b"ID3\x04\0\0\0\0\0\0#EXTM3U\nfile:///etc/passwd\n", FORMAT),
    "a manifest of DASH": (lambda: b"<?xml version='1.0'?><MPD><BaseURL>file:///etc/</BaseURL></MPD>", FORMAT),
    "a list of files": (lambda: b"ffconcat version 1.0\nfile '/etc/passwd'\n", FORMAT),
    "a session description": (lambda: b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n", FORMAT),
    "FFmpeg's metadata": (lambda: b";FFMETADATA1\ntitle=x\n", FORMAT),
    "subtitles": (lambda: b"1\n00:00:00,000 --> 00:00:01,000\nhello\n", FORMAT),
    "a picture, PNG": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), FORMAT),
    "a picture, JPEG": (lambda: b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(100), FORMAT),
    "an animation, GIF, of nothing": (lambda: b"GIF89a" + bytes(100), CORRUPT),
    "a still picture, HEIC": (lambda: BOX.pack(24, b"ftyp") + b"heic" + bytes(4) + b"mif1heic", FORMAT),
    "a still picture, AVIF": (lambda: BOX.pack(24, b"ftyp") + b"avif" + bytes(4) + b"mif1avif", FORMAT),
    "a program": (lambda: b"\x7fELF\x02\x01\x01" + bytes(100), FORMAT),
    "an archive": (zipped, FORMAT),
    "a compressed file": (lambda: gzip.compress(b"x" * 100), FORMAT),
    "a document": (lambda: b"%PDF-1.7\n" + bytes(100), FORMAT),
    "sound, wav": (lambda: b"RIFF\x24\0\0\0WAVEfmt " + bytes(50), FORMAT),
    "a film, avi": (lambda: b"RIFF\x24\0\0\0AVI LIST" + bytes(50), FORMAT),
    "a film, flv": (lambda: b"FLV\x01\x05\0\0\0\x09" + bytes(50), FORMAT),
    "a film, ogg": (lambda: b"OggS\0\x02" + bytes(50), FORMAT),
    "a film, mpeg-ts": (lambda: (b"\x47\x40\0\x10" + bytes(184)) * 10, FORMAT),
    "a film, mpeg-ps": (lambda: b"\0\0\x01\xba" + bytes(50), FORMAT),
    "a bare h264 stream": (lambda: b"\0\0\0\x01\x67\x42\0\x1e" + bytes(50), FORMAT),
    "ftyp alone": (lambda: BOX.pack(16, b"ftyp") + b"isom" + bytes(4), CORRUPT),
    "ftyp and an empty moov": (lambda: BOX.pack(16, b"ftyp") + b"isom" + bytes(4) + BOX.pack(8, b"moov"), NO_VIDEO),
    "mdat alone": (lambda: BOX.pack(108, b"mdat") + bytes(100), CORRUPT),
    "an EBML header alone": (lambda: b"\x1a\x45\xdf\xa3\x80", CORRUPT),
    "an EBML header and an endless segment": (lambda: b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7, CORRUPT),
    "an EBML header that never ends": (lambda: b"\x1a\x45\xdf\xa3" + b"\xff" * 200, CORRUPT),
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["mp4", "m3u8"])
@pytest.mark.parametrize("name", OTHERS)
def test_a_file_that_is_not_a_video_is_refused_whatever_its_name(name, suffix, tmp_path):
    content, outcome = OTHERS[name]
    path = tmp_path / f"clip.{suffix}"
    path.write_bytes(content())
    check(path, outcome)


LAYOUTS = {
    "moov first": "faststart",
    "in fragments": "frag_every_frame+empty_moov+default_base_moof",
    "mkv": "",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_truncated_file_gives_the_frames_it_has_or_is_damaged(layout, clip_of, tmp_path):
    """It is truncated at every border of its outermost boxes and at every eighth of its length."""
    suffix = "mkv" if layout == "mkv" else "mp4"
    flags = {"movflags": LAYOUTS[layout]} if LAYOUTS[layout] else {}
    # Without B-frames, only frames at the end are missing.
    data = clip_of(suffix, f"cut {layout}", spec(options={"bf": "0"}, container_options=flags)).read_bytes()
    places = {len(data) * n // 8 for n in range(1, 8)} | (
        set(forge.borders(data).values()) if suffix == "mp4" else set()
    )
    path, counts = tmp_path / f"cut.{suffix}", []
    for place in sorted(places - {0}):
        path.write_bytes(data[:place])
        try:
            with open_clip(path, EVERY_FRAME) as reader:
                frames = list(reader.read_frames())
                counts.append(len(frames))
        except InputError as error:
            assert error.kind in ("video_corrupt", "unsupported_video_format"), place  # noqa: PT017  both are allowed
            assert not counts, "a longer piece of a file that can be read must be readable too"
            continue
        check(path, Shown(tuple(range(len(frames))), warnings=reader.facts.warnings))
        is_whole_boxes = suffix == "mp4" and place in forge.borders(data).values()
        assert reader.facts.warnings == CUT or is_whole_boxes or len(frames) == NUM_FRAMES, place
    assert counts == sorted(counts)
    assert counts[-1] >= NUM_FRAMES // 2


def test_a_file_with_sound_only_is_refused(tmp_path):
    for suffix in ("mp4", "mka", "m4a"):
        check(write_sound(tmp_path / f"sound.{suffix}"), NO_VIDEO)


def test_there_are_at_least_180_files():
    assert len(MADE) + len(CRAFTED) + len(OTHERS) >= 180
