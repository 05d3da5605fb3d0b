"""How fast an answer came, for whoever waits for it."""

import time
from dataclasses import dataclass, field

from omnireel.backends.base import Progress


@dataclass
class AnswerClock:
    """How fast one answer came."""

    num_prompt_tokens: int
    started_s: float = field(default_factory=time.perf_counter)
    first_token_s: float = 0.0
    num_tokens: int = 0

    def token(self) -> Progress | None:
        """Count one; a note for the first."""
        self.num_tokens += 1
        if self.num_tokens > 1:
            return None
        self.first_token_s = time.perf_counter()
        waited = self.first_token_s - self.started_s
        return Progress("first token", f"read {self.num_prompt_tokens} prompt tokens in {waited:.2f} s")

    def done(self) -> Progress:
        """The note at the end; the rate leaves out the first token, which belongs to the prompt."""
        took = time.perf_counter() - self.first_token_s
        rate = f", {(self.num_tokens - 1) / took:.1f} a second" if self.num_tokens > 1 else ""
        return Progress("done", f"wrote {self.num_tokens} tokens{rate}", 1.0)
