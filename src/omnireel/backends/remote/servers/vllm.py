"""vLLM. Tried with 0.32 on a CPU, read in 0.33; it takes our frames as they are."""

from __future__ import annotations

from typing import Any

from omnireel.backends.remote.servers.base import Part, SentClip, Server, data_uri
from omnireel.task import Task


class VLLM(Server):
    """vLLM's own server, and what builds on it."""

    name = "vllm"
    title = "vLLM"
    takes_frame_list = True
    has_budget = True

    def check(self, task: Task, *, fps: float) -> None:
        """A chain whose budget is used up by the prompt is never closed by vLLM 0.32."""
        super().check(task, fps=fps)
        if task.thinking and task.sampling.reasoning_budget == 0:
            raise self._unsupported(
                "reasoning_budget",
                "takes a budget of at least 1, not 0",
                "Leave thinking off, or send a larger budget.",
            )

    def media_parts(self, clip: SentClip) -> list[Part]:
        """A list of frames. vLLM opens each by its content, so PNG may stand under this media type too."""
        url = data_uri("video/jpeg", clip.pictures)
        return [{"type": "video_url", "video_url": {"url": url}}, *self.sound_parts(clip)]

    def fields(self, task: Task, clip: SentClip, *, salt: str | None) -> dict[str, Any]:
        """Its time labels are index × a whole number of milliseconds of the clip's own rate, as ours are.

        num_frames: −1, or the list would be cut to the server's default
        """
        video = {
            "num_frames": -1,
            "fps": clip.source_fps,
            "frames_indices": clip.indices,
            "total_num_frames": clip.num_frames,
            "duration": clip.duration_s,
            "do_sample_frames": False,
        }
        fields = super().fields(task, clip, salt=salt) | {"media_io_kwargs": {"video": video}}
        return fields | ({} if salt is None else {"cache_salt": salt})

    def budget_fields(self, budget: int, num_opening: int) -> dict[str, Any]:
        """It counts what the template writes after the opening tag, such as a line break."""
        return {"thinking_token_budget": budget + num_opening}
