"""A video_url that names a file stored here: read from the disk, never fetched over the network."""

from pathlib import Path

from starlette.requests import Request

from omnireel.api.fal.storage.file_address import file_address, is_our_origin
from omnireel.api.http.caller import owner_of
from omnireel.api.middleware.hosts import base_url_of
from omnireel.errors import InputError
from omnireel.net.errors import LOC
from omnireel.storage.uploads import Files


async def link_stored_video(files: Files, request: Request, video_url: str, target: Path) -> bool:
    """Make the file that video_url names appear as `target` too, where it will stay when the first expires.

    False, and nothing done, for the address of anybody else.
    Raises InputError where the address is ours and its caller owns no such file.
    """
    address = file_address(video_url)
    if address is None:
        return False
    origin, file_id = address
    file = await files.find(file_id)
    if not is_our_origin(origin, base_url_of(request)) and (file is None or file.origin != origin):
        return False
    if file is None or file.owner != owner_of(request):
        raise _not_stored()
    try:
        await files.hard_link(file, target)
    except FileNotFoundError:  # it has expired since it was found
        raise _not_stored() from None
    return True


def _not_stored() -> InputError:
    """The same words for a file that never was, one that has expired and one of somebody else."""
    return InputError(
        "video_url names a file that is not stored here for you, or has expired",
        kind="file_download_error",
        loc=LOC,
        hint="upload it again",
    )
