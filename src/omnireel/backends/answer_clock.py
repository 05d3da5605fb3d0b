"""Measures how fast an answer is generated."""

import time
from dataclasses import dataclass, field

from omnireel.engine.rates import Rate
from omnireel.prompting.expected import remaining_text
from omnireel.task import Progress, Usage


@dataclass
class AnswerClock:
    """Times of one answer; starts when it is made.

    num_prompt_tokens: length of the prompt
    started_s, first_token_s: readings of the performance counter
    num_tokens:        output tokens so far
    """

    num_prompt_tokens: int
    started_s: float = field(default_factory=time.perf_counter)
    first_token_s: float = 0.0
    num_tokens: int = 0

    @property
    def usage(self) -> Usage:
        """The tokens so far, of an answer whose prompt was read."""
        return Usage(self.num_prompt_tokens, self.num_tokens)

    def count_token(self) -> Progress | None:
        """Count one output token; returns progress for the first one, else None."""
        self.num_tokens += 1
        if self.num_tokens > 1:
            return None
        self.first_token_s = time.perf_counter()
        waited = self.first_token_s - self.started_s
        message = f"read {self.num_prompt_tokens} prompt tokens in {waited:.2f} s"
        return Progress("first token", message, usage=self.usage)

    def count_prompt(self, num_read: int, rate: Rate) -> Progress:
        """Progress of a prompt of which `num_read` tokens were read; rate: of prompt tokens."""
        left = remaining_text(rate.seconds_for(self.num_prompt_tokens - num_read))
        message = f"{num_read} of {self.num_prompt_tokens} prompt tokens read{left}"
        return Progress("prompt", message, num_read / self.num_prompt_tokens, Usage(num_read, 0))

    def done(self) -> Progress:
        """The last progress. The rate leaves out the first token, whose time is the prompt's."""
        took = time.perf_counter() - self.first_token_s
        rate = f", {(self.num_tokens - 1) / took:.1f} a second" if self.num_tokens > 1 else ""
        return Progress("done", f"wrote {self.num_tokens} tokens{rate}", 1.0)
