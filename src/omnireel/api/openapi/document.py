"""The OpenAPI document, in the dialect that fal's own tools read: 3.0.4 with their extensions.

Each noun has a file of its own beside this one: `openapi_run`, `openapi_storage`, `openapi_platform`,
`openapi_pages`. Input and output come from `wire`, their one definition.
"""

from typing import Any

from omnireel.api.fal.wire import ENDPOINT_ID
from omnireel.api.openapi.errors import error_schemas
from omnireel.api.openapi.pages import page_paths, page_schemas
from omnireel.api.openapi.platform import platform_paths, platform_schemas
from omnireel.api.openapi.run import queue_paths, run_paths, run_schemas
from omnireel.api.openapi.schemas import schemas
from omnireel.api.openapi.storage import storage_paths, storage_schemas

# Asked for only where the server runs with --auth keys.
_SECURITY = {
    "apiKeyAuth": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "Key <key_id>:<key_secret>; a server that runs without keys takes anything.",
    }
}


def openapi_document(version: str) -> dict[str, Any]:
    """What GET /openapi.json answers."""
    paths = run_paths() | queue_paths() | storage_paths() | platform_paths() | page_paths()
    shapes = schemas() | error_schemas() | run_schemas() | storage_schemas()
    return {
        "openapi": "3.0.4",
        "info": {
            "title": f"OpenAPI for {ENDPOINT_ID}",
            "version": version,
            "description": "omnireel: an mp4 and a prompt go in, text comes out.",
            "x-fal-metadata": {"endpointId": ENDPOINT_ID, "category": "video-to-text"},
        },
        "x-fal-order-paths": list(paths),
        "paths": paths,
        "components": {
            "schemas": shapes | platform_schemas() | page_schemas(),
            "securitySchemes": _SECURITY,
        },
        "security": [{"apiKeyAuth": []}],
    }
