"""Pages that describe the HTTP API: for programs, and for language models."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from omnireel.api.fal.input import ENDPOINT_ID
from omnireel.api.http.errors import RequestError, echo
from omnireel.api.http.fixed_content import FixedContent
from omnireel.api.http.responses import json_response
from omnireel.api.http.route import JSON
from omnireel.api.middleware.hosts import FalHost, base_url_of
from omnireel.api.openapi.queue_document import with_addresses
from omnireel.api.pages.llms import llms_text

MODEL_PATH = f"/models/{ENDPOINT_ID}"
# Where the pages about the model lead: the playground.
MODEL_PAGE_TARGET = "/"


@dataclass(frozen=True)
class DescriptionPages:
    """Sends the descriptions.

    document:       makes the OpenAPI document
    queue_document: makes the document about the queue, without addresses
    """

    document: Callable[[], dict[str, Any]]
    queue_document: Callable[[], dict[str, Any]]

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        return self._encoded.response(request)

    @cached_property
    def _encoded(self) -> FixedContent:
        return FixedContent.of(bytes(json_response(self.document(), 200).body), JSON)

    async def queue_openapi(self, request: Request) -> Response:
        """The document about the queue of one endpoint. Raises RequestError for an endpoint that is not here."""
        asked = request.query_params.get("endpoint_id", "")
        if not asked:
            message = f"The query needs endpoint_id, such as endpoint_id={ENDPOINT_ID}."
            raise RequestError(message, error_type="bad_request", status=400)
        if asked != ENDPOINT_ID:
            message = f'Application "{echo(asked)}" not found'
            raise RequestError(message, error_type="not_found", status=404)
        base = base_url_of(request)
        document = with_addresses(
            self.queue_document(), queue_url=base.url("", FalHost.QUEUE), model_url=base.url(MODEL_PATH)
        )
        return json_response(document, 200)

    async def model(self, request: Request) -> Response:
        """Leads to the page that describes the endpoint."""
        return RedirectResponse(base_url_of(request).url(MODEL_PAGE_TARGET))

    async def llms(self, request: Request) -> Response:
        """The endpoint, described for language models."""
        return Response(llms_text(base_url_of(request)), media_type="text/plain")
