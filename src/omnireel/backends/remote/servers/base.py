"""What a model server takes: the OpenAI shape, and where servers differ from it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from omnireel.errors import InputError
from omnireel.task import Task

Part = dict[str, Any]


@dataclass(frozen=True, eq=False)
class SentClip:
    """A clip as it is sent: our frames, never the caller's address or file.

    pictures:   one file for each chosen frame; empty where the server takes a clip
    mp4:        a clip of the chosen frames; empty where the server takes a list of frames
    sound:      a WAV file; empty where no sound is used
    indices:    the chosen frames among those of the caller's clip
    num_frames, source_fps, duration_s: of the caller's clip
    """

    pictures: list[bytes] = field(default_factory=list)
    mp4: bytes = b""
    sound: bytes = b""
    indices: list[int] = field(default_factory=list)
    num_frames: int = 0
    source_fps: float = 0.0
    duration_s: float = 0.0


class Server:
    """A kind of model server. Subclasses change what differs.

    name:       in settings
    title:      for people
    takes_frame_list: our frames go as they are; otherwise they are encoded into a clip
    max_frames, max_fps: what the server looks at of a clip; None: no limit
    has_budget: it can limit the chain of thought
    """

    name: str
    title: str
    takes_frame_list = False
    max_frames: int | None = None
    max_fps: float | None = None
    has_budget = False

    def check(self, task: Task, *, fps: float) -> None:
        """Raise InputError(feature_not_supported) for what this server cannot do.

        fps: of the task, or the default for one that does not set it
        """
        sampling = task.sampling
        if sampling.grace_period:
            raise self._unsupported(
                "grace_period", "has no grace period for the chain of thought", "Leave it out."
            )
        if sampling.reasoning_budget is not None and not self.has_budget:
            raise self._unsupported(
                "reasoning_budget", "cannot limit the chain of thought", "Leave it out, or set max_tokens."
            )
        if self.max_frames is not None and task.media.max_frames is not None:
            self._check_most("max_frames", task.media.max_frames, self.max_frames)
        if self.max_fps is not None:
            self._check_most("fps", fps, self.max_fps)

    def media_parts(self, clip: SentClip) -> list[Part]:
        """The parts of the user's message that carry the clip and its sound."""
        url = data_uri("video/mp4", [clip.mp4])
        return [{"type": "video_url", "video_url": {"url": url}}, *self.sound_parts(clip)]

    def sound_parts(self, clip: SentClip) -> list[Part]:
        """The part that carries the sound; none where there is no sound."""
        if not clip.sound:
            return []
        data = base64.b64encode(clip.sound).decode()
        return [{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}]

    def fields(self, task: Task, clip: SentClip, *, salt: str | None) -> dict[str, Any]:  # noqa: ARG002
        """Fields of the body besides those of OpenAI. salt: keeps the cached prompts of tenants apart

        The template gets what ours gets: some state the budget of the chain of thought in the prompt.
        """
        arguments: dict[str, Any] = {"enable_thinking": task.thinking}
        if task.sampling.reasoning_budget is not None:
            arguments["reasoning_budget"] = task.sampling.reasoning_budget
        return {"chat_template_kwargs": arguments}

    def budget_fields(self, budget: int, num_opening: int) -> dict[str, Any]:
        """Fields that limit the chain of thought; asked for only of a server that has_budget.

        budget:      tokens of the model's own
        num_opening: tokens of the prompt after the tag that opens the chain
        """
        raise NotImplementedError

    def _check_most(self, name: str, value: float, limit: float) -> None:
        if value > limit:
            raise self._unsupported(name, f"takes at most {limit:g}, not {value:g}", "Send a smaller value.")

    def _unsupported(self, about: str, what: str, hint: str) -> InputError:
        return InputError(
            f"{about} cannot be used here: {self.title} {what}.",
            kind="feature_not_supported",
            about=about,
            hint=hint,
        )


def data_uri(media_type: str, files: list[bytes]) -> str:
    """A data: URI of one file, or of several with commas between them."""
    return f"data:{media_type};base64," + ",".join(base64.b64encode(file).decode() for file in files)
