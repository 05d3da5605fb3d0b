"""Receives the sound of a clip from a decoding child."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnireel.video.limits import VideoLimits
from omnireel.video.messages import SAMPLE_BYTES, SAMPLE_RATE, End, SoundReady
from omnireel.video.reader.process import Child, ChildDiedError, ChildTimeoutError


@dataclass(frozen=True, eq=False)
class Sound:
    """The sound of a clip.

    samples: [L] fp32, 16 kHz, one channel, −1…1
    is_cut:  the track continues past the limit
    """

    samples: NDArray[np.float32]
    is_cut: bool


def receive_sound(child: Child, limits: VideoLimits, *, cpu_s: float) -> Sound | None:
    """All the sound that the child sends; None where the track cannot be decoded.

    cpu_s: processor time that the child may take

    A damaged track raises no error, because the frames of the clip can still be used.
    """
    chunks: list[NDArray[np.float32]] = []
    max_samples = round(limits.max_duration_s * SAMPLE_RATE)
    num_samples = 0
    left_s = limits.timeout_s
    while True:
        try:
            record, waited_s = child.receive(left_s, cpu_s=cpu_s)
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
            return None  # the child knows the limit, so it was probably compromised
        channels = child.slot(record.slot, num_bytes).view(np.float32).reshape(-1, record.num_channels)
        chunks.append(channels.mean(1))
        child.release_slot()
    samples = np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
    # A damaged track may decode to any value.
    kept = np.nan_to_num(samples[:max_samples], nan=0.0, posinf=1.0, neginf=-1.0).clip(-1, 1)
    return Sound(kept, is_cut=len(samples) > max_samples)
