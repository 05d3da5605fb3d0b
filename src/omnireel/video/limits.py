"""Which clips are accepted: formats, codecs and limits."""

from dataclasses import dataclass

SUPPORTED_FORMATS = ("mp4", "mov", "m4v", "webm", "mkv", "gif")
SUPPORTED_CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4", "vp8", "gif")

# A clip cut at a limit may end a little later: containers round durations up to their time base.
DURATION_TOLERANCE_S = 0.05


@dataclass(frozen=True)
class VideoLimits:
    """Inclusive limits on a clip; the defaults are those of the hosted endpoint (1080p, two minutes).

    max_duration_s:  of the part that is looked at, and of its sound
    max_file_s:      of the whole file, since all of it is searched for the part
    max_long_side, max_short_side: the displayed size in pixels, in either orientation
    min_side:        smallest width and height
    max_bytes:       of the file; a deployment limits each way in by a setting, and this one to the largest of them
    max_num_packets: frames in the file: max_file_s at 120 per second
    timeout_s:       how long the reader waits for the decoder in all; time spent by the reader's caller does
                     not count
    """

    max_duration_s: float = 120.0
    max_file_s: float = 120.0
    max_long_side: int = 1920
    max_short_side: int = 1080
    min_side: int = 16
    max_bytes: int = 1 << 30
    max_num_packets: int = 14_400
    timeout_s: float = 60.0
