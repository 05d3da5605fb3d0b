"""The model together with the auxiliary heads of question training."""

from __future__ import annotations

from torch import nn

from omnireel.model.omni import Omni
from training.story import STORY
from training.watch import BINDINGS, StreamHead, TokenHead, WatchHead

WORDS = "_extra_state"  # the name that torch gives to extra state in a state_dict


class ModelWithHeads(nn.Module):
    """The model with heads that exist only in training.

    words: the vocabulary, token → id; saved with the weights, whose word tables have a row for each token
    """

    def __init__(self, model: Omni, words: dict[str, int]) -> None:
        super().__init__()
        self.model, self.words = model, words
        width = model.config.language.hidden_size
        self.watch_head = WatchHead(width)
        self.token_head = TokenHead(width)
        self.bind_heads = nn.ModuleList(StreamHead(width, BINDINGS) for _ in later_attention_layers(model))
        self.story_head = StreamHead(width, STORY)

    def get_extra_state(self) -> dict[str, int]:
        """The vocabulary, which torch saves with the weights."""
        return self.words

    def set_extra_state(self, words: dict[str, int]) -> None:
        """Check the vocabulary of loaded weights. With another one, the rows would stand for other words."""
        if words != self.words:
            raise ValueError(
                "These weights were trained with another vocabulary. Continue from them with `talk --start`."
            )


def later_attention_layers(model: Omni) -> list[int]:
    """The attention layers but the first. At their entry a vision token must hold all facts about its thing."""
    return [i for i, mixer in enumerate(model.config.language.pattern) if mixer == "*"][1:]
