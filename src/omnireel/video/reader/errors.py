"""From what the decoding child says of a clip to the error that its caller gets."""

from collections.abc import Callable

from omnireel.errors import InputError
from omnireel.video import limits as refuse
from omnireel.video.limits import VideoLimits
from omnireel.video.messages import Failure, Reason


def refusal(failure: Failure, start_s: float | None, limits: VideoLimits) -> InputError:
    """The error for the caller. Only numbers and a codec's name come from the child."""
    size = (failure.width, failure.height)
    refusals: dict[Reason, Callable[[], InputError]] = {
        Reason.CORRUPT: refuse.refuse_corrupt,
        Reason.NO_VIDEO: refuse.refuse_no_video,
        Reason.DURATION: lambda: refuse.refuse_duration(failure.value, limits),
        Reason.NUM_FRAMES: lambda: refuse.refuse_num_frames(int(failure.value), limits),
        Reason.RESOLUTION: lambda: refuse.refuse_resolution(*size, limits),
        Reason.TOO_SMALL: lambda: refuse.refuse_small(*size, limits),
        Reason.CODEC: lambda: refuse.refuse_codec(failure.codec),
        Reason.START: lambda: refuse.refuse_start(start_s or 0.0, failure.value),
    }
    return refusals[Reason(failure.reason)]()
