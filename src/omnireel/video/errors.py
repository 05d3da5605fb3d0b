"""The errors for clips that cannot be read.

Each is an InputError about the media: one sentence with the value and the limit, without a path and without the
text of a library.
"""

from collections.abc import Callable, Mapping
from typing import Any

from omnireel.errors import InputError
from omnireel.video.limits import SUPPORTED_CODECS, SUPPORTED_FORMATS, VideoLimits
from omnireel.video.messages import Failure, Reason


def failure_error(failure: Failure, start_s: float | None, limits: VideoLimits) -> InputError:
    """The error for a Failure record. Only numbers and the codec's name are taken from the decoding child."""
    size = (failure.width, failure.height)
    errors: dict[Reason, Callable[[], InputError]] = {
        Reason.CORRUPT: corrupt,
        Reason.NO_VIDEO: no_video,
        Reason.DURATION: lambda: too_long(failure.value, limits.max_file_s),
        Reason.NUM_FRAMES: lambda: too_many_frames(int(failure.value), limits),
        Reason.RESOLUTION: lambda: resolution_too_large(*size, limits),
        Reason.TOO_SMALL: lambda: too_small(*size, limits),
        Reason.CODEC: lambda: unsupported_codec(failure.codec),
        Reason.START: lambda: start_after_end(start_s or 0.0, failure.value),
    }
    return errors[Reason(failure.reason)]()


def empty() -> InputError:
    """The file has no bytes."""
    return _error("file_empty", "The video file has 0 bytes.", hint="Check that the file is complete.")


def file_too_large(num_bytes: int, limits: VideoLimits) -> InputError:
    """The file has more bytes than the limit."""
    return _error(
        "file_too_large",
        f"The video file has {num_bytes} bytes, limit {limits.max_bytes}.",
        ctx={"max_size": limits.max_bytes, "provided_size": num_bytes},
        hint="Send a shorter clip or one that is compressed more strongly.",
    )


def unsupported_format() -> InputError:
    """The file is not of a supported container format."""
    return _error(
        "unsupported_video_format",
        "The file is not a video in a supported format.",
        ctx={"supported_formats": list(SUPPORTED_FORMATS)},
        hint="Send an mp4 file with H.264 video.",
    )


def no_video() -> InputError:
    """The container has no video track."""
    return _error("no_video_stream", "The file has no video track.", hint="Send a file with a video track.")


def corrupt() -> InputError:
    """Nothing of the clip, or too little, can be decoded."""
    return _error(
        "video_corrupt",
        "The video is damaged or incomplete and cannot be decoded.",
        hint="Check that the file plays, then send it again.",
    )


def too_long(seconds: float, max_s: float, *, is_part: bool = False) -> InputError:
    """The frames span more time than the limit; is_part: those of the part that was asked for."""
    what = "part of the video to look at" if is_part else "video"
    return _error(
        "video_duration_too_long",
        f"The {what} lasts {seconds:.1f} s, limit {max_s:g} s.",
        ctx={"max_duration": max_s, "provided_duration": round(seconds, 3)},
        hint="Ask about a shorter part (start_s, end_s; --start, --end), or cut the clip to the part that matters.",
    )


def too_many_frames(num_frames: int, limits: VideoLimits) -> InputError:
    """The file has more frames than the limit; num_frames: those counted before reading stopped."""
    return _error(
        "video_too_many_frames",
        f"The video has at least {num_frames} frames, limit {limits.max_num_packets}.",
        ctx={"max_frames": limits.max_num_packets},
        hint="Send a clip with a lower frame rate.",
    )


def resolution_too_large(width: int, height: int, limits: VideoLimits) -> InputError:
    """The picture is larger than the limit in its own orientation.

    The hosted service documents no error type for a video's resolution; its `image_too_large` is about images.
    So the kind is our own, and the ctx has the field names of `image_too_large`.
    """
    is_landscape = width >= height
    return _error(
        "video_resolution_too_large",
        f"The video is {width}x{height} pixels, limit {limits.max_long_side}x{limits.max_short_side}.",
        ctx={
            "max_width": limits.max_long_side if is_landscape else limits.max_short_side,
            "max_height": limits.max_short_side if is_landscape else limits.max_long_side,
            "provided_width": width,
            "provided_height": height,
        },
        hint="Scale the clip down to 1080p.",
    )


def too_small(width: int, height: int, limits: VideoLimits) -> InputError:
    """A side is shorter than one patch of the model."""
    return _error(
        "video_too_small",
        f"The video is {width}x{height} pixels, each side needs at least {limits.min_side}.",
        ctx={"min_width": limits.min_side, "min_height": limits.min_side},
        hint="Send a clip with a higher resolution.",
    )


def unsupported_codec(codec: str) -> InputError:
    """The video is in a codec that is not supported, or it is encrypted."""
    return _error(
        "unsupported_codec",
        f"The video codec {codec} is not supported.",
        ctx={"supported_codecs": list(SUPPORTED_CODECS), "provided": codec},
        hint="Convert the clip to H.264.",
    )


def decode_timeout(limits: VideoLimits) -> InputError:
    """Decoding took longer than the limit."""
    return _error(
        "video_decode_timeout",
        f"Decoding the video took longer than {limits.timeout_s:g} s.",
        ctx={"timeout": limits.timeout_s},
        hint="Send a shorter or smaller clip.",
    )


def decode_failed() -> InputError:
    """The decoding child ended or sent invalid records, and a second try is not allowed or failed too."""
    return _error(
        "video_decode_failed",
        "The decoder failed while it read the video.",
        hint="Convert the clip to H.264 in an mp4 file.",
    )


def start_after_end(start_s: float, duration_s: float) -> InputError:
    """The requested part of the clip starts after its last frame."""
    return _error(
        "less_than",
        f"start_s is {start_s:g}, but the video lasts {duration_s:.2f} s.",
        ctx={"lt": round(duration_s, 3)},
        hint="Choose a start within the clip.",
        about="start_s",
    )


def _error(
    kind: str, message: str, *, hint: str, ctx: Mapping[str, Any] | None = None, about: str = "media"
) -> InputError:
    return InputError(message, kind=kind, about=about, ctx=ctx, hint=hint)
