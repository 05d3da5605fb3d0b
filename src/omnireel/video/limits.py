"""What a clip may be, and the refusal of one that is not.

A refusal is an InputError about the media: one line with the value and the limit, no path, no library text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omnireel.errors import InputError

SUPPORTED_FORMATS = ("mp4", "mov", "m4v", "webm", "mkv")
SUPPORTED_CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4")


@dataclass(frozen=True)
class VideoLimits:
    """Inclusive bounds on a clip; the defaults are those of the hosted endpoint (1080p, two minutes).

    max_long_side, max_short_side: the displayed size in pixels, in either orientation
    min_side:        smallest width and height
    max_num_packets: frames in the file: 120 s at 120 per second
    timeout_s:       how long the reader waits for the decoder in all; the caller's own time does not count
    """

    max_duration_s: float = 120.0
    max_long_side: int = 1920
    max_short_side: int = 1080
    min_side: int = 16
    max_bytes: int = 256 << 20
    max_num_packets: int = 14_400
    timeout_s: float = 60.0


def refusal(
    kind: str, message: str, *, hint: str, ctx: Mapping[str, Any] | None = None, about: str = "media"
) -> InputError:
    """An InputError about the clip."""
    return InputError(message, kind=kind, about=about, ctx=ctx, hint=hint)


def refuse_empty() -> InputError:
    """Zero bytes arrived."""
    return refusal("file_empty", "the video file has 0 bytes", hint="check that the upload was complete")


def refuse_bytes(num_bytes: int, limits: VideoLimits) -> InputError:
    """The file is larger than the limit."""
    return refusal(
        "file_too_large",
        f"the video file has {num_bytes} bytes, limit {limits.max_bytes}",
        ctx={"max_size": limits.max_bytes, "provided_size": num_bytes},
        hint="send a shorter or more strongly compressed clip",
    )


def refuse_format() -> InputError:
    """The bytes are of no container that is read here."""
    return refusal(
        "unsupported_video_format",
        "the file is not a video in a supported format",
        ctx={"supported_formats": list(SUPPORTED_FORMATS)},
        hint="send an mp4 file with H.264 video",
    )


def refuse_no_video() -> InputError:
    """The container holds no moving picture."""
    return refusal("no_video_stream", "the file has no video track", hint="send a file that has pictures")


def refuse_corrupt() -> InputError:
    """Nothing, or too little, of the clip can be decoded."""
    return refusal(
        "video_corrupt",
        "the video is damaged or incomplete and cannot be decoded",
        hint="check that the file plays, then send it again",
    )


def refuse_duration(seconds: float, limits: VideoLimits) -> InputError:
    """The pictures span more time than the limit."""
    return refusal(
        "video_duration_too_long",
        f"the video lasts {seconds:.1f} s, limit {limits.max_duration_s:g} s",
        ctx={"max_duration": limits.max_duration_s, "provided_duration": round(seconds, 3)},
        hint="cut the clip to the part that matters",
    )


def refuse_num_frames(num_frames: int, limits: VideoLimits) -> InputError:
    """More frames than a clip within the limits can need."""
    return refusal(
        "video_too_many_frames",
        f"the video has {num_frames} frames or more, limit {limits.max_num_packets}",
        ctx={"max_frames": limits.max_num_packets},
        hint="send a clip with a lower frame rate",
    )


def refuse_resolution(width: int, height: int, limits: VideoLimits) -> InputError:
    """The picture is larger than the limit in its own orientation.

    The hosted service documents no error type for a video's resolution; its `image_too_large` speaks of
    images. The kind is therefore our own, and the ctx uses the names of that row.
    """
    wide = width >= height
    return refusal(
        "video_resolution_too_large",
        f"the video is {width}x{height} pixels, limit {limits.max_long_side}x{limits.max_short_side}",
        ctx={
            "max_width": limits.max_long_side if wide else limits.max_short_side,
            "max_height": limits.max_short_side if wide else limits.max_long_side,
            "provided_width": width,
            "provided_height": height,
        },
        hint="scale the clip down to 1080p",
    )


def refuse_small(width: int, height: int, limits: VideoLimits) -> InputError:
    """A side is shorter than one patch."""
    return refusal(
        "video_too_small",
        f"the video is {width}x{height} pixels, each side needs at least {limits.min_side}",
        ctx={"min_width": limits.min_side, "min_height": limits.min_side},
        hint="send a clip with a higher resolution",
    )


def refuse_codec(codec: str) -> InputError:
    """The pictures are coded, or encrypted, in a way that is not read here."""
    return refusal(
        "unsupported_codec",
        f"the video codec {codec} is not supported",
        ctx={"supported_codecs": list(SUPPORTED_CODECS), "provided": codec},
        hint="convert the clip to H.264",
    )


def refuse_timeout(limits: VideoLimits) -> InputError:
    """Decoding took longer than the limit."""
    return refusal(
        "video_decode_timeout",
        f"decoding the video took longer than {limits.timeout_s:g} s",
        ctx={"timeout": limits.timeout_s},
        hint="send a shorter or smaller clip",
    )


def refuse_undecodable() -> InputError:
    """The decoder died on this clip, twice."""
    return refusal(
        "video_decode_failed",
        "the decoder ended while it read the video, and again on a second try",
        hint="convert the clip to H.264 in an mp4 file",
    )


def refuse_start(start_s: float, duration_s: float) -> InputError:
    """The wanted window begins after the last frame."""
    return refusal(
        "less_than",
        f"start_s is {start_s:g}, the video lasts {duration_s:.2f} s",
        ctx={"lt": round(duration_s, 3)},
        hint="choose a start within the clip",
        about="start_s",
    )
