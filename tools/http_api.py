"""Write docs/http-api.md from the OpenAPI document: `python -m tools.http_api`."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from omnireel.api.app import create_app
from omnireel.backends.echo import EchoBackend
from omnireel.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "http-api.md"
GROUPS = {
    "/nvidia": "Run",
    "/sync": "Run",
    "/queue": "Queue",
    "/rest": "Upload addresses, tokens, public keys",
    "/cdn": "Files",
    "/platform": "Platform",
}
OTHER = "Pages of omnireel"
INTRO = """\
# HTTP API

Written by `python -m tools.http_api` from the document that `GET /openapi.json` answers. Do not edit it here.

Paths are shown with the prefix of their [fal host](clients.md#hosts). Requests to a server with `--auth keys`
need `Authorization: Key KEY_ID:KEY_SECRET`, except for a few pages that contain nothing about callers.
[Clients](clients.md#errors) explains the forms of errors.
"""

Document = Mapping[str, Any]


def main() -> None:
    """Write the page."""
    PAGE.write_text(page_of(openapi_document()), encoding="utf-8")


def openapi_document() -> Document:
    """The document that a server returns at /openapi.json."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(EchoBackend(), Settings(data_dir=Path(folder)))
        try:
            document: Document = TestClient(app).get("/openapi.json").json()
        finally:
            app.state.supervisor.store.close()
        return document


def page_of(document: Document) -> str:
    """The page as Markdown: routes by group, then the schemas of all bodies."""
    parts = [INTRO]
    for group, paths in _grouped(document["paths"]).items():
        parts.append(f"## {group}\n")
        routes = [(path, method) for path, methods in paths.items() for method in methods]
        parts += _routes(routes, document)
    parts.append("## Bodies\n")
    parts += [_body(name, schema) for name, schema in document["components"]["schemas"].items()]
    return "\n".join(parts)


def _grouped(paths: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {}
    for path, methods in paths.items():
        group = GROUPS.get("/" + path.split("/")[1], OTHER)
        groups.setdefault(group, {})[path] = methods
    return groups


def _routes(routes: Sequence[tuple[str, str]], document: Document) -> Iterator[str]:
    """A section for each route. A route that equals an earlier one only refers to it."""
    described: dict[str, str] = {}
    for path, method in routes:
        name, operation = f"`{method.upper()} {path}`", document["paths"][path][method]
        text = _route(operation)
        same = described.setdefault(text, name)
        yield f"### {name}\n\n" + (text if same == name else f"The same as {same}.\n")


def _route(operation: Document) -> str:
    texts = (operation.get("summary", ""), operation.get("description", ""))
    lines = [" ".join(_sentence(text) for text in texts if text), ""]
    if sent := operation.get("requestBody", {}).get("content"):
        forms = ", ".join(f"{_type(form['schema'])} (`{media}`)" for media, form in sent.items())
        lines += [f"Body: {forms}", ""]
    if parameters := operation.get("parameters"):
        lines += ["| Parameter | In | Type | Meaning |", "|---|---|---|---|"]
        lines += [_parameter_row(parameter) for parameter in parameters]
        lines.append("")
    lines += ["| Status | Body | Meaning |", "|---|---|---|"]
    lines += [_answer_row(status, answer) for status, answer in sorted(operation["responses"].items())]
    return "\n".join(lines) + "\n"


def _parameter_row(parameter: Document) -> str:
    name = f"`{parameter['name']}`" + (" (required)" if parameter.get("required") else "")
    cells = (name, parameter["in"], _type(parameter["schema"]), parameter.get("description", ""))
    return _row(*cells)


def _answer_row(status: str, answer: Document) -> str:
    forms = {_form(media, form) for media, form in answer.get("content", {}).items()}
    return _row(status, ", ".join(sorted(forms)), answer.get("description", ""))


def _form(media: str, form: Document) -> str:
    """The type of a response body: a JSON schema, or another media type."""
    return _type(form.get("schema", {})) if media == "application/json" else f"`{media}`"


def _body(name: str, schema: Document) -> str:
    lines = [f"### {name}\n"]
    if schema.get("description"):
        lines += [_sentence(schema["description"]), ""]
    if not schema.get("properties"):
        return "\n".join([*lines, f"Type: {_type(schema)}\n"])
    required = schema.get("required", ())
    lines += ["| Field | Type | Meaning |", "|---|---|---|"]
    for field, form in schema["properties"].items():
        shown = f"`{field}`" + (" (required)" if field in required else "")
        lines.append(_row(shown, _type(form), form.get("description", "")))
    return "\n".join(lines) + "\n"


def _type(schema: Document) -> str:
    """A short description of a schema: its type, its values, its range, its default."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for word in ("allOf", "anyOf", "oneOf"):
        if word in schema:
            forms = [_type(form) for form in schema[word] if form.get("type") != "null"]
            return " or ".join(dict.fromkeys(forms))
    return ", ".join(_facts(schema)) or "any JSON value"


def _facts(schema: Document) -> Iterator[str]:
    if "enum" in schema:
        yield " or ".join(f"`{value}`" for value in schema["enum"])
    elif schema.get("type") == "array":
        yield f"list of {_type(schema.get('items', {}))}"
    elif "type" in schema:
        yield str(schema["type"])
    if "minimum" in schema or "maximum" in schema:
        yield _range(schema)
    if schema.get("minLength"):
        yield f"at least {schema['minLength']} characters"
    if "maxLength" in schema:
        yield f"at most {schema['maxLength']} characters"
    if schema.get("default") is not None:
        yield f"default `{json.dumps(schema['default']).strip(chr(34))}`"


def _range(schema: Document) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above = "above" if schema.get("exclusiveMinimum") else "from"
    below = "below" if schema.get("exclusiveMaximum") else "to"
    ends = [] if low is None else [f"{above} {low}"]
    return " ".join(ends + ([] if high is None else [f"{below} {high}"]))


def _sentence(text: str) -> str:
    """`text` as one line that ends in a full stop."""
    line = " ".join(text.split())
    return line if not line or line.endswith(".") else f"{line}."


def _row(*cells: str) -> str:
    """One row of a table. Characters that Markdown would interpret are escaped."""
    texts = (" ".join(cell.split()).replace("|", "\\|").replace("<", "&lt;") for cell in cells)
    return "| " + " | ".join(texts) + " |"


if __name__ == "__main__":
    main()
