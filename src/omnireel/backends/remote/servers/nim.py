"""NVIDIA NIM, self-hosted or hosted. Read in its documentation."""

from __future__ import annotations

from typing import Any

from omnireel.backends.remote.servers.base import SentClip, Server
from omnireel.task import Task


class Nim(Server):
    """It takes a clip, and the budget as a field of its own."""

    name = "nim"
    title = "NIM"
    has_budget = True

    def fields(self, task: Task, clip: SentClip, *, salt: str | None) -> dict[str, Any]:
        """The whole clip is looked at: all of its frames were chosen here."""
        video = {"num_frames": -1, "fps": -1}
        return super().fields(task, clip, salt=salt) | {"media_io_kwargs": {"video": video}}

    def budget_fields(self, budget: int, num_opening: int) -> dict[str, Any]:  # noqa: ARG002
        """A field of its own."""
        return {"reasoning_budget": budget}
