"""Answers to many questions about one clip in one batch: several times faster than one task after another.

What a server does around the model is left out; `evaluate` includes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.model.vision.prune import keep_mask
from omnireel.prompting.layout import lay_out_prompt, time_labels
from omnireel.text.chat import ChatTemplate, Piece, video_messages
from omnireel.text.tokenizer import Tokenizer
from omnireel.video.patch_grid import target_grid
from omnireel.video.tubelets import tubelet_batches
from training.paint import Frame
from training.recipe import pixel_spec

LONGEST = 160  # output tokens


class Answerer:
    """A finished checkpoint that answers questions about clips. Answers are drawn at `temperature`."""

    def __init__(self, checkpoint: Path, temperature: float = 0.7) -> None:
        self.model = load_checkpoint(checkpoint, torch.float32)
        self.spec = pixel_spec(self.model.config)
        self.tokenizer = Tokenizer.from_directory(checkpoint)
        self.template = ChatTemplate.from_directory(checkpoint)
        self.temperature = temperature
        self.end = self.tokenizer.id_of("<|im_end|>")
        self.closing = self.tokenizer.encode_markup("\n</think>\n")
        self.close = self.tokenizer.id_of("</think>")

    @torch.inference_mode()
    def answers(
        self, frames: Frame, indices: Sequence[int], fps: float, asked: Sequence[tuple[str, bool]]
    ) -> list[str]:
        """The output for each question.

        frames: the sampled frames [F, H, W, 3]; indices: their numbers in the clip
        asked:  each question, and whether to think
        """
        tokens = self._tokens(frames)
        kept = keep_mask(tokens, 0.5)
        counts = kept.flatten(1).sum(1).tolist()
        labels = time_labels(indices, fps)
        out = [""] * len(asked)
        for thinking in (False, True):
            rows = [number for number, (_, thinks) in enumerate(asked) if thinks == thinking]
            if not rows:
                continue
            head, _ = self._pieces("?", thinking=thinking)
            prompt = lay_out_prompt(head, labels, counts, self.tokenizer)
            is_vision = torch.zeros(len(prompt.ids), dtype=torch.bool)
            for start, length in prompt.spans:
                is_vision[start : start + length] = True
            embedded = self.model.embed_prompt(torch.tensor(prompt.ids), tokens[kept], is_vision)
            questions = [self._question_ids(asked[number][0], thinking=thinking) for number in rows]
            for number, ids in zip(
                rows, self._continued(embedded, questions, thinking=thinking), strict=True
            ):
                text = b"".join(map(self.tokenizer.token_bytes, ids)).decode(errors="replace")
                out[number] = f"<think>\n{text}" if thinking else text
        return out

    def _tokens(self, frames: Frame) -> Tensor:
        rows, cols = target_grid(frames.shape[2], frames.shape[1], self.spec.target_patches)
        batches = tubelet_batches(frames, rows, cols, self.spec)
        return torch.cat([batch.repeated(self.model.encode_video(batch.pixels)) for batch in batches])

    def _pieces(self, question: str, *, thinking: bool) -> tuple[list[Piece], list[Piece]]:
        messages = video_messages(question, system_prompt=None, thinking=thinking)
        pieces = self.template.render(messages, enable_thinking=thinking)
        at = [piece.kind for piece in pieces].index("video") + 1
        return pieces[:at], pieces[at:]

    def _question_ids(self, question: str, *, thinking: bool) -> list[int]:
        return lay_out_prompt(self._pieces(question, thinking=thinking)[1], [], [], self.tokenizer).ids

    def _continued(self, embedded: Tensor, questions: list[list[int]], *, thinking: bool) -> list[list[int]]:
        """All rows advance one token at a time: first the tokens of its question, then those that it draws."""
        state = self.model.new_state(1)
        self.model.forward_hidden(embedded[None], state)
        state = state.repeat(len(questions))
        drawn: list[list[int]] = [[] for _ in questions]
        forced: list[list[int]] = [[] for _ in questions]
        is_open = [thinking] * len(questions)
        done = [False] * len(questions)
        at = 0
        while not all(done):
            fed = [
                ids[at] if at < len(ids) else (mine or [self.end])[-1]
                for ids, mine in zip(questions, drawn, strict=True)
            ]
            hidden = self.model.forward_hidden(self.model.embed(torch.tensor(fed)[:, None]), state)
            at += 1
            logits = self.model.logits(hidden[:, -1]).float() / self.temperature
            choice = torch.multinomial(logits.softmax(-1), 1)[:, 0].tolist()
            for row, token in enumerate(choice):
                if done[row] or at < len(questions[row]):
                    continue
                if not forced[row] and is_open[row] and token == self.end:
                    forced[row] = list(self.closing)  # as the engine does
                chosen = forced[row].pop(0) if forced[row] else token
                is_open[row] = is_open[row] and chosen != self.close
                done[row] = chosen == self.end or len(drawn[row]) >= LONGEST
                if chosen != self.end:
                    drawn[row].append(chosen)
        return drawn
