"""What model servers can do of a task, and the task as they get it. Needs no server."""

from __future__ import annotations

from omnireel.backends.remote.chat_request import with_plain_text
from omnireel.backends.remote.servers import Server
from omnireel.errors import InputError
from omnireel.prompting.clip import MediaDefaults
from omnireel.prompting.counts import TokenCounter
from omnireel.task import Detail, Task


def sendable_task(task: Task, server: Server, counter: TokenCounter, media: MediaDefaults) -> Task:
    """The task as it is sent. Raises InputError for what the servers cannot do.

    media: options of a task that does not set them; its pruning rate is that of the servers
    """
    counter.check_length(task)
    server.check(task, fps=media.sampling(task.media).fps or 0.0)
    _check_rate(task.media.video_pruning_rate, media.pruning_rate)
    _check_detail(task.media.detail)
    return with_plain_text(task, counter.tokenizer)


def _check_rate(asked: float | None, rate: float) -> None:
    if asked is None or asked == rate:
        return
    raise InputError(
        f"video_pruning_rate cannot be {asked:g} here: the model server drops {rate:g} in every request.",
        kind="feature_not_supported",
        about="video_pruning_rate",
        hint="Leave it out.",
    )


def _check_detail(asked: Detail | None) -> None:
    if asked in (None, "auto"):
        return
    raise InputError(
        f"detail cannot be {asked} here: the model server chooses the patches of a frame itself.",
        kind="feature_not_supported",
        about="detail",
        hint="Leave it out, or send auto.",
    )
