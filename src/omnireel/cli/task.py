"""Turns the arguments of a command into the task that a backend answers."""

from typing import cast

from omnireel.api.fal.input import ENDPOINT_ID
from omnireel.engine.params import ANY_SEED, SamplingParams
from omnireel.errors import SettingsError
from omnireel.settings import AskSettings
from omnireel.task import Detail, MediaOptions, Task, video_task


def make_task(source: str, prompt: str, asked: AskSettings) -> Task:
    """The question `prompt` about the video `source`. Raises SettingsError if options contradict each other."""
    if asked.reasoning_budget is not None and not asked.think:
        raise SettingsError(
            "reasoning_budget limits the chain of thought, which is off.", hint="Add --think as well."
        )
    if asked.end is not None and asked.end <= (asked.start or 0.0):
        raise SettingsError(
            f"The part to look at ends at {asked.end:g} s, before it starts.", hint="Swap --start and --end."
        )
    return video_task(
        ENDPOINT_ID,
        prompt=prompt,
        video=source,
        system_prompt=asked.system,
        thinking=asked.think,
        sampling=SamplingParams(
            temperature=asked.temperature,
            top_p=asked.top_p,
            max_tokens=asked.max_tokens,
            seed=None if asked.seed == ANY_SEED else asked.seed,
            reasoning_budget=asked.reasoning_budget,
            grace_period=asked.grace_period,
        ),
        media=MediaOptions(
            fps=asked.fps,
            max_frames=asked.max_frames,
            start_s=asked.start,
            end_s=asked.end,
            video_pruning_rate=asked.video_pruning_rate,
            use_audio=asked.audio,
            detail=cast("Detail | None", asked.detail),
        ),
    )
