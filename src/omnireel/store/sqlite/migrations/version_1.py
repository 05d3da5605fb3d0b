"""What version 1 stored of a job, which was fal's request and its HTTP answer, in the form of version 2.

The form is written out here and not taken from `omnireel.task`: a migration must give the same rows when the
program has moved on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_ENDPOINT = "nvidia/nemotron-3-nano-omni/video"
_SAMPLING: Json = {
    "temperature": 0.7, "top_p": 0.95, "max_tokens": 1024, "seed": None, "reasoning_budget": None, "grace_period": 0,
}  # fmt: skip
_MEDIA_OPTIONS = ("fps", "max_frames", "start_s", "end_s", "video_pruning_rate", "use_audio")
_KINDS = {"client_cancelled": "cancelled", "runner_disconnected": "lost", "request_timeout": "not_started"}
_PARTS = {"video_url": "media"}


def task_of_v1(sent: str, body: str | None) -> str:
    """The task of a request.

    sent: its body as JSON; {} once the content was dropped
    body: the stored answer as JSON, which tells of a dropped request whether it had options
    """
    fields: Json = json.loads(sent)
    sampling = {name: fields.get(name, default) for name, default in _SAMPLING.items()}
    task = {
        "version": 1,
        "endpoint": _ENDPOINT,
        "messages": _messages(fields) if fields else [],
        "thinking": fields.get("reasoning_mode") == "think",
        "sampling": sampling | {"grace_period": sampling["grace_period"] or 0},
        "media": _media_options(fields, body),
    }
    extra = {name: value for name, value in fields.items() if not _has_place(name, value)}
    return _text(task | {"extra": extra} if extra else task)


def outcome_of_v1(*columns: Any) -> str | None:  # noqa: ANN401 - SQL values
    """The outcome of a job that ended and was not dropped.

    columns: status, headers, body, error, error_type, input_tokens, output_tokens
    """
    status, headers, body, error, error_type, input_tokens, output_tokens = columns
    if body is None:
        return None
    if status >= 400:
        return _text({"version": 1, "failure": _failure(status, headers, body, error, error_type)})
    return _text({"version": 1, "answer": _answer(json.loads(body), input_tokens, output_tokens)})


def failure_of_v1(*columns: Any) -> str | None:  # noqa: ANN401 - SQL values
    """Why a job failed; None where it did not. columns: status, headers, body, error, error_type"""
    status, *_ = columns
    if status is None or status < 400:
        return None
    return _text(_failure(*columns) | {"value": None})  # it stays when what the caller sent has to go


def _has_place(name: str, value: object) -> bool:
    """Whether this field of a request has a place in the rest of its task."""
    if name in ("prompt", "video_url"):
        return True
    if name == "reasoning_mode":
        return value == "think"
    if name in _SAMPLING and value == _SAMPLING[name]:
        return False
    return value is not None and name in ("system_prompt", *_SAMPLING, *_MEDIA_OPTIONS)


def _messages(fields: Json) -> list[Json]:
    parts = [{"media": "video", "reference": fields.get("video_url", "")}, {"text": fields.get("prompt", "")}]
    user = {"role": "user", "parts": parts}
    system = fields.get("system_prompt")
    return [user] if system is None else [{"role": "system", "parts": [{"text": system}]}, user]


def _media_options(fields: Json, body: str | None) -> Json:
    if fields or body is None:
        return {name: fields[name] for name in _MEDIA_OPTIONS if fields.get(name) is not None}
    # An answer reports on its video where an option was given, and the request that gave it was dropped. This
    # option keeps the report in the answer and is true of it.
    video = json.loads(body).get("video")
    return {} if video is None or video["warnings"] else {"max_frames": len(video["frame_times_s"])}


def _answer(body: Json, input_tokens: int, output_tokens: int) -> Json:
    return {
        "output": body["output"],
        "reasoning": body.get("reasoning"),
        "finish_reason": body["finish_reason"],
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "video": None if body.get("video") is None else _video(body["video"]),
    }


def _video(report: Json) -> Json:
    names = (
        "width", "height", "codec", "source_fps", "duration_s", "has_audio", "frame_times_s", "warnings",
    )  # fmt: skip
    return {name: report[name] for name in names} | {
        "frame_indices": [],
        "num_vision_tokens": report["vision_tokens"],
        "num_kept_tokens": report["kept_tokens"],
        "sound": report["audio"],
        "num_sound_tokens": report["audio_tokens"],
    }


def _failure(status: int, headers: str, body: str | None, error: str, error_type: str) -> Json:
    stored: Mapping[str, Any] = {} if body is None else json.loads(body)
    after_s = json.loads(headers).get("retry-after")
    failure: Json = {
        "kind": _KINDS.get(error_type, error_type),
        "message": error,
        "hint": None,
        "about": None,
        "ctx": {},
        "after_s": None if after_s is None else float(after_s),
        "is_callers": 400 <= status < 500,
        "value": None,
    }
    detail = stored.get("detail")
    return failure | _problem(detail[0], error) if isinstance(detail, list) else failure


def _problem(item: Json, shown: str) -> Json:
    """What an item of a `detail` list says; shown: `place: message; hint`, where place and hint may be missing."""
    place = ".".join(str(part) for part in item["loc"][1:])
    sentence = f"{place}: {item['msg']}" if place else item["msg"]
    return {
        "kind": item["type"],
        "message": item["msg"],
        "hint": shown.removeprefix(f"{sentence}; ") if shown.startswith(f"{sentence}; ") else None,
        "about": _PARTS.get(place, place) or None,
        "ctx": item.get("ctx", {}),
        "value": item.get("input"),
    }


def _text(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"))
