"""Stored files, given back to whoever owns them."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from omnireel.api.fal.storage.file_address import file_id_in
from omnireel.api.fal.storage.routes import cdn_owner
from omnireel.api.http.responses import json_response
from omnireel.settings import Settings
from omnireel.storage.uploads import Uploads
from omnireel.store.uploads import StoredFile

_PIECE_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True)
class ServedFiles:
    """GET and HEAD of the cdn door's files."""

    uploads: Uploads
    settings: Settings

    async def answer(self, request: Request) -> Response:
        """The file or one range of it; 404 for whatever its caller does not own."""
        file = await self._find(request)
        if file is None:
            return _no_such_file()
        headers = _headers(file)
        if _is_known(request.headers.get("if-none-match"), file):
            return Response(None, 304, headers)
        start, end, status = 0, file.num_bytes, 200
        span = _range(request, file)
        if span is not None:
            start, end, status = *span, 206
            if start >= end:
                return _no_such_range(file)
            headers["content-range"] = f"bytes {start}-{end - 1}/{file.num_bytes}"
        headers["content-length"] = str(end - start)
        if request.method == "HEAD":
            return Response(None, status, headers)
        try:
            source = await asyncio.to_thread(self.uploads.open, file)
        except FileNotFoundError:  # it has expired since it was found
            return _no_such_file()
        return StreamingResponse(_pieces(source, start, end), status, headers)

    async def _find(self, request: Request) -> StoredFile | None:
        owner = await cdn_owner(self.uploads, request, self.settings)
        file_id = file_id_in(request.path_params["name"])
        file = await self.uploads.find(file_id) if file_id else None
        return file if file is not None and file.owner == owner else None


def _headers(file: StoredFile) -> dict[str, str]:
    """Whatever is in the file, a browser stores it and does not show it."""
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


def _range(request: Request, file: StoredFile) -> tuple[int, int] | None:
    """First byte and end of the range that is asked for; several at once are answered with the whole."""
    asked = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if_range = request.headers.get("if-range")
    if asked is None or asked[0] == "bytes=-" or if_range not in (None, f'"{file.etag}"'):
        return None
    first, last = asked.groups()
    if not first:
        return max(0, file.num_bytes - int(last)), file.num_bytes
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, file.num_bytes) if last else file.num_bytes


async def _pieces(source: BinaryIO, start: int, end: int) -> AsyncIterator[bytes]:
    with source:
        await asyncio.to_thread(source.seek, start)
        while start < end and (piece := await asyncio.to_thread(source.read, min(_PIECE_BYTES, end - start))):
            start += len(piece)
            yield piece


def _no_such_file() -> Response:
    text = "there is no such file of yours, or it has expired"
    return json_response({"detail": text, "message": text}, 404)


def _no_such_range(file: StoredFile) -> Response:
    text = f"the file has {file.num_bytes} bytes"
    content = {"detail": text, "message": text}
    return json_response(content, 416, {"content-range": f"bytes */{file.num_bytes}"})
