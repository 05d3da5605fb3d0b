"""The OpenAPI document, made from the table of routes: version 3.0.4 with fal's extensions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from omnireel.api.fal.input import ENDPOINT_ID, Nemotron3NanoOmniVideoInput
from omnireel.api.fal.output import Nemotron3NanoOmniVideoOutput
from omnireel.api.http.route import Access, BodyModel, ResponseSpec, Route
from omnireel.api.http.wire_model import WireModel
from omnireel.api.openapi.examples import EXAMPLES
from omnireel.api.openapi.schemas import Schema, component_schemas, property_schemas

Operation = dict[str, Any]
Schemas = dict[BodyModel, Schema]

_TEXT: Schema = {"type": "string"}
VERSION = "3.0.4"
METADATA = {"endpointId": ENDPOINT_ID, "category": "video-to-text"}
# Needed only where the server runs with `--auth keys`.
SECURITY: Mapping[str, Any] = {
    "apiKeyAuth": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "Key <key_id>:<key_secret>. A server that runs without keys accepts any value.",
    }
}


def openapi_document(
    routes: Sequence[Route], *, version: str, limits: Mapping[str, int | float | str]
) -> dict[str, Any]:
    """The document that describes those of the routes that have an operation id, in their order.

    limits: of this server, for clients that check a video before they send it
    """
    paths, components = described(route for route in routes if route.operation_id)
    return {
        "openapi": VERSION,
        "info": {
            "title": f"OpenAPI for {ENDPOINT_ID}",
            "version": version,
            "description": "omnireel: an mp4 and a prompt go in, text comes out.",
            "x-fal-metadata": METADATA,
            "x-omnireel-limits": dict(limits),
        },
        "x-fal-order-paths": list(paths),
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SECURITY},
        "security": [{"apiKeyAuth": []}],
    }


def described(routes: Iterable[Route]) -> tuple[dict[str, dict[str, Operation]], dict[str, Schema]]:
    """The `paths` of a document, and the `components.schemas` that they refer to."""
    listed = list(routes)
    schemas, components = component_schemas({model for route in listed for model in _body_models(route)})
    # fal's web page shows a video picker for this field.
    components[Nemotron3NanoOmniVideoInput.__name__]["properties"]["video_url"]["ui"] = {"field": "video"}
    for model in (Nemotron3NanoOmniVideoInput, Nemotron3NanoOmniVideoOutput):
        components[model.__name__]["example"] = EXAMPLES[model]
        for name, value in EXAMPLES[model].items():
            _add_example(components[model.__name__]["properties"], name, value)
    paths: dict[str, dict[str, Operation]] = {}
    for route in listed:
        path = paths.setdefault(route.listed_path or route.path, {})
        path[route.method.lower()] = _operation(route, schemas)
    return paths, components


def _add_example(properties: Schema, name: str, value: object) -> None:
    if "$ref" not in properties[name]:  # a reference may not have siblings in 3.0
        properties[name]["example"] = value


def _body_models(route: Route) -> Iterator[BodyModel]:
    if route.body is not None:
        yield route.body.model
    yield from (response.model for response in route.all_responses.values() if response.model is not None)


def _operation(route: Route, schemas: Schemas) -> Operation:
    operation: Operation = {"operationId": route.operation_id, "summary": route.summary}
    if not route.access.needs_key:
        operation["security"] = []
    if route.access in (Access.KEY_OR_CDN_TOKEN, Access.TOKEN_IN_PATH):
        operation["description"] = f"Needs {route.access.value}."
    if parameters := list(_parameters(route)):
        operation["parameters"] = parameters
    if route.body is not None:
        content = {route.body.media_type: {"schema": schemas[route.body.model]}}
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = {
        str(status): _response(response, schemas) for status, response in route.all_responses.items()
    }
    return operation


def _parameters(route: Route) -> Iterator[Operation]:
    yield from _parameters_of(route.path_model, "path")
    yield from _parameters_of(route.query_model, "query")
    yield from _parameters_of(route.header_model, "header")


def _parameters_of(model: type[WireModel] | None, where: str) -> Iterator[Operation]:
    if model is None:
        return
    properties, required = property_schemas(model)
    for name, schema in properties.items():
        del schema["title"]
        description = schema.pop("description", None)
        described = {} if description is None else {"description": description}
        yield {"name": name, "in": where, "required": name in required, "schema": schema} | described


def _response(response: ResponseSpec, schemas: Schemas) -> Operation:
    names = ("x-fal-request-id", *response.headers)
    described: Operation = {
        "description": response.description,
        "headers": {name: {"schema": _TEXT} for name in names},
    }
    if response.media_type is None:
        return described
    content = {} if response.model is None else {"schema": schemas[response.model]}
    return described | {"content": {response.media_type: content}}
