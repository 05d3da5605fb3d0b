"""The endpoint described for language models, in plain text made from the models of input and output."""

from typing import Any

from omnireel.api.fal.input import ENDPOINT_ID, Nemotron3NanoOmniVideoInput
from omnireel.api.fal.output import Nemotron3NanoOmniVideoOutput
from omnireel.api.fal.prices import TOKENS_PER_UNIT, USD_PER_UNIT
from omnireel.api.openapi.schemas import component_schemas

_TEXT = """\
# {id}

> A question about a video: an mp4 and a prompt go in, text comes out.

- Endpoint: POST /{id} (waits for the answer), POST /queue/{id} (returns at once; then GET
  /queue/{app}/requests/REQUEST_ID/status and /queue/{app}/requests/REQUEST_ID),
  POST /{id}/stream (server-sent events)
- Dry run: POST /{id}/estimate (frames, tokens and price; no inference)
- Authentication, where the server requires it: `Authorization: Key KEY_ID:KEY_SECRET`
- Price: ${price} per {unit} tokens of prompt and answer together
- Schemas: GET /openapi.json
- Prices and usage: GET /platform/v1/models/pricing, GET /platform/v1/models/usage

## Input

{input}

## Output

{output}

## Example

```json
{{"prompt": "What is moving?", "video_url": "https://example.com/clip.mp4"}}
```
"""


def llms_text() -> str:
    """What GET /llms.txt answers."""
    _, shapes = component_schemas([Nemotron3NanoOmniVideoInput, Nemotron3NanoOmniVideoOutput])
    return _TEXT.format(
        id=ENDPOINT_ID,
        app=ENDPOINT_ID.rpartition("/")[0],
        price=USD_PER_UNIT,
        unit=TOKENS_PER_UNIT,
        input=_fields(shapes[Nemotron3NanoOmniVideoInput.__name__]),
        output=_fields(shapes[Nemotron3NanoOmniVideoOutput.__name__]),
    )


def _fields(shape: dict[str, Any]) -> str:
    required = shape.get("required", ())
    lines = []
    for name, field in shape["properties"].items():
        facts = ", ".join(_facts(field, is_required=name in required))
        lines.append(f"- `{name}` ({facts}): {field.get('description', 'an object')}")
    return "\n".join(lines)


def _facts(field: dict[str, Any], *, is_required: bool) -> list[str]:
    facts = [field.get("type", "object"), "required" if is_required else "optional"]
    if "enum" in field:
        facts.append(" or ".join(f"`{word}`" for word in field["enum"]))
    if "minimum" in field and "maximum" in field:
        below = "below " if field.get("exclusiveMaximum") else ""
        facts.append(f"{field['minimum']:g} to {below}{field['maximum']:g}")
    if field.get("default") is not None:
        facts.append(f"default {field['default']}")
    return facts
