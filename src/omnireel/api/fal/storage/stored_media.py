"""Media addresses of files stored here. Such a file is read from the disk and never fetched over the network."""

from starlette.requests import Request

from omnireel.api.fal.storage.file_address import file_address, is_our_origin
from omnireel.api.http.caller import owner_of
from omnireel.api.middleware.hosts import base_url_of
from omnireel.jobs.submit import not_stored
from omnireel.storage.uploads import Uploads
from omnireel.store.uploads import StoredFile


async def find_stored_media(uploads: Uploads, request: Request, reference: str) -> StoredFile | None:
    """The uploaded file that `reference` names; None if the address is not one of this server.

    Raises InputError if it is one of this server and the caller owns no such file.
    """
    address = file_address(reference)
    if address is None:
        return None
    origin, file_id = address
    file = await uploads.find(file_id)
    if not is_our_origin(origin, base_url_of(request)) and (file is None or file.origin != origin):
        return None
    if file is None or file.owner != owner_of(request):
        raise not_stored()
    return file
