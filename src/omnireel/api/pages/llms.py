"""The endpoint described for language models, in plain text made from the models of input and output.

Its parts and their order are those of the text that the hosted service has for each of its models.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from omnireel.api.fal.input import ENDPOINT_ID, Nemotron3NanoOmniVideoInput
from omnireel.api.fal.output import Nemotron3NanoOmniVideoOutput
from omnireel.api.fal.prices import TOKENS_PER_UNIT, USD_PER_UNIT
from omnireel.api.middleware.hosts import PROXY_PATH, FalHost, PublicBaseUrl
from omnireel.api.openapi.examples import INPUT_EXAMPLE, OUTPUT_EXAMPLE
from omnireel.api.openapi.schemas import component_schemas

Shape = Mapping[str, Any]

# Where `omnireel serve --tls dev` listens unless it is told otherwise.
_TLS_PORT = 8443

_TEXT = """\
# {id}

> A question about a video: an mp4 and a prompt go in, text comes out.

## Overview

- Endpoint, waits for the answer: POST {run}
- Queue, returns at once: POST {queue}
  - status: GET {job}/status
  - result: GET {job}
  - cancel: PUT {job}/cancel
- Stream of server-sent events: POST {run}/stream
- Dry run, for frames, tokens and price without inference: POST {run}/estimate
- The same with a picture of each chosen frame: POST {run}/inspect
- Model id: {id}
- Category: video-to-text
- Authentication, where the server requires it: `Authorization: Key KEY_ID:KEY_SECRET`

## Pricing

${price} per {unit} tokens of prompt and answer together

## Input

{input}

Example:

```json
{input_example}
```

## Output

{output}

Example:

```json
{output_example}
```

## Usage

A clip of your own goes into `video_url` as a data: URI (data:video/mp4;base64,...), or is uploaded first.

### cURL

```bash
curl --request POST \\
  --url {run} \\
  --header "Authorization: Key $FAL_KEY" \\
  --header "Content-Type: application/json" \\
  --data '{body}'
```

### Python

Install the client with `pip install fal-client`. It speaks https only, and reads these variables when it is imported:

```bash
export FAL_RUN_HOST={tls_host}/sync FAL_QUEUE_RUN_HOST={tls_host}/queue
```

With `omnireel serve --tls dev`, `SSL_CERT_FILE` also has to name the file `tls/ca.pem` of its data directory.
`fal_client.encode_file("clip.mp4")` makes a `video_url` of a file.

```python
import fal_client

result = fal_client.subscribe(
    "{id}",
    arguments={arguments},
    with_logs=True,
    on_queue_update=print,
)
print(result)
```

### JavaScript

Install the client with `npm install @fal-ai/client`. A `Blob` or `File` as `video_url` is uploaded first.

```js
import {{ fal }} from "@fal-ai/client";

fal.config({{ credentials: process.env.FAL_KEY, proxyUrl: {{ url: "{proxy}", when: "always" }} }});

const result = await fal.subscribe("{id}", {{
  input: {js_arguments},
  logs: true,
  onQueueUpdate: (update) => console.log(update.status),
}});
console.log(result.data);
```

## Further descriptions

- {page}/openapi.json: every route of this server, as OpenAPI 3.0
- {page}/api/openapi/queue/openapi.json?endpoint_id={id}: the queue
- {page}/platform/v1/models/pricing and {page}/platform/v1/models/usage: prices and usage
"""


def llms_text(base_url: PublicBaseUrl) -> str:
    """The text, with the addresses under which the caller reaches this server."""
    queue = base_url.url("", FalHost.QUEUE)
    page = base_url.url("")
    return _TEXT.format(
        id=ENDPOINT_ID,
        run=base_url.url(f"/{ENDPOINT_ID}", FalHost.SYNC),
        queue=f"{queue}/{ENDPOINT_ID}",
        job=f"{queue}/{ENDPOINT_ID}/requests/REQUEST_ID",
        page=page,
        proxy=f"{page}{PROXY_PATH}",
        tls_host=page.removeprefix("https://")
        if base_url.scheme == "https"
        else f"{base_url.host}:{_TLS_PORT}",
        body=json.dumps(dict(INPUT_EXAMPLE)),
        arguments=_json(INPUT_EXAMPLE, indent=4, outer=4),
        js_arguments=_json(INPUT_EXAMPLE, indent=2, outer=2),
        input_example=_json(INPUT_EXAMPLE),
        output_example=_json(OUTPUT_EXAMPLE),
        **_facts_of_schema(),
    )


@cache
def _facts_of_schema() -> Mapping[str, Any]:
    """The parts of the text that have no addresses."""
    _, shapes = component_schemas([Nemotron3NanoOmniVideoInput, Nemotron3NanoOmniVideoOutput])
    sent, answered = (
        shapes[model.__name__] for model in (Nemotron3NanoOmniVideoInput, Nemotron3NanoOmniVideoOutput)
    )
    return {
        "price": USD_PER_UNIT,
        "unit": TOKENS_PER_UNIT,
        "input": "\n".join(_fields(sent, shapes)),
        "output": "\n".join(_fields(answered, shapes)),
    }


def _json(example: Mapping[str, Any], *, indent: int = 2, outer: int = 0) -> str:
    """The example as JSON. outer: how far its lines after the first are moved to the right"""
    return json.dumps(dict(example), indent=indent).replace("\n", "\n" + " " * outer)


def _fields(shape: Shape, shapes: Mapping[str, Shape], indent: str = "") -> Iterator[str]:
    """A line for each field of an object, and below it the fields of the object in it."""
    required = shape.get("required", ())
    for name, field in shape["properties"].items():
        inner = shapes.get(_reference(field))
        facts = ", ".join(_facts(field, is_required=name in required))
        text = field.get("description") or (inner or {}).get("description", "")
        yield f"{indent}- `{name}` ({facts}){f': {text}' if text else ''}"
        if inner is not None:
            yield from _fields(inner, shapes, indent + "  ")


def _reference(field: Shape) -> str:
    """The name of the object that the field, or each item of it, holds; or ""."""
    (form, *_) = field.get("allOf", [field.get("items", field)])
    return str(form.get("$ref", "")).rpartition("/")[2]


def _facts(field: Shape, *, is_required: bool) -> Iterator[str]:
    items = f" of {field['items'].get('type', 'object')}" if field.get("type") == "array" else ""
    yield field.get("type", "object") + items
    yield "required" if is_required else "optional"
    if "enum" in field:
        yield " or ".join(f"`{word}`" for word in field["enum"])
    if "minimum" in field and "maximum" in field:
        below = "below " if field.get("exclusiveMaximum") else ""
        yield f"{_number(field['minimum'])} to {below}{_number(field['maximum'])}"
    if field.get("default") is not None:
        yield f"default `{json.dumps(field['default'])}`"


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
