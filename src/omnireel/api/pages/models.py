"""The shapes of the pages about the server itself."""

from typing import Any, Literal

from pydantic import Field

from omnireel.api.http.wire_model import WireModel


class Health(WireModel):
    """The state of the server."""

    status: Literal["ok", "not ready"] = Field(description="Whether requests are taken.")
    version: str
    backend: str
    model: str
    sandbox: Literal["full", "weak"]
    intrusions: int = Field(description="Videos whose decoder tried what the sandbox forbids.")
    dropped_log_entries: int = Field(
        description="Entries that the log lost, because its reader was slow or gone or its disk full."
    )
    detail: str | None = Field(default=None, description="Why the server is not ready.")


class PlaygroundFile(WireModel):
    """The part of a path that names a file of the playground."""

    name: str = Field(min_length=1, description="Such as app.js.")


class OpenApiDocument(WireModel):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


class QueueDocumentQuery(WireModel):
    """The query of the document about a queue."""

    endpoint_id: str = Field(min_length=1, description="Of the endpoint whose queue is described.")
