"""Which of a file's video tracks is the clip. Runs in the decoding child only.

A file may begin with a still, a thumbnail or a track that is switched off. The rule is that of FFmpeg's
`av_find_best_stream`, but for one point: muxers switch on the first track and no other, so moving pictures go before
a still that is on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from omnireel.video.decoder.packets import ClipError
from omnireel.video.limits import SUPPORTED_CODECS
from omnireel.video.messages import Reason

# From this number of frames on, one track has no advantage over another by having more.
_MANY_FRAMES = 5
_PICTURES_OF_OTHER_TRACKS = Disposition.attached_pic | Disposition.timed_thumbnails


def video_tracks(container: InputContainer) -> list[VideoStream]:
    """The tracks that may be the clip: no cover pictures. Raises ClipError(NO_VIDEO) where there is none."""
    tracks = [track for track in container.streams.video if not track.disposition & _PICTURES_OF_OTHER_TRACKS]
    if not tracks:
        raise ClipError(Reason.NO_VIDEO)
    return tracks


def known_counts(tracks: Sequence[VideoStream]) -> dict[int, int] | None:
    """Frames of each track by its index, as the container says; None where it does not say and it matters."""
    counts = {track.index: track.frames for track in tracks}
    return counts if len(tracks) == 1 or all(counts.values()) else None


def counted(container: InputContainer, tracks: Sequence[VideoStream], max_packets: int) -> dict[int, int]:
    """Frames of each track by its index: counted in at most max_packets packets, up to what matters."""
    counts = {track.index: 0 for track in tracks}
    for number, packet in enumerate(container.demux(list(tracks))):
        counts[packet.stream.index] += bool(packet.size)
        if number >= max_packets or min(counts.values()) >= _MANY_FRAMES:
            break
    return counts


def best_track(tracks: Sequence[VideoStream], counts: Mapping[int, int]) -> VideoStream:
    """The track to read: in a codec that is read, with more than one frame, switched on, with the highest bit rate.

    Raises ClipError(CODEC) where no track is in such a codec, or only one of a single picture is.
    """

    def rank(track: VideoStream) -> tuple[int, ...]:
        count = counts[track.index]
        is_on = (
            bool(track.disposition & Disposition.default) and not track.disposition & Disposition.dependent
        )
        bit_rate = track.codec_context.bit_rate if track.codec_context else None
        return count > 1, is_on, min(count, _MANY_FRAMES), bit_rate or 0, count

    best = max(tracks, key=rank)
    readable = [track for track in tracks if codec_name(track) in SUPPORTED_CODECS]
    chosen = max(readable, key=rank, default=best)
    is_still = len(tracks) > 1 and counts[chosen.index] <= 1 < counts[best.index]
    if chosen not in readable or (best not in readable and is_still):
        raise ClipError(Reason.CODEC, name=codec_name(best))
    return chosen


def codec_name(track: VideoStream) -> str:
    """The codec's name, "unknown" where this FFmpeg does not have it."""
    return str(track.codec_context.codec.canonical_name) if track.codec_context else "unknown"


def has_missing_samples(container: InputContainer) -> bool:
    """Whether the file's tables name pictures or sound beyond its end."""
    num_bytes = container.size
    streams = (*container.streams.video, *container.streams.audio)
    return any(entry.pos + entry.size > num_bytes for stream in streams for entry in stream.index_entries)
