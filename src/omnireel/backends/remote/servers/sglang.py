"""SGLang. Read in 0.5.23."""

from __future__ import annotations

from typing import Any

from omnireel.backends.remote.servers.base import Server


class SGLang(Server):
    """It takes no list of frames, and looks at 2 frames a second and 128 in all: ours are a clip no faster than that.

    Its budget of the chain of thought needs --enable-strict-thinking.
    """

    name = "sglang"
    title = "SGLang"
    max_frames = 128
    max_fps = 2.0
    has_budget = True

    def budget_fields(self, budget: int, num_opening: int) -> dict[str, Any]:  # noqa: ARG002
        """A parameter for its own processor of logits."""
        return {"custom_params": {"thinking_budget": budget}}
