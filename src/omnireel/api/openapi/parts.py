"""What the parts of the OpenAPI document are put together from."""

from typing import Any

Schema = dict[str, Any]
Operation = dict[str, Any]
Paths = dict[str, dict[str, Operation]]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
SWITCH: Schema = {"type": "boolean"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
ANY_FIELDS: Schema = {"type": "object"}
JSON = "application/json"

_UNAUTHORIZED = "The server asks for keys, and none that counts was sent"


def ref(name: str) -> Schema:
    """A schema that the document has under `name`."""
    return {"$ref": f"#/components/schemas/{name}"}


def fields(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object; fields that are not named here may be there too."""
    shape: Schema = {"type": "object", "properties": required | (optional or {})}
    return shape | {"required": list(required)} if required else shape


def list_of(item: Schema) -> Schema:
    """A list of such items."""
    return {"type": "array", "items": item}


def answer(description: str, schema: str, *headers: str, media_type: str = JSON) -> Operation:
    """A response with a body."""
    return {
        "description": description,
        "headers": _headers(*headers),
        "content": {media_type: {"schema": ref(schema)}},
    }


def text_answer(description: str) -> Operation:
    """A response of plain text."""
    return {"description": description, "content": {"text/plain": {"schema": TEXT}}}


def events(description: str, *headers: str) -> Operation:
    """A response of server-sent events; 3.0 has no schema for what is in one."""
    content: Operation = {"text/event-stream": {}}
    return {"description": description, "headers": _headers(*headers), "content": content}


def _headers(*names: str) -> Operation:
    """Of a response; every one has its request's id."""
    return {name: {"schema": TEXT} for name in ("x-fal-request-id", *names)}


def parameter(name: str, schema: Schema, description: str = "", *, where: str = "query") -> Operation:
    """A parameter; only those in a path are required."""
    described = {"description": description} if description else {}
    return {"name": name, "in": where, "required": where == "path", "schema": schema} | described


def path_part(name: str, description: str) -> Operation:
    """A parameter between two slashes of the path."""
    return parameter(name, TEXT | {"minLength": 1}, description, where="path")


def json_body(schema: Schema) -> Operation:
    """A request body that has to be there."""
    return {"required": True, "content": {JSON: {"schema": schema}}}


def unauthorized(schema: str = "RequestError") -> Operation:
    """The refusal of a caller without a key, by status."""
    return {"401": answer(_UNAUTHORIZED, schema, "www-authenticate")}


def failed(schema: str = "Problems") -> Operation:
    """What a fault of ours looks like, by status."""
    return {"500": answer("The server failed", schema)}


def unreadable(schema: str = "Error") -> Operation:
    """Refusals of a JSON body that cannot be read, and of a header or a query that cannot, by status."""
    return {
        "400": answer("The body is no UTF-8 or nested too deeply, or a header cannot be read", schema),
        "413": answer("The body is too long", schema),
        "415": answer("The body is not plain JSON", schema),
        "422": answer("The input cannot be used", schema),
    }
