"""Content that stays the same as long as the server runs: compressed once, and sent compressed where that is taken."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True)
class FixedContent:
    """One body.

    packed: the content after gzip; None where that makes it no smaller
    """

    content: bytes
    packed: bytes | None
    media_type: str

    @classmethod
    def of(cls, content: bytes, media_type: str) -> Self:
        """The content with its compressed form."""
        packed = gzip.compress(content, 9, mtime=0)
        return cls(content, packed if len(packed) < len(content) else None, media_type)

    def response(self, request: Request, headers: Mapping[str, str] | None = None) -> Response:
        """A response with the content, in the form that the caller takes."""
        headers = {**(headers or {}), "vary": "accept-encoding"}
        if self.packed is not None and _takes_gzip(request):
            packed_headers = {**headers, "content-encoding": "gzip"}
            return Response(self.packed, headers=packed_headers, media_type=self.media_type)
        return Response(self.content, headers=headers, media_type=self.media_type)


def _takes_gzip(request: Request) -> bool:
    """Whether the caller takes gzip. A weight of 0 refuses it."""
    for offer in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
