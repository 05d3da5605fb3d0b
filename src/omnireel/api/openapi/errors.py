"""The shapes of errors in the OpenAPI document."""

from omnireel.api.openapi.parts import ANY_FIELDS, TEXT, Schema, fields, list_of, ref


def error_schemas() -> dict[str, Schema]:
    """By name. `Error` is either of the two shapes that the doors of requests and files have."""
    place: Schema = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
    problem = fields(
        {"loc": list_of(place), "msg": TEXT, "type": TEXT}, {"url": TEXT, "ctx": ANY_FIELDS, "input": {}}
    )
    platform = fields({"type": TEXT, "message": TEXT, "docs_url": TEXT, "request_id": TEXT})
    return {
        "Problem": problem,
        "Problems": fields({"detail": list_of(ref("Problem")), "message": TEXT}),
        "RequestError": fields({"detail": TEXT, "message": TEXT}, {"error_type": TEXT, "status": TEXT}),
        "Error": {"anyOf": [ref("Problems"), ref("RequestError")]},
        "PlatformError": fields({"error": platform}),
    }
