"""A deterministic double: reads the clip like any other backend, then repeats the prompt, word by word."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from omnireel.backends.base import (
    Answer,
    Ask,
    Delta,
    Event,
    FinishReason,
    Health,
    Inspection,
    Progress,
    VideoFacts,
)
from omnireel.backends.thread_work import Report, Work
from omnireel.engine.request import check_prompt_fits
from omnireel.prompting.clip import (
    FramesSeen,
    MediaDefaults,
    frame_note,
    frames_planned,
    opening_note,
    video_facts,
    warning_notes,
)
from omnireel.video.decoder import sandbox
from omnireel.video.limits import VideoLimits
from omnireel.video.reader.frames import open_clip
from omnireel.video.reader.process import num_sandbox_violations

PREFIX = "echo: "
MAX_CONTEXT = 131_072

# A word is a token, with the white space before it; the last one takes what is left.
_WORD = re.compile(r"\s*\S+(?:\s+\Z)?")


class EchoBackend:
    """Answers `echo: ` and the prompt; a token is a word.

    token_s: seconds that each token takes
    """

    name = "echo"

    def __init__(
        self, *, token_s: float = 0.0, media: MediaDefaults | None = None, limits: VideoLimits | None = None
    ) -> None:
        self._token_s = token_s
        self._media = media or MediaDefaults()
        self._limits = limits or VideoLimits()
        self._worker = ThreadPoolExecutor(1, "clip")

    async def generate(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """See Backend.generate. Nothing is thought, so there is no reasoning; the prompt decides alone."""
        num_input_tokens = _count_input(ask)
        with Work(self._worker, partial(self._read, ask)) as work:
            async for note in work:
                yield note
            video = await work.result()
        words = words_of(ask.prompt)
        said = words[: ask.sampling.max_tokens]
        for word in said:
            await asyncio.sleep(self._token_s)
            yield Delta(word)
        yield Progress("done", f"wrote {len(said)} tokens", 1.0)
        yield Answer(
            output="".join(said),
            reasoning=None,
            finish_reason=FinishReason.stop if len(said) == len(words) else FinishReason.length,
            input_tokens=num_input_tokens,
            output_tokens=len(said),
            video=video,
        )

    async def inspect(self, ask: Ask) -> Inspection:
        """See Backend.inspect."""
        num_input_tokens = _count_input(ask)
        with Work(self._worker, partial(self._look, ask)) as work:
            return Inspection(await work.result(), num_input_tokens, MAX_CONTEXT)

    def most_tokens(self, ask: Ask) -> int:
        """See Backend.most_tokens."""
        return len(f"{ask.system_prompt or ''} {ask.prompt}".split()) + ask.sampling.max_tokens

    async def health(self) -> Health:
        """See Backend.health."""
        return Health(
            is_ready=True,
            model="echo",
            sandbox_misses=sandbox.missing(),
            num_sandbox_violations=num_sandbox_violations(),
        )

    async def close(self) -> None:
        """See Backend.close."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _read(self, ask: Ask, report: Report) -> VideoFacts:
        seen = FramesSeen()
        with open_clip(ask.video, self._media.sampling(ask.media), self._limits) as clip:
            report(opening_note(clip.facts))
            for frame in clip.read_frames():
                seen.add(frame)
                report(frame_note(seen, clip.facts))
            for note in warning_notes(clip.facts):
                report(note)
            return video_facts(clip.facts, seen)

    def _look(self, ask: Ask, _: Report) -> VideoFacts:
        with open_clip(ask.video, self._media.sampling(ask.media), self._limits) as clip:
            return video_facts(clip.facts, frames_planned(clip.facts))


def words_of(prompt: str) -> list[str]:
    """The whole answer, cut into its tokens."""
    return _WORD.findall(PREFIX + prompt)


def _count_input(ask: Ask) -> int:
    num_words = len(f"{ask.system_prompt or ''} {ask.prompt}".split())
    check_prompt_fits(num_words, MAX_CONTEXT)
    return num_words
