"""The pages that the hosted service has for each model: the queue's OpenAPI document, and the text for models."""

import copy
import re
import subprocess

import httpx
import pytest
import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.definitions import OPENAPI_30_VALIDATOR
from served import ENDPOINT_ID, Server

from omnireel.api.fal.input import Nemotron3NanoOmniVideoInput, parse_input
from omnireel.api.pages.descriptions import MODEL_PAGE_TARGET

PAGE = "/api/openapi/queue/openapi.json"
MODEL = f"/models/{ENDPOINT_ID}"
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


def document_of(client, **headers):
    answer = client.get(PAGE, params={"endpoint_id": ENDPOINT_ID}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def document(client):
    return document_of(client)


def test_the_queue_document_is_openapi_3_0(document):
    checked = copy.deepcopy(document)
    # The one thing that is fal's own and not OpenAPI's: a hint for its web page.
    given = checked["components"]["schemas"]["Nemotron3NanoOmniVideoInput"]["properties"]
    assert given["video_url"].pop("ui") == {"field": "video"}
    assert [error.message for error in OPENAPI_30_VALIDATOR.iter_errors(checked)] == []


def test_the_queue_document_has_the_shape_of_the_hosted_one(document, client):
    info = document["info"]
    assert (document["openapi"], info["version"]) == ("3.0.4", "1.0.0")
    assert info["title"] == f"Queue OpenAPI for {ENDPOINT_ID}"
    home = str(client.base_url).rstrip("/")
    assert info["x-fal-metadata"] == {
        "endpointId": ENDPOINT_ID,
        "category": "video-to-text",
        "playgroundUrl": f"{home}{MODEL}",
        "documentationUrl": f"{home}{MODEL}/api",
    }
    assert document["servers"] == [{"url": f"{home}/queue"}]
    scheme = document["components"]["securitySchemes"]["apiKeyAuth"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "Authorization")
    job = f"/{ENDPOINT_ID}/requests/{{request_id}}"
    methods = {path: list(operations) for path, operations in document["paths"].items()}
    assert methods == {
        f"/{ENDPOINT_ID}": ["post"],
        f"{job}/status": ["get"],
        f"{job}/cancel": ["put"],
        job: ["get"],
    }
    logs = next(p for p in document["paths"][f"{job}/status"]["get"]["parameters"] if p["name"] == "logs")
    assert (logs["in"], logs["required"], logs["schema"]) == ("query", False, {"type": "number"})


def test_input_and_output_have_examples_that_are_valid(document):
    schemas = document["components"]["schemas"]
    given = schemas["Nemotron3NanoOmniVideoInput"]
    assert given["x-fal-order-properties"] == list(Nemotron3NanoOmniVideoInput.model_fields)
    assert parse_input(given["example"]).video_url.startswith("https://")
    assert given["properties"]["prompt"]["example"] == given["example"]["prompt"]
    answer = schemas["Nemotron3NanoOmniVideoOutput"]
    assert answer["example"].keys() == {"output", "finish_reason", "usage"}


@pytest.mark.parametrize(
    ("host", "queue", "page"),
    [
        ("queue.video.example", "http://queue.video.example", "http://queue.video.example"),
        ("fal.ai", "http://fal.ai/queue", "http://fal.ai"),
        ("video.example:9000", "http://video.example:9000/queue", "http://video.example:9000"),
    ],
)
def test_addresses_are_those_that_the_caller_used(client, host, queue, page):
    found = document_of(client, host=host)
    assert found["servers"] == [{"url": queue}]
    assert found["info"]["x-fal-metadata"]["playgroundUrl"] == f"{page}{MODEL}"
    text = client.get(f"{MODEL}/llms.txt", headers={"host": host}).text
    assert f"{queue}/{ENDPOINT_ID}" in text
    assert f"{page}/openapi.json" in text


@pytest.mark.parametrize(
    ("query", "status", "kind", "words"),
    [
        ("", 400, "bad_request", "The query needs endpoint_id"),
        ("?endpoint_id=", 400, "bad_request", "The query needs endpoint_id"),
        ("?endpoint_id=fal-ai/flux", 404, "not_found", 'Application "fal-ai/flux" not found'),
        ("?endpoint_id=" + "x" * 5000, 404, "not_found", "not found"),
    ],
)
def test_an_endpoint_that_is_not_here_is_a_typed_error(client, query, status, kind, words):
    answer = client.get(PAGE + query)
    assert answer.status_code == status
    assert answer.json()["error_type"] == answer.headers["x-fal-error-type"] == kind
    assert words in answer.json()["detail"]
    assert len(answer.text) < 2000


def test_the_document_needs_no_key(tmp_path):
    with Server(tmp_path, OMNIREEL_AUTH="keys") as server, httpx.Client(trust_env=False) as client:
        for path in (f"{PAGE}?endpoint_id={ENDPOINT_ID}", f"{MODEL}/llms.txt"):
            assert client.get(server.url + path).status_code == 200
        assert client.get(server.url + MODEL).status_code == 307


def test_who_follows_the_document_gets_what_it_says(document, clip_uri):
    """Submission, status, result and cancellation, called as the document describes them."""
    config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
    schema = schemathesis.openapi.from_dict(document, config=config)
    (url,) = [server["url"] for server in document["servers"]]
    job = f"/{ENDPOINT_ID}/requests/{{request_id}}"
    body = document["components"]["schemas"]["Nemotron3NanoOmniVideoInput"]["example"]

    def call(path, method, **parts):
        case = schema[path][method].Case(headers={"authorization": "Key any:key"}, **parts)
        answer = case.call(base_url=url)
        case.validate_response(answer, checks=CHECKS)
        return answer

    def submit():
        content = body | {"video_url": clip_uri}
        answer = call(f"/{ENDPOINT_ID}", "POST", body=content, media_type="application/json")
        return {"request_id": answer.json()["request_id"]}

    submitted = submit()
    status = {"status": ""}
    while status["status"] != "COMPLETED":
        status = call(f"{job}/status", "GET", path_parameters=submitted, query={"logs": 1}).json()
    assert status["logs"]
    result = call(job, "GET", path_parameters=submitted)
    assert (result.status_code, result.json()["output"]) == (200, f"echo: {body['prompt']}")
    late = call(f"{job}/cancel", "PUT", path_parameters=submitted)
    assert (late.status_code, late.json()["status"]) == (400, "ALREADY_COMPLETED")
    unknown = call(f"{job}/status", "GET", path_parameters={"request_id": "none"})
    assert unknown.status_code == 404


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/", f"{MODEL}/api", f"{MODEL}/api/"])
def test_the_pages_about_the_model_lead_to_one_that_describes_it(client, path):
    answer = client.get(path, headers={"host": "video.example"})
    assert answer.status_code == 307
    assert answer.headers["location"] == f"http://video.example{MODEL_PAGE_TARGET}"
    assert client.get(MODEL_PAGE_TARGET).status_code == 200


def test_the_text_names_every_field_with_its_type_default_and_range(client):
    text = client.get(f"{MODEL}/llms.txt").text
    for line in (
        "- `prompt` (string, required): ",
        '- `reasoning_mode` (string, optional, `think` or `no_think`, default `"no_think"`): ',
        "- `max_tokens` (integer, optional, 1 to 20000, default `1024`): ",
        "- `enable_safety_checker` (boolean, optional, default `true`): ",
        "- `seed` (integer, optional, -1 to 9223372036854775807): ",
        "- `usage` (object, required): ",
        "  - `input_tokens` (integer, required): ",
    ):
        assert f"\n{line}" in text
    assert all(f"- `{name}` (" in text for name in Nemotron3NanoOmniVideoInput.model_fields)


@pytest.mark.parametrize("path", ["estimate", "inspect"])
def test_the_text_names_the_dry_runs(client, clip_uri, path):
    (url,) = re.findall(rf"POST (\S+/{path})\n", client.get(f"{MODEL}/llms.txt").text)
    assert client.post(url, json={"prompt": "?", "video_url": clip_uri}).status_code == 200


def test_the_curl_example_of_the_text_works(client, clip_uri):
    text = client.get(f"{MODEL}/llms.txt").text
    (example,) = re.findall(r"```bash\n(curl .*?)```", text, re.DOTALL)
    command, number = re.subn(r"https://storage\.googleapis[^\"]*", lambda _: clip_uri, example)
    assert number == 1
    ran = subprocess.run(
        ["bash", "-c", command],
        env={"FAL_KEY": "any:key", "no_proxy": "*", "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert '"output":"echo: What is moving, and which way?"' in ran.stdout
