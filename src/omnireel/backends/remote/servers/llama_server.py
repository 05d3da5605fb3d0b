"""llama-server of llama.cpp. Read in its sources."""

from __future__ import annotations

import base64

from omnireel.backends.remote.servers.base import Part, SentClip, Server


class LlamaServer(Server):
    """It takes a clip under a name of its own, and its frames become single pictures. Its budget is a flag only."""

    name = "llama-server"
    title = "llama-server"

    def media_parts(self, clip: SentClip) -> list[Part]:
        """The clip, then the sound."""
        data = base64.b64encode(clip.mp4).decode()
        return [
            {"type": "input_video", "input_video": {"data": data, "format": "mp4"}},
            *self.sound_parts(clip),
        ]
