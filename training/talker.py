"""The model with the heads that question training gives it."""

from __future__ import annotations

from torch import nn

from omnireel.model.omni import Omni
from training.story import STORY
from training.watch import BINDINGS, StreamHead, TokenHead, WatchHead


class Talker(nn.Module):
    """The model with the heads that only training has."""

    def __init__(self, model: Omni) -> None:
        super().__init__()
        self.model = model
        width = model.config.language.hidden_size
        self.watch_head = WatchHead(width)
        self.token_head = TokenHead(width)
        self.bind_heads = nn.ModuleList(StreamHead(width, BINDINGS) for _ in glances(model))
        self.story_head = StreamHead(width, STORY)


def glances(model: Omni) -> list[int]:
    """The layers at whose entry vision tokens must be bound: all attention but the first, which binds them."""
    return [i for i, mixer in enumerate(model.config.language.pattern) if mixer == "*"][1:]
