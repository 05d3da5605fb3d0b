"""The settings of a question on the command line."""

from dataclasses import dataclass

from omnireel.engine.params import (
    ANY_SEED,
    MAX_OUTPUT_TOKENS,
    MAX_SEED,
    MAX_TEMPERATURE,
    MAX_TOP_P,
    SamplingParams,
)
from omnireel.settings.declaration import Group
from omnireel.settings.kinds import SWITCH, TEXT, integer, number, one_of, seconds

_PROMPT = Group("Prompt", ("ask", "inspect", "trace"))
_ANSWER = Group("Answer", ("ask",))
_VIDEO = Group("Video", ("ask", "inspect", "trace"))


@dataclass(frozen=True)
class AskSettings:
    """The options of the question of `ask`, `inspect` and `trace`. None: the default of the backend."""

    think: bool = _PROMPT.setting(SWITCH, False, "Reason first, then answer.", example=True)
    system: str | None = _PROMPT.setting(
        TEXT, None, "System message.", example="Answer in one sentence.", default_text="no system message"
    )

    max_tokens: int = _ANSWER.setting(
        integer(1, MAX_OUTPUT_TOKENS),
        SamplingParams.max_tokens,
        "Maximum number of tokens in the answer, reasoning included.",
        example=512,
        commands=("ask", "trace"),
    )
    temperature: float = _ANSWER.setting(
        number(0, MAX_TEMPERATURE),
        SamplingParams.temperature,
        "Randomness of the answer. 0 always takes the likeliest token.",
        example=0.2,
    )
    top_p: float = _ANSWER.setting(
        number(0, MAX_TOP_P),
        SamplingParams.top_p,
        "Choose from the likeliest tokens that together reach this probability.",
        example=0.9,
    )
    seed: int | None = _ANSWER.setting(
        integer(ANY_SEED, MAX_SEED),
        SamplingParams.seed,
        "The same seed and the same question give the same answer. -1 takes a new one, as without a seed.",
        example=7,
        default_text="a new one each time",
    )
    reasoning_budget: int | None = _ANSWER.setting(
        integer(0, MAX_OUTPUT_TOKENS),
        SamplingParams.reasoning_budget,
        "Maximum number of tokens in the reasoning. Only together with think.",
        example=2000,
        default_text="no limit",
    )
    grace_period: int = _ANSWER.setting(
        integer(0, MAX_OUTPUT_TOKENS),
        SamplingParams.grace_period,
        "Tokens beyond the reasoning budget in which the reasoning may finish its line.",
        example=100,
    )

    start: float | None = _VIDEO.setting(
        seconds(0, 86_400),
        None,
        "Look from this time of the video on.",
        example=12.5,
        default_text="the start of the video",
    )
    end: float | None = _VIDEO.setting(
        seconds(0, 86_400),
        None,
        "Look up to this time of the video.",
        example=20,
        default_text="the end of the video",
    )
    # The three defaults below are those of prompting.clip.MediaDefaults; a test compares them.
    fps: float | None = _VIDEO.setting(
        number(0.01, 120), None, "Frames looked at for each second of video.", example=4, default_text="2"
    )
    max_frames: int | None = _VIDEO.setting(
        integer(1, 1024), None, "Maximum number of frames that are looked at.", example=64, default_text="256"
    )
    video_pruning_rate: float | None = _VIDEO.setting(
        number(0, 1, below=True),
        None,
        "Share of the vision tokens to drop, those that change least from frame to frame.",
        example=0.7,
        default_text="0.5",
    )
    audio: bool | None = _VIDEO.setting(
        SWITCH,
        None,
        "Listen to the sound of the video, if the model can.",
        example=False,
        default_text="true",
    )
    detail: str | None = _VIDEO.setting(
        one_of("low", "auto", "high"),
        None,
        "Patches of each frame: a quarter of what the model was made for, as many, or four times as many.",
        example="low",
        default_text="auto",
    )
