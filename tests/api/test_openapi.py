"""The OpenAPI document has every route, and responses match it."""

import fuzz
import pytest
from served import ENDPOINT_ID

from omnireel.api.app import create_app
from omnireel.backends.echo import EchoBackend
from omnireel.settings import Settings

APP_ID = ENDPOINT_ID.rpartition("/")[0]


# The order of the hosted endpoint's page, and the field that only its JavaScript types have.
OFFICIAL = ["prompt", "system_prompt", "reasoning_mode", "max_tokens", "temperature", "top_p", "video_url"]
OFFICIAL += ["enable_safety_checker"]


def canonical(path: str) -> str:
    """The path under which the document lists a route."""
    if path != f"/sync/{ENDPOINT_ID}":
        path = path.removeprefix("/sync")
    return path.replace(f"/queue/{ENDPOINT_ID}/requests", f"/queue/{APP_ID}/requests")


def test_every_route_is_in_the_document_and_nothing_else(tmp_path, client):
    app = create_app(EchoBackend(), Settings(data_dir=tmp_path))
    routes = {
        (canonical(route.path), method.lower())
        for route in app.routes
        for method in route.methods - {"HEAD"}
        if route.path == "/" or not route.path.endswith("/")
    }
    paths = client.get("/openapi.json").json()["paths"]
    documented = {(path, method) for path, operations in paths.items() for method in operations}
    assert documented - {(f"/{ENDPOINT_ID}", "post")} == routes


def test_every_operation_has_a_name_of_its_own(client):
    paths = client.get("/openapi.json").json()["paths"]
    names = [operation["operationId"] for operations in paths.values() for operation in operations.values()]
    assert len(set(names)) == len(names)


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def every_schema(value):
    """All objects in a JSON value, itself included."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from every_schema(inner)


def test_schemas_are_those_of_openapi_3_0(document):
    schemas = document["components"]["schemas"]
    for schema in every_schema(schemas):
        assert "const" not in schema
        assert "$defs" not in schema
        assert schema.get("type") != "null"
        assert isinstance(schema.get("exclusiveMinimum", True), bool)
        assert isinstance(schema.get("exclusiveMaximum", True), bool)
    for schema in every_schema(document):
        if "$ref" in schema:
            assert schema["$ref"].removeprefix("#/components/schemas/") in schemas


def test_only_fields_that_may_be_null_are_nullable(document):
    schemas = document["components"]["schemas"]
    assert "nullable" not in schemas["QueueStatus"]["properties"]["error"]
    assert "error" not in schemas["QueueStatus"]["required"]
    assert schemas["Prices"]["properties"]["next_cursor"]["nullable"]
    assert "next_cursor" in schemas["Prices"]["required"]


def test_fields_and_paths_have_fals_order_and_the_video_has_its_own_widget(document):
    given = document["components"]["schemas"]["Nemotron3NanoOmniVideoInput"]
    assert given["x-fal-order-properties"][:8] == OFFICIAL
    assert list(given["properties"]) == given["x-fal-order-properties"]
    assert given["properties"]["reasoning_mode"]["enum"] == ["think", "no_think"]
    assert set(given["x-fal-order-properties"]) == set(given["properties"])
    assert given["properties"]["video_url"]["ui"] == {"field": "video"}
    assert document["x-fal-order-paths"] == list(document["paths"])
    assert document["x-fal-order-paths"][0] == f"/{ENDPOINT_ID}"


def test_every_operation_says_whether_it_needs_a_key(document):
    needed = {
        operation["operationId"]: "401" in operation["responses"]
        for operations in document["paths"].values()
        for operation in operations.values()
        if ("401" in operation["responses"]) == ("security" not in operation)
    }
    assert len(needed) == sum(map(len, document["paths"].values()))
    assert not any(needed[name] for name in ("health", "openapi", "llms", "jwks", "putFile", "putPart"))
    assert all(needed[name] for name in ("run", "submit", "usage", "token", "upload", "file"))


@pytest.mark.parametrize(("with_keys", "num_cases"), [(False, 100), (True, 50)], ids=["open", "keys"])
def test_responses_match_the_document(with_keys, num_cases):
    sent = fuzz.run(num_cases, seed=1, with_keys=with_keys)
    assert [fault for tally in sent.tallies.values() for fault in tally.faults] == []
    assert sum(tally.num_cases for tally in sent.tallies.values()) == num_cases
    assert all(tally.num_cases for tally in sent.tallies.values())
