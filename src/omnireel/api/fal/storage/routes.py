"""Uploads, as both official clients send them: addresses from fal's REST host, bytes to its CDN host.

    rest  POST storage/auth/token                a token for the CDN host
          POST storage/upload/initiate           → an address to PUT the file to, and the file's own
          POST storage/upload/initiate-multipart → the same for a file in parts
    cdn   POST files/upload                      the whole file
          POST files/upload/multipart            → the file's address and an upload id
          PUT  files/{name}/upload/{token}       the whole file
          PUT  files/{name}/multipart/{token}/{number}, POST …/complete

The token in a path is enough to send bytes: one client sends no credentials there.
"""

import math
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal.storage.file_address import file_id_in, file_path, origin_of
from omnireel.api.fal.storage.file_type import ANY_TYPE, default_name, media_type
from omnireel.api.fal.storage.lifecycle import keep_s_of
from omnireel.api.http.body import read_json
from omnireel.api.http.caller import caller_of
from omnireel.api.http.errors import BodyError, RequestError, problem
from omnireel.api.http.incoming_file import IncomingFile
from omnireel.api.http.responses import json_response
from omnireel.api.middleware.hosts import FalHost, base_url_of
from omnireel.errors import INSUFFICIENT_STORAGE, CapacityError, OmnireelError
from omnireel.settings import Settings
from omnireel.storage.uploads import Opened, Uploads
from omnireel.store.keys import Caller
from omnireel.store.uploads import NewUpload, StoredFile, bad_parts, not_found

_MAX_JSON_BYTES = 1024 * 1024  # ten thousand parts are listed in less
_MAX_NAME = 255


@dataclass(frozen=True)
class StorageRoutes:
    """The routes for uploads; `ServedFiles` has the route for downloads. Raises OmnireelError."""

    uploads: Uploads
    settings: Settings

    async def token(self, request: Request) -> Response:
        """A token for the CDN host, and the address of that host."""
        token = await self.uploads.issue_cdn_token(caller_of(request))
        return json_response(
            {
                "token": token.text,
                "token_type": "Bearer",
                "base_url": base_url_of(request).url("", FalHost.CDN),
                "expires_at": datetime.fromtimestamp(token.expires_at, UTC).isoformat(),
            },
            200,
        )

    async def initiate(self, request: Request) -> Response:
        """Addresses for a file that is sent at once."""
        return await self._initiated(request, "upload")

    async def initiate_multipart(self, request: Request) -> Response:
        """Addresses for a file that is sent in parts."""
        return await self._initiated(request, "multipart")

    async def upload(self, request: Request) -> Response:
        """A file in one request. The owner is the account of the token or key."""
        async with _incoming(request) as body:
            opened, address = await self._begin(request, **_named_in_headers(request))
            file = await self._receive(opened, body)
        return _stored(file, {"access_url": address})

    async def begin_multipart(self, request: Request) -> Response:
        """Begin an upload in parts. The official client builds the upload's other addresses itself."""
        opened, address = await self._begin(request, **_named_in_headers(request))
        return json_response({"access_url": address, "uploadId": opened.token}, 200)

    async def put_file(self, request: Request) -> Response:
        """The whole file, sent to the address that `initiate` returned."""
        async with _incoming(request) as body:
            file = await self.uploads.receive(*_upload(request), body.chunks(), num_bytes=body.num_bytes)
        return _stored(file, {})

    async def put_part(self, request: Request) -> Response:
        """One part. Its etag is in a header and in the body, because each official client reads one of them."""
        text = request.path_params["number"]
        number = int(text) if text.isdecimal() and len(text) < 10 else 0
        async with _incoming(request) as body:
            etag = await self.uploads.receive_part(
                *_upload(request), number, body.chunks(), num_bytes=body.num_bytes
            )
        return json_response({"partNumber": number, "etag": f'"{etag}"'}, 200, {"etag": f'"{etag}"'})

    async def complete(self, request: Request) -> Response:
        """Complete an upload in parts; the body lists them in any order."""
        fields = await read_json(request, _MAX_JSON_BYTES)
        with _full_disk_told():
            return _stored(await self.uploads.complete(*_upload(request), _listed(fields)), {})

    async def delete(self, request: Request) -> Response:
        """Delete a file of the caller. Jobs that were sent already keep its bytes."""
        caller = await cdn_caller(self.uploads, request, self.settings)
        file_id = file_id_in(request.path_params["name"])
        file = await self.uploads.find(file_id) if file_id else None
        if file is None or file.owner != caller.account:
            return no_such_file()
        await self.uploads.abandon(file.id)
        return Response(None, 204)

    async def _initiated(self, request: Request, kind: str) -> Response:
        fields = await read_json(request, _MAX_JSON_BYTES)
        opened, address = await self._begin(request, **_named_in_body(fields))
        return json_response({"upload_url": f"{address}/{kind}/{opened.token}", "file_url": address}, 200)

    async def _begin(self, request: Request, *, file_name: str, content_type: str) -> tuple[Opened, str]:
        """An open upload and the address that its file will have."""
        base_url, caller = base_url_of(request), await cdn_caller(self.uploads, request, self.settings)
        new = NewUpload(
            owner=caller.account,
            key_id=caller.key_id,
            file_name=file_name[:_MAX_NAME],
            content_type=media_type(content_type),
            origin=origin_of(base_url),
            keep_s=keep_s_of(request.headers, self.settings.upload_keep_s),
        )
        with _full_disk_told():
            opened = await self.uploads.begin(new)
        return opened, base_url.url(file_path(opened.id, file_name), FalHost.CDN)

    async def _receive(self, opened: Opened, body: IncomingFile) -> StoredFile:
        try:
            return await self.uploads.receive(
                opened.id, opened.token, body.chunks(), num_bytes=body.num_bytes
            )
        except OmnireelError:
            await self.uploads.abandon(opened.id)
            raise


@contextmanager
def _full_disk_told() -> Iterator[None]:
    """507 for an upload if the disk is full. A job that needs it gets 503 from the protocol's table of errors."""
    try:
        yield
    except CapacityError as error:
        if error.kind != INSUFFICIENT_STORAGE:
            raise
        headers = {"x-fal-needs-retry": "1", "retry-after": str(math.ceil(error.after_s))}
        raise RequestError(error.message, error_type=error.kind, status=507, headers=headers) from None


@asynccontextmanager
async def _incoming(request: Request) -> AsyncIterator[IncomingFile]:
    """The body of an upload. If it is refused, the rest is read, so that the client gets the response."""
    body = IncomingFile(request)
    try:
        with _full_disk_told():
            yield body
    except OmnireelError:
        await body.discard()
        raise


async def cdn_caller(uploads: Uploads, request: Request, settings: Settings) -> Caller:
    """Who sent a request to the CDN host, where a CDN token can replace a key.

    Raises RequestError, 401, if the server needs one of them and the request has neither.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    known = await uploads.holder_of_cdn_token(token.strip()) if scheme.lower() == "bearer" else None
    caller = known or caller_of(request)
    if not caller.account and settings.auth != "none":
        raise RequestError(
            "Send a key, or a token from storage/auth/token.", error_type="unauthorized", status=401
        )
    return caller


def no_such_file() -> Response:
    """The same answer for a file that does not exist, has expired or belongs to another account."""
    text = "You have no such file, or it has expired."
    return json_response({"detail": text, "message": text}, 404)


def _upload(request: Request) -> tuple[str, str]:
    """Id and token of an upload, from the path. Raises InputError if the name has no file id."""
    file_id = file_id_in(request.path_params["name"])
    if file_id is None:
        raise not_found()
    return file_id, request.path_params["token"]


def _stored(file: StoredFile, more: Mapping[str, str]) -> Response:
    content = {"etag": f'"{file.etag}"', "size": file.num_bytes, "content_type": file.content_type}
    return json_response({**content, **more}, 200, {"etag": f'"{file.etag}"'})


def _named_in_headers(request: Request) -> dict[str, str]:
    content_type = request.headers.get("content-type", ANY_TYPE)
    sent = request.headers.get("x-fal-file-name", "")
    name = sent.encode("latin-1").decode("utf-8", "replace")
    return {"file_name": name or default_name(content_type), "content_type": content_type}


def _named_in_body(fields: object) -> dict[str, str]:
    """Both fields are optional: one official client sends no content type if it does not know it. So is the body."""
    fields = {} if fields is None else fields
    if not isinstance(fields, dict):
        raise BodyError([problem(("body",), "Input should be an object", "dict_type")])
    sent = {"file_name": fields.get("file_name"), "content_type": fields.get("content_type")}
    for name, value in sent.items():
        if value is not None and not isinstance(value, str):
            raise BodyError([problem(("body", name), "Input should be a valid string", "string_type")])
    content_type = sent["content_type"] or ANY_TYPE
    return {"file_name": sent["file_name"] or default_name(content_type), "content_type": content_type}


def _listed(fields: Any) -> list[tuple[int | None, str | None]]:  # noqa: ANN401  # any JSON value
    """Number and etag of each part. A web page that cannot read the header etag lists parts without one."""
    parts = fields.get("parts") if isinstance(fields, dict) else None
    if not isinstance(parts, list):
        raise BodyError([problem(("body", "parts"), "Input should be a list", "list_type")])
    listed = []
    for index, part in enumerate(parts):
        number, etag = (part.get("partNumber"), part.get("etag")) if isinstance(part, dict) else (0, None)
        is_number = number is None or (isinstance(number, int) and not isinstance(number, bool))
        if not is_number or not (etag is None or isinstance(etag, str)):
            raise bad_parts(
                f"Part {index} of the list must have an integer partNumber and a text etag.",
                kind="part_invalid",
            )
        listed.append((number, etag))
    return listed
