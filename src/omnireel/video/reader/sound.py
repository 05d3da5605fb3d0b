"""A clip's own sound, as its reader receives it from a decoding child."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnireel.video.limits import VideoLimits
from omnireel.video.messages import SAMPLE_BYTES, SAMPLE_RATE, End, SoundReady
from omnireel.video.reader.process import Child, ChildDiedError, ChildTimeoutError


@dataclass(frozen=True, eq=False)
class Sound:
    """samples: [L] fp32, 16 kHz, one channel, −1…1; is_cut: the track goes on past the limit."""

    samples: NDArray[np.float32]
    is_cut: bool


def receive_sound(child: Child, limits: VideoLimits) -> Sound | None:
    """What the child sends until it has no more; None where the track cannot be decoded.

    A clip is not refused for its sound: whoever asks is told, and has the pictures.
    """
    chunks: list[NDArray[np.float32]] = []
    max_samples = round(limits.max_duration_s * SAMPLE_RATE)
    num_samples = 0
    left_s = limits.timeout_s
    while True:
        try:
            record, waited_s = child.receive(left_s)
        except (ChildDiedError, ChildTimeoutError):
            return None
        left_s -= waited_s
        if isinstance(record, End):
            break
        if not isinstance(record, SoundReady):
            return None
        num_bytes = record.num_samples * record.num_channels * SAMPLE_BYTES
        if num_bytes > child.slot_bytes:
            return None
        num_samples += record.num_samples
        if not record.num_samples or num_samples > max_samples + 1:
            return None  # it was told the limit, and has been taken over
        channels = child.slot(record.slot, num_bytes).view(np.float32).reshape(-1, record.num_channels)
        chunks.append(channels.mean(1))
        child.release_slot()
    samples = np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
    # A damaged track may decode to anything.
    kept = np.nan_to_num(samples[:max_samples], nan=0.0, posinf=1.0, neginf=-1.0).clip(-1, 1)
    return Sound(kept, is_cut=len(samples) > max_samples)
