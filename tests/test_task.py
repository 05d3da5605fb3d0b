"""Tasks and outcomes survive storage, another version's are refused, and failures say whose they are."""

import json

import pytest

from omnireel.errors import CapacityError, OmnireelError
from omnireel.task import (
    VERSION,
    Answer,
    Failure,
    FinishReason,
    MediaOptions,
    VideoFacts,
    failure_of,
    outcome_from_json,
    outcome_to_json,
    task_from_json,
    task_to_json,
    video_task,
)

TASK = video_task(
    "some/endpoint",
    prompt="What moves?",
    video="clip.mp4",
    system_prompt="Be brief.",
    media=MediaOptions(fps=4),
)
VIDEO = VideoFacts(64, 48, "h264", 25.0, 2.0, False, (0, 25), (0.0, 1.0), 12, 9, ("dark",), "absent")
ANSWER = Answer("A ball.", None, FinishReason.stop, 10, 3, VIDEO)
FAILURE = Failure(
    "file_too_large", "The file is too large.", "Send a shorter clip.", "media", {"max_size": 9}
)


def through_json(stored):
    return json.loads(json.dumps(stored))


def test_a_stored_task_is_read_back_unchanged():
    assert task_from_json(through_json(task_to_json(TASK))) == TASK


@pytest.mark.parametrize("outcome", [ANSWER, FAILURE], ids=["answer", "failure"])
def test_a_stored_outcome_is_read_back_unchanged(outcome):
    assert outcome_from_json(through_json(outcome_to_json(outcome))) == outcome


@pytest.mark.parametrize(
    ("read", "stored"),
    [
        (task_from_json, task_to_json(TASK)),
        (outcome_from_json, outcome_to_json(ANSWER)),
        (outcome_from_json, outcome_to_json(FAILURE)),
    ],
    ids=["task", "answer", "failure"],
)
def test_another_version_is_refused_with_both_numbers(read, stored):
    with pytest.raises(
        OmnireelError, match=f"has version {VERSION + 1}. This program reads only version {VERSION}"
    ):
        read(stored | {"version": VERSION + 1})


@pytest.mark.parametrize(
    ("kind", "is_callers"),
    [
        ("concurrent_requests_limit", True),
        ("rate_limited", True),
        ("insufficient_storage", False),
        ("storage_unavailable", False),
        ("downstream_service_unavailable", False),
    ],
)
def test_what_the_server_lacks_does_not_count_as_a_failure_of_the_caller(kind: str, is_callers: bool):
    assert failure_of(CapacityError("No.", after_s=1, kind=kind)).is_callers is is_callers
