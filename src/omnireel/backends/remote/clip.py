"""Reads a task's clip and encodes what a model server gets of it. Needs no weights; blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omnireel.backends.remote.chat_request import encoded, request_fields
from omnireel.backends.remote.servers import Server
from omnireel.backends.remote.servers.base import SentClip
from omnireel.model.token_counts import SAMPLE_RATE
from omnireel.prompting.clip import FramesRead, clip_progress, frame_progress, warning_progress
from omnireel.prompting.counts import AudioInput, TokenCounter
from omnireel.task import Inspection, Report, Task, VideoFacts
from omnireel.video.pictures import Picture, jpeg, mp4, png, shrunk, wav
from omnireel.video.reader.frames import ClipReader


@dataclass(frozen=True, eq=False)
class SentTask:
    """A task as it is sent.

    video:        facts of the clip
    input_tokens: as counted here
    rest:         the body of the request without the model's name
    key:          of the frames, so that requests about one clip go to one server
    """

    video: VideoFacts
    input_tokens: int
    rest: bytes
    key: bytes


class TaskEncoder:
    """Turns tasks into requests for one kind of server. May be used by several threads.

    is_exact: frames and sound are sent without loss, and frames in their own size
    """

    def __init__(self, counter: TokenCounter, server: Server, *, is_exact: bool) -> None:
        self._counter = counter
        self._server = server
        self._is_exact = is_exact

    def encode(self, task: Task, files: Sequence[Path], report: Report, *, salt: str | None) -> SentTask:
        """Read the clip and encode it. Raises InputError where the task cannot be done.

        task: as `with_plain_text` gives it
        """
        self._counter.check_length(task)
        with self._counter.open_clip(task, files) as clip:
            report(clip_progress(clip.facts))
            audio = self._counter.read_audio(task, clip)
            counted = self._counter.count(task, clip.facts, audio)
            frames = FramesRead()
            pictures = self._pictures(clip, frames, report)
            for warning in warning_progress(clip.facts):
                report(warning)
        sent = self._sent(clip, frames, pictures, audio)
        has_budget = task.sampling.reasoning_budget is not None
        fields = request_fields(
            task,
            sent,
            self._server,
            max_tokens=self._most_output(task, counted),
            salt=salt,
            num_opening=self._counter.num_opening_tokens(task) if has_budget else 0,
        )
        video = replace(
            counted.video,
            frame_indices=tuple(frames.indices),
            frame_times_s=tuple(frames.times_s),
            warnings=tuple(dict.fromkeys((*clip.facts.warnings, *counted.video.warnings))),
        )
        return SentTask(video, counted.input_tokens, encoded(fields), _key(sent))

    def _most_output(self, task: Task, counted: Inspection) -> int:
        return max(min(task.sampling.max_tokens, counted.max_context - counted.input_tokens), 1)

    def _pictures(self, clip: ClipReader, frames: FramesRead, report: Report) -> list[Picture]:
        rows, cols = self._counter.patch_grid(clip.facts)
        side = self._counter.config.vision.patch_size
        pictures = []
        for frame in clip.read_frames():
            frames.add(frame)
            report(frame_progress(frames, clip.facts))
            pictures.append(frame.rgb if self._is_exact else shrunk(frame.rgb, rows * side, cols * side))
        return pictures

    def _sent(
        self, clip: ClipReader, frames: FramesRead, pictures: list[Picture], audio: AudioInput
    ) -> SentClip:
        facts = clip.facts
        sent = SentClip(
            indices=frames.indices,
            num_frames=facts.num_source_frames,
            source_fps=facts.source_fps,
            duration_s=facts.duration_s,
        )
        if audio.samples is not None:
            sent = replace(sent, sound=wav(audio.samples, SAMPLE_RATE, is_exact=self._is_exact))
        if self._server.takes_frame_list:
            encode = png if self._is_exact else jpeg
            return replace(sent, pictures=[encode(picture) for picture in pictures])
        return replace(sent, mp4=mp4(pictures, _rate(frames, facts.source_fps)))


def _rate(frames: FramesRead, source_fps: float) -> float:
    """Pictures per second of a clip of the chosen frames, which keeps their distances."""
    if len(frames.indices) < 2:
        return 1.0
    return (len(frames.indices) - 1) * source_fps / (frames.indices[-1] - frames.indices[0])


def _key(sent: SentClip) -> bytes:
    digest = hashlib.sha256(sent.mp4)
    for picture in sent.pictures:
        digest.update(picture)
    return digest.digest()
