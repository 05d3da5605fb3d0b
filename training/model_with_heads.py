"""The model with the heads that question training gives it."""

from __future__ import annotations

from torch import nn

from omnireel.model.omni import Omni
from training.story import STORY
from training.watch import BINDINGS, StreamHead, TokenHead, WatchHead

WORDS = "_extra_state"  # torch's name for it in a state_dict


class Talker(nn.Module):
    """The model with the heads that only training has.

    words: the vocabulary, token → id; saved with the weights, whose tables have a row for each
    """

    def __init__(self, model: Omni, words: dict[str, int]) -> None:
        super().__init__()
        self.model, self.words = model, words
        width = model.config.language.hidden_size
        self.watch_head = WatchHead(width)
        self.token_head = TokenHead(width)
        self.bind_heads = nn.ModuleList(StreamHead(width, BINDINGS) for _ in glances(model))
        self.story_head = StreamHead(width, STORY)

    def get_extra_state(self) -> dict[str, int]:
        """The vocabulary."""
        return self.words

    def set_extra_state(self, words: dict[str, int]) -> None:
        """Takes only its own: rows of other words would mean something else."""
        if words != self.words:
            raise ValueError(
                "these weights were trained with another vocabulary; go on from them with `talk --start`"
            )


def glances(model: Omni) -> list[int]:
    """The layers at whose entry vision tokens must be bound: all attention but the first, which binds them."""
    return [i for i, mixer in enumerate(model.config.language.pattern) if mixer == "*"][1:]
