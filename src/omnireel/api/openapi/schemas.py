"""The OpenAPI schemas of the shapes in `wire.py`."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from omnireel.api.fal.wire import Nemotron3NanoOmniVideoInput, Nemotron3NanoOmniVideoOutput


class _OpenApi30Schema(GenerateJsonSchema):
    """Pydantic's schemas, put the way OpenAPI 3.0 wants them: no null type, exclusive limits as switches."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """`X | None`; a reference may not have siblings in 3.0, so it moves into allOf."""
        inner = self.generate_inner(schema["schema"])
        return {"allOf": [inner], "nullable": True} if "$ref" in inner else inner | {"nullable": True}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """A number; its exclusive upper limit becomes an upper limit and a switch."""
        shape = super().float_schema(schema)
        if "exclusiveMaximum" in shape:
            shape |= {"maximum": shape["exclusiveMaximum"], "exclusiveMaximum": True}
        return shape


def schemas() -> dict[str, Any]:
    """The OpenAPI `components.schemas` of input and output, fields in the order they are written here."""
    _, document = models_json_schema(
        [(Nemotron3NanoOmniVideoInput, "validation"), (Nemotron3NanoOmniVideoOutput, "validation")],
        ref_template="#/components/schemas/{model}",
        schema_generator=_OpenApi30Schema,
    )
    shapes: dict[str, Any] = document["$defs"]
    for shape in shapes.values():
        shape["x-fal-order-properties"] = list(shape["properties"])
    shapes[Nemotron3NanoOmniVideoInput.__name__]["properties"]["video_url"]["ui"] = {"field": "video"}
    return shapes
