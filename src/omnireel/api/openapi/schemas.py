"""JSON schemas as OpenAPI 3.0 wants them, made from pydantic models."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

_REFERENCE = "#/components/schemas/{model}"
Schema = dict[str, Any]


class _OpenApi30Schema(GenerateJsonSchema):
    """Turns what pydantic writes, JSON Schema 2020-12, into what OpenAPI 3.0 has.

    OpenAPI 3.0 has no null type and no const, and its exclusive limits are booleans.
    """

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """`X | None`. A reference may not have siblings in 3.0, so it moves into allOf."""
        inner = self.generate_inner(schema["schema"])
        return {"allOf": [inner], "nullable": True} if "$ref" in inner else inner | {"nullable": True}

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        """One of several values. A single one is an enum of one."""
        shape = super().literal_schema(schema)
        if "const" in shape:
            shape["enum"] = [shape.pop("const")]
        return shape

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """A number. An exclusive limit becomes a limit and a boolean."""
        shape = super().float_schema(schema)
        for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if exclusive in shape:
                shape |= {limit: shape[exclusive], exclusive: True}
        return shape


def component_schemas(shapes: Iterable[Any]) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """The schema of each type, and the `components.schemas` that these schemas refer to."""
    schemas, document = TypeAdapter.json_schemas(
        [(shape, "validation", TypeAdapter(shape)) for shape in shapes],
        ref_template=_REFERENCE,
        schema_generator=_OpenApi30Schema,
    )
    components: dict[str, Schema] = document.get("$defs", {})
    for component in components.values():
        if "properties" in component:
            component["x-fal-order-properties"] = list(component["properties"])
    return {shape: schema for (shape, _), schema in schemas.items()}, components


def property_schemas(model: type[BaseModel]) -> tuple[dict[str, Schema], set[str]]:
    """The schema of each field of a model without nested models, and the names of its required fields."""
    shape = model.model_json_schema(ref_template=_REFERENCE, schema_generator=_OpenApi30Schema)
    return shape["properties"], set(shape.get("required", ()))
