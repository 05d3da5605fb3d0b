"""The OpenAPI document: it has every route, and the server keeps to it."""

import fuzz
import pytest
from served import ENDPOINT_ID

from omnireel.api.app import create_app
from omnireel.backends.echo import EchoBackend
from omnireel.settings import Settings

APP_ID = ENDPOINT_ID.rpartition("/")[0]


def canonical(path: str) -> str:
    """The spelling that the document has of a route."""
    if path != f"/sync/{ENDPOINT_ID}":
        path = path.removeprefix("/sync")
    return path.replace(f"/queue/{ENDPOINT_ID}/requests", f"/queue/{APP_ID}/requests")


def test_every_route_is_in_the_document_and_nothing_else(tmp_path, client):
    app = create_app(EchoBackend(), Settings(data_dir=tmp_path))
    routes = {
        (canonical(route.path), method.lower())
        for route in app.routes
        for method in route.methods - {"HEAD"}
        if not route.path.endswith("/")
    }
    paths = client.get("/openapi.json").json()["paths"]
    documented = {(path, method) for path, operations in paths.items() for method in operations}
    assert documented - {(f"/{ENDPOINT_ID}", "post")} == routes


def test_every_operation_has_a_name_of_its_own(client):
    paths = client.get("/openapi.json").json()["paths"]
    names = [operation["operationId"] for operations in paths.values() for operation in operations.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("with_keys", "num_cases"), [(False, 100), (True, 50)], ids=["open", "keys"])
def test_answers_are_what_the_document_says(with_keys, num_cases):
    sent = fuzz.run(num_cases, seed=1, with_keys=with_keys)
    assert [fault for tally in sent.tallies.values() for fault in tally.faults] == []
    assert sum(tally.num_cases for tally in sent.tallies.values()) == num_cases
    assert all(tally.num_cases for tally in sent.tallies.values())
