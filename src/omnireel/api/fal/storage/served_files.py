"""Stored files, served to their owners."""

import asyncio
import os
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from omnireel.api.fal.storage.file_address import file_id_in
from omnireel.api.fal.storage.routes import cdn_caller, no_such_file
from omnireel.api.http.responses import json_response
from omnireel.settings import Settings
from omnireel.storage.uploads import Uploads
from omnireel.store.uploads import StoredFile

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True)
class ServedFiles:
    """GET and HEAD of files on the CDN host."""

    uploads: Uploads
    settings: Settings

    async def answer(self, request: Request) -> Response:
        """The file or one range of it; 404 if the caller owns no such file."""
        file = await self._find(request)
        if file is None:
            return no_such_file()
        headers = _headers(file)
        if _is_known(request.headers.get("if-none-match"), file):
            return Response(None, 304, headers)
        start = _range_start(request, file)
        if start is None:
            # Starlette would answer 400 to a range that it cannot read, and would send several ranges.
            del MutableHeaders(scope=request.scope)["range"]
        elif start >= file.num_bytes:
            return _no_such_range(file)
        async with AsyncExitStack() as opened:
            try:
                path = await opened.enter_async_context(self.uploads.file(file))
                source = opened.enter_context(await asyncio.to_thread(path.open, "rb"))
            except FileNotFoundError:  # it has expired since it was found
                return no_such_file()
            return _OpenFileResponse(source, headers, opened.pop_all())

    async def _find(self, request: Request) -> StoredFile | None:
        caller = await cdn_caller(self.uploads, request, self.settings)
        file_id = file_id_in(request.path_params["name"])
        file = await self.uploads.find(file_id) if file_id else None
        return file if file is not None and file.owner == caller.account else None


class _OpenFileResponse(FileResponse):
    """An open file, or the range of it that the request asks for.

    opened: is closed once the response is sent or the client has disconnected
    """

    chunk_size = 256 * 1024

    def __init__(self, source: BinaryIO, headers: Mapping[str, str], opened: AsyncExitStack) -> None:
        # By its descriptor, so that the file can be read to its end even if the blob is deleted meanwhile.
        descriptor = source.fileno()
        super().__init__(f"/dev/fd/{descriptor}", headers=headers, stat_result=os.fstat(descriptor))
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._opened:
            await super().__call__(scope, receive, send)


def _headers(file: StoredFile) -> dict[str, str]:
    """A browser must save the file and not show it, because it may contain scripts."""
    return {
        "content-type": file.content_type,
        "content-disposition": f"attachment; filename*=UTF-8''{quote(file.file_name, safe='')}",
        "etag": f'"{file.etag}"',
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
    }


def _is_known(if_none_match: str | None, file: StoredFile) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return f'"{file.etag}"' in tags or "*" in tags


def _range_start(request: Request, file: StoredFile) -> int | None:
    """The first byte of the range that is asked for; None for the whole file.

    A request for several ranges, or for a range that cannot be read, gets the whole file.
    """
    asked = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if_range = request.headers.get("if-range")
    if asked is None or asked[0] == "bytes=-" or if_range not in (None, f'"{file.etag}"'):
        return None
    first, last = asked.groups()
    if not first:
        return max(0, file.num_bytes - int(last))
    return None if last and int(last) < int(first) else int(first)


def _no_such_range(file: StoredFile) -> Response:
    text = f"The file has {file.num_bytes} bytes."
    content = {"detail": text, "message": text}
    return json_response(content, 416, {"content-range": f"bytes */{file.num_bytes}"})
