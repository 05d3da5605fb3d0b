"""Why a request to another host failed, without a word about what the request was for.

Callers may see `why` and `hint`, so these hold no IP address and no text of a library: a caller could otherwise
use the server to explore the network it runs in. `reason` has the details and is for the log alone.
"""

import os
import socket
import ssl

from omnireel.errors import OmnireelError

_NAME_FAILURES = {
    socket.EAI_NONAME: "name not known",
    socket.EAI_NODATA: "name not known",
    socket.EAI_AGAIN: "the name server does not answer",
}


class FetchError(OmnireelError):
    """An address cannot be used, or its host cannot be reached or gives no usable response.

    why:          the end of a sentence that begins with what failed, such as "its host cannot be reached"
    hint:         what the caller can do, or None
    reason:       details for the operator, never shown to callers; "" where `why` says everything
    is_forbidden: the policy does not allow the connection, so trying again will not help
    is_temporary: the connection broke or the host is busy, so trying again may help
    retry_after_s: when the host wants to be asked again; None where it does not say
    """

    def __init__(
        self,
        why: str,
        *,
        hint: str | None = None,
        reason: str = "",
        is_forbidden: bool = False,
        is_temporary: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"The address cannot be used: {why}.", hint=hint)
        self.why = why
        self.reason = reason
        self.is_forbidden = is_forbidden
        self.is_temporary = is_temporary
        self.retry_after_s = retry_after_s


class TooLargeError(OmnireelError):
    """A file is larger than the policy allows.

    max_bytes: the limit
    num_bytes: the size that the host announced; None where the limit was reached while reading
    """

    def __init__(self, max_bytes: int, num_bytes: int | None = None) -> None:
        size = "larger than allowed" if num_bytes is None else f"{num_bytes} bytes"
        super().__init__(f"The file is {size}, limit {max_bytes} bytes.")
        self.max_bytes = max_bytes
        self.num_bytes = num_bytes


def why_not_connected(error: BaseException) -> str:
    """Why a connection failed, in words for people: "connection refused", "name not known".

    A library's error is judged by the error of the system that it was raised from.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, socket.gaierror):
            return _NAME_FAILURES.get(found.errno or 0, found.strerror or "name not known")
        if isinstance(found, OSError) and not isinstance(found, ssl.SSLError) and found.errno:
            return os.strerror(found.errno).lower()  # asyncio's own text has the address
        found = found.__cause__ or found.__context__
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
