"""A backend for tests, always with the same answer: reads the clip, then repeats the prompt word by word."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path

from omnireel.backends.base import Health
from omnireel.backends.thread_work import WorkThreads
from omnireel.engine.params import FinishReason
from omnireel.engine.request import check_prompt_fits
from omnireel.prompting.clip import (
    FramesRead,
    MediaDefaults,
    clip_progress,
    frame_progress,
    only_clip,
    open_part,
    planned_frames,
    video_facts,
    warning_progress,
    with_pictures,
)
from omnireel.task import Answer, Delta, Event, Inspection, Progress, Report, Task, Usage, VideoFacts
from omnireel.video.decoder import sandbox
from omnireel.video.limits import VideoLimits
from omnireel.video.reader.frames import ClipReader
from omnireel.video.reader.process import num_sandbox_violations

PREFIX = "echo: "
MAX_CONTEXT = 131_072
_SLICE = 65_536

# A token is a word with the white space before it; the last word also has the white space after it.
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
        self._threads = WorkThreads()

    async def generate(self, task: Task, files: Sequence[Path]) -> AsyncGenerator[Event]:
        """See Backend.generate. There is never any reasoning, and only max_tokens changes the answer."""
        num_input_tokens = _count_input(task)
        async with self._threads.work(task.tenant or "", partial(self._read, task, files)) as work:
            async for progress in work:
                yield progress
            video = await work.result()
        words = words_of(task.prompt)
        written = words[: task.sampling.max_tokens]
        for number, word in enumerate(written, start=1):
            await asyncio.sleep(self._token_s)
            yield Delta(word, Usage(num_input_tokens, number))
        yield Progress("done", f"wrote {len(written)} tokens", 1.0)
        yield Answer(
            output="".join(written),
            reasoning=None,
            finish_reason=FinishReason.stop if len(written) == len(words) else FinishReason.length,
            input_tokens=num_input_tokens,
            output_tokens=len(written),
            video=video,
        )

    async def inspect(self, task: Task, files: Sequence[Path], *, pictures: bool = False) -> Inspection:
        """See Backend.inspect."""
        inspect = partial(self._inspect, task, files, pictures)
        async with self._threads.work(task.tenant or "", inspect) as work:
            return await work.result()

    def check_length(self, task: Task) -> None:
        """See Backend.check_length."""
        _count_input(task)

    def most_tokens(self, task: Task) -> int:
        """See Backend.most_tokens."""
        return _num_words(task) + task.sampling.max_tokens

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
        self._threads.close()

    def _read(self, task: Task, files: Sequence[Path], report: Report) -> VideoFacts:
        frames = FramesRead()
        with self._open_clip(task, files) as clip:
            report(clip_progress(clip.facts))
            for frame in clip.read_frames():
                frames.add(frame)
                report(frame_progress(frames, clip.facts))
            for warning in warning_progress(clip.facts):
                report(warning)
            return video_facts(clip.facts, frames)

    def _inspect(self, task: Task, files: Sequence[Path], pictures: bool, report: Report) -> Inspection:
        num_input_tokens = _count_input(task)
        with self._open_clip(task, files) as clip:
            video = video_facts(clip.facts, planned_frames(clip.facts))
            inspection = Inspection(video, num_input_tokens, MAX_CONTEXT)
            return with_pictures(inspection, clip, report) if pictures else inspection

    def _open_clip(self, task: Task, files: Sequence[Path]) -> ClipReader:
        return open_part(only_clip(task, files), self._media.sampling(task.media), self._limits)


def words_of(prompt: str) -> list[str]:
    """The whole answer to a prompt, split into its tokens."""
    return _WORD.findall(PREFIX + prompt)


def _count_input(task: Task) -> int:
    num_words = _num_words(task)
    check_prompt_fits(num_words, MAX_CONTEXT)
    return num_words


def _num_words(task: Task) -> int:
    return sum(map(_count_words, (task.system_prompt or "", task.prompt)))


def _count_words(text: str) -> int:
    """Words of a text. Slices keep the memory small, and let other threads run in between."""
    starts = range(0, len(text), _SLICE)
    num_cut = sum(not (text[n - 1].isspace() or text[n].isspace()) for n in starts[1:])
    return sum(len(text[n : n + _SLICE].split()) for n in starts) - num_cut
