"""The errors of uploads, in the words that callers get to see."""

from omnireel.errors import InputError


def not_found() -> InputError:
    """One error for an unknown upload, a wrong token and one that came too late."""
    return InputError(
        "this upload is unknown, or its address has expired",
        kind="upload_not_found",
        loc=("path",),
        hint="begin a new upload",
        status=404,
    )


def too_large(max_bytes: int) -> InputError:
    """More bytes than a file may have."""
    return InputError(
        f"the file is larger than the limit of {max_bytes} bytes",
        kind="file_too_large",
        ctx={"max_size": max_bytes},
        hint="send a shorter clip or one of a lower bit rate",
        status=413,
    )


def no_room(max_bytes: int) -> InputError:
    """More bytes than there is room for."""
    return InputError(
        f"the files stored here would exceed the limit of {max_bytes} bytes",
        kind="quota_exceeded",
        ctx={"max_size": max_bytes},
        hint="wait until older files expire, or send the video inside the request",
        status=413,
    )


def bad_parts(message: str, *, kind: str) -> InputError:
    """Parts that do not make a file."""
    return InputError(message, kind=kind, loc=("body", "parts"), status=400)
