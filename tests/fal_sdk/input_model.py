"""The endpoint's input as an application of fal's SDK declares it: a pydantic model in pydantic's default mode.

Names, types, ranges and defaults are those that docs/http-api.md documents, written a second time on purpose: the
comparison would show nothing if both sides had the same code.
"""

from typing import Literal

from pydantic import BaseModel, Field


class VideoInput(BaseModel):
    prompt: str
    system_prompt: str | None = None
    reasoning_mode: Literal["think", "no_think"] = "no_think"
    max_tokens: int = Field(1024, ge=1, le=20_000)
    temperature: float = Field(0.7, ge=0, le=2)
    top_p: float = Field(0.95, ge=0, le=1)
    video_url: str
    enable_safety_checker: bool = True

    seed: int | None = Field(None, ge=-1, le=2**63 - 1)
    fps: float | None = Field(None, ge=0.01, le=120)
    max_frames: int | None = Field(None, ge=1, le=1024)
    start_s: float | None = Field(None, ge=0, le=86_400)
    end_s: float | None = Field(None, ge=0, le=86_400)
    video_pruning_rate: float | None = Field(None, ge=0, lt=1)
    use_audio: bool | None = None
    report_video: bool | None = None
    detail: Literal["low", "auto", "high"] | None = None
    reasoning_budget: int | None = Field(None, ge=0, le=20_000)
    grace_period: int | None = Field(None, ge=0, le=20_000)
