"""Every failure that omnireel names, in the words of the domain: no protocol's statuses, no places in its bodies.

OmnireelError
 ├─ InputError        the caller can correct it: not a video, too long, a bad value    never retried
 ├─ CheckpointError   the weights on disk are not what the config promises
 ├─ SettingsError     a flag, an OMNIREEL_* variable or omnireel.toml is wrong
 ├─ DeniedError       no valid key, or its money is used up                           never retried
 ├─ CapacityError     full, or asked too often: try again later
 │   └─ StorageError  the store or the disk cannot be written, and not because it is full
 ├─ AttemptError      this attempt broke off, and another one may not
 ├─ UpstreamError     another host failed
 ├─ GenerationError   the model took too long, or the engine failed
 └─ Cancelled         ended on request; not a failure
Anything else is our bug: its text stays hidden, and one traceback goes to the log.

Each protocol maps these to its own statuses and bodies: `api/fal/errors.py` to fal's, `cli/failures.py` to exit
codes.
"""

from collections.abc import Mapping
from typing import Any, Final

INSUFFICIENT_STORAGE: Final = "insufficient_storage"
STORAGE_UNAVAILABLE: Final = "storage_unavailable"
MODEL_UNAVAILABLE: Final = "downstream_service_unavailable"


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

    kind:  what is wrong, such as "video_duration_too_long"
    about: the part of the input that is to blame: "media", "prompt", "upload", "parts", "idempotency_key",
           "webhook_url"; None: the input as a whole
    ctx:   the limit and the value that broke it
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        about: str | None = None,
        ctx: Mapping[str, Any] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.about = about
        self.ctx = dict(ctx or {})


class CheckpointError(OmnireelError):
    """A checkpoint is missing, incomplete, or not what its config says."""


class SettingsError(OmnireelError):
    """A setting has a value that cannot be used."""


class DeniedError(OmnireelError):
    """The caller may not do this, now or later.

    kind: "unauthorized" (no valid key), "forbidden", or "spending_cap_reached"
    """

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class CapacityError(OmnireelError):
    """The server is full; `after_s` seconds from now is a sensible time to try again.

    kind: what is full: "concurrent_requests_limit", "insufficient_storage", "downstream_service_unavailable" where no
          model can be asked, "rate_limited" for a caller who comes too often, or that of StorageError
    is_callers: whether the caller asks too much, and not the server lacks something
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
        self.is_callers = kind not in (INSUFFICIENT_STORAGE, STORAGE_UNAVAILABLE, MODEL_UNAVAILABLE)


class StorageError(CapacityError):
    """What has to be kept cannot be written now, although the disk has room: it is read-only, say, or locked.

    what: what cannot be written; why: a clause
    """

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} cannot be written: {why}.", after_s=5, kind=STORAGE_UNAVAILABLE)


def disk_is_full() -> CapacityError:
    """The error for a disk without space or inodes, or where only the reserve is left."""
    return CapacityError("The disk is full.", after_s=10, kind=INSUFFICIENT_STORAGE)


class AttemptError(OmnireelError):
    """An attempt broke off, and not because of the request; another one in `after_s` seconds may succeed.

    kind: "downstream_service_error"
    """

    def __init__(self, message: str, *, kind: str, after_s: float, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.after_s = after_s


class UpstreamError(OmnireelError):
    """A host that this request depends on failed."""


class GenerationError(OmnireelError):
    """The model could not finish an accepted request.

    kind: "not_started" (the start deadline passed first), "generation_timeout", "out_of_memory" or
          "internal_server_error"
    """

    def __init__(self, message: str, *, kind: str = "internal_server_error", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class Cancelled(OmnireelError):  # noqa: N818 - it is not a failure
    """The request was ended by its caller."""
