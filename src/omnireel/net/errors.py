"""The errors of fetching, in the words that callers get to see.

They name neither an IP address nor what a library said: whoever sends requests could otherwise use the server
to look around in the network it stands in. The reasons go to the log, which belongs to the operator.
"""

import logging

from omnireel.errors import InputError

LOC = ("body", "video_url")

log = logging.getLogger(__name__)


class FetchError(InputError):
    """An address cannot be used, or what came from it cannot.

    why:          ends the sentence that a caller reads
    reason:       what really happened, for the operator alone; "" where `why` says it
    is_forbidden: the rule does not allow a connection, and trying again will not help
    """

    def __init__(self, why: str, *, hint: str | None, reason: str = "", is_forbidden: bool = False) -> None:
        super().__init__(
            f"video_url cannot be fetched: {why}", kind="file_download_error", loc=LOC, hint=hint
        )
        self.why = why
        self.reason = reason
        self.is_forbidden = is_forbidden


def not_fetched(
    why: str, *, hint: str = "send the video itself as data:video/mp4;base64,...", is_forbidden: bool = False
) -> FetchError:
    """The address cannot be used or its answer cannot; see FetchError."""
    return FetchError(why, hint=hint, is_forbidden=is_forbidden)


def unreachable(host: str, reason: str, *, is_forbidden: bool = False) -> FetchError:
    """No connection to `host`, or none that is allowed: the same words for both.

    reason: what really happened; it is logged and not part of what callers see
    """
    log.warning("%s is not connected to: %s", host, reason)
    return FetchError(
        "its host cannot be reached",
        hint="check that the address works from the public internet; "
        "other networks have to be admitted by the operator (fetch_allow)",
        reason=reason,
        is_forbidden=is_forbidden,
    )


def too_large(max_bytes: int, num_bytes: int | None = None) -> InputError:
    """More than `max_bytes`; num_bytes: how much it is, where that is known."""
    size = f"{num_bytes} bytes" if num_bytes is not None else "larger than allowed"
    provided = {} if num_bytes is None else {"provided_size": num_bytes}
    return InputError(
        f"video is {size}, limit {max_bytes}",
        kind="file_too_large",
        loc=LOC,
        ctx={"max_size": max_bytes} | provided,
        hint="send a shorter clip or one of a lower bit rate",
    )
