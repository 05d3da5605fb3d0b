"""The base class of shapes that the OpenAPI document describes and the HTTP API sends."""

from typing import Any, Self

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class WireModel(BaseModel):
    """A JSON object of the HTTP API, or a set of parameters.

    A field with the default None is left out where it has no value: it is never null. A field that may be
    null has no default.
    """

    def content(self: Self) -> dict[str, Any]:
        """The object as JSON values, without the fields that were not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema, in which a field that may be left out is not described as one that may be null."""
        shape = handler(core_schema)
        for field in handler.resolve_ref_schema(shape).get("properties", {}).values():
            if field.get("default", ...) is None:
                del field["default"]
                field.pop("nullable", None)
        return shape
