"""SGLang. Read in 0.5.23."""

from __future__ import annotations

from typing import Any

from omnireel.backends.remote.servers.base import SentClip, Server
from omnireel.task import Task


class SGLang(Server):
    """It takes no list of frames, and looks at 2 frames a second and 128 in all: ours are a clip no faster than that.

    Its budget of the chain of thought needs --enable-strict-thinking.
    """

    name = "sglang"
    title = "SGLang"
    max_frames = 128
    max_fps = 2.0
    has_budget = True

    def fields(self, task: Task, clip: SentClip, *, salt: str | None) -> dict[str, Any]:
        """It has no field for a salt."""
        fields = super().fields(task, clip, salt=salt)
        if task.sampling.reasoning_budget is not None:
            fields["custom_params"] = {"thinking_budget": task.sampling.reasoning_budget}
        return fields
