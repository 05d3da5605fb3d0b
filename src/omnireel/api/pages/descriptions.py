"""Pages that describe the HTTP API: for programs, and for language models."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.http.fixed_content import FixedContent
from omnireel.api.http.responses import json_response
from omnireel.api.http.route import JSON
from omnireel.api.pages.llms import llms_text


@dataclass(frozen=True)
class DescriptionPages:
    """Sends the descriptions.

    document: makes the OpenAPI document
    """

    document: Callable[[], dict[str, Any]]

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        return self._encoded.response(request)

    @cached_property
    def _encoded(self) -> FixedContent:
        return FixedContent.of(bytes(json_response(self.document(), 200).body), JSON)

    async def llms(self, _: Request) -> Response:
        """The endpoint, described for language models."""
        return Response(llms_text(), media_type="text/plain")
