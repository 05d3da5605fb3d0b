"""Every failure that omnireel names.

OmnireelError
 ├─ InputError        the caller can mend it: not a video, too long, bad value     4xx, never retried
 ├─ CheckpointError   the weights on disk are not what the config promises         exit code 3
 ├─ SettingsError     a flag, an OMNIREEL_* variable or omnireel.toml is wrong     exit code 2
 ├─ DeniedError       no key that counts, or its money is used up                  401 / 403, never retried
 ├─ CapacityError     try again later: full, or too often                          429 / 503
 ├─ UpstreamError     another host failed                                          502
 ├─ GenerationError   the model took too long or the engine failed                 504 / 500
 └─ Cancelled         ended on request; not a failure
Anything else is our bug: 500, its text hidden, one traceback in the log.
"""

from collections.abc import Mapping
from typing import Any


class OmnireelError(Exception):
    """Base of all named failures.

    message: one line for a person: what, the value, the limit
    hint:    one line that says what to do, or None
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(OmnireelError):
    """What the caller sent cannot be used, and sending it again will not help.

    kind:   the wire's error `type`, such as "video_duration_too_long"
    loc:    where in the input, such as ("body", "video_url")
    ctx:    the limit and the value that broke it
    status: the HTTP status that the wire prescribes for this kind
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        loc: tuple[str | int, ...] = ("body",),
        ctx: Mapping[str, Any] | None = None,
        hint: str | None = None,
        status: int = 422,
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.loc = loc
        self.ctx = dict(ctx or {})
        self.status = status


class CheckpointError(OmnireelError):
    """A checkpoint is missing, incomplete, or not what its config says."""


class SettingsError(OmnireelError):
    """A setting has a value that cannot be used."""


class DeniedError(OmnireelError):
    """Whoever calls may not do this, now or later.

    kind:   "unauthorized", "forbidden" or "spending_cap_reached"
    status: 401 or 403
    """

    def __init__(self, message: str, *, kind: str, status: int) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status


class CapacityError(OmnireelError):
    """The server is full; `after_s` seconds from now is a sensible time to try again.

    kind: the wire's name for what is full, or "rate_limited" for who comes too often
    """

    def __init__(
        self,
        message: str,
        *,
        after_s: float,
        hint: str | None = None,
        kind: str = "concurrent_requests_limit",
    ) -> None:
        super().__init__(message, hint=hint)
        self.after_s = after_s
        self.kind = kind


class UpstreamError(OmnireelError):
    """A host that this request depends on failed."""


class GenerationError(OmnireelError):
    """The model could not finish an accepted request.

    kind:   "generation_timeout" or "internal_server_error"
    status: 504 or 500
    """

    def __init__(self, message: str, *, kind: str, status: int) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status


class Cancelled(OmnireelError):  # noqa: N818 - it is not a failure
    """The request was ended by whoever made it."""
