"""fal's own JavaScript client, unmodified, on Node, against a real server, in each way of directing it there."""

import json
import os
import subprocess
import time

import pytest
from javascript_client import FOLDER, install_client, node_path
from served import ENDPOINT_ID, Server, data_uri, make_clip

from omnireel.cli.serving.recipes import recipe
from omnireel.store.sqlite.database import connect

CASES = [
    "run", "queue", "subscribePolling", "subscribeStreaming", "streamStatus", "stream", "cancel",
    "clientTimeout", "abortedRun", "abortedStream", "missingField", "emptyBody", "badVideo",
    "missingFieldInStream", "unknownRequest", "unknownApplication", "resultTooEarly", "startTimeout",
    "uploads", "fileInInput",
]  # fmt: skip
MAX_RUNNING = 8
# cancel, clientTimeout, abortedRun, abortedStream, resultTooEarly, and those of startTimeout
NUM_CANCELLED = 5 + MAX_RUNNING
OUTPUT = "echo: grüße an alle"


@pytest.fixture(scope="session")
def node():
    """The path of Node, with the client installed from the lock file."""
    install_client()
    return node_path()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    variables = {"OMNIREEL_TLS": "dev", "OMNIREEL_TLS_PORT": "0", "OMNIREEL_ECHO_TOKEN_S": "0.1"}
    with Server(
        tmp_path_factory.mktemp("js client"), OMNIREEL_MAX_RUNNING=str(MAX_RUNNING), **variables
    ) as server:
        yield server


def run_node(node, server, *arguments):
    """The lines of JSON that a program prints."""
    environment = os.environ | {
        "URL_HTTP": server.url,
        "ENDPOINT": ENDPOINT_ID,
        "CLIP": data_uri(make_clip()),
        "MAX_RUNNING": str(MAX_RUNNING),
    }
    if server.tls_url is not None:
        environment |= {
            "URL_HTTPS": server.tls_url,
            "NODE_EXTRA_CA_CERTS": str(server.folder / "tls" / "ca.pem"),
        }
    ran = subprocess.run(
        [node, *arguments], cwd=FOLDER, env=environment, capture_output=True, timeout=500, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return [json.loads(line) for line in ran.stdout.splitlines()]


def run_cases(node, server, way, cases):
    """The result of each case."""
    lines = run_node(node, server, str(FOLDER / "conformance.mjs"), way, *cases)
    return {line["name"]: line for line in lines}


@pytest.mark.parametrize("is_https", [False, True], ids=["http", "https"])
def test_the_recipe_that_serve_prints_leads_to_the_server(node, server, is_https):
    printed = recipe(server.url, server.tls_url, server.folder / "tls" / "ca.pem")
    (config,) = [line for line in printed.splitlines() if "fal.config" in line]
    if is_https:
        config = config.replace(server.url, server.tls_url)
    program = f"""
        import {{ fal }} from "@fal-ai/client";
        {config}
        const input = {{ prompt: "grüße an alle", video_url: process.env.CLIP }};
        const ran = await fal.run(process.env.ENDPOINT, {{ input }});
        const subscribed = await fal.subscribe(process.env.ENDPOINT, {{ input }});
        console.log(JSON.stringify([ran.data.output, subscribed.data.output]));
    """
    assert run_node(node, server, "--input-type=module", "--eval", program) == [[OUTPUT, OUTPUT]]


def num_cancelled(server):
    store = connect(server.folder / "omnireel.db", reads_only=True)
    try:
        return store.execute("SELECT count(*) FROM jobs WHERE state = 'cancelled'").fetchall()[0][0]
    finally:
        store.close()


@pytest.fixture(scope="module", params=["middleware", "proxy", "tls"])
def ran(request, node, server):
    """The results of all cases in one way, and how many jobs were cancelled meanwhile."""
    before = num_cancelled(server)
    lines = run_cases(node, server, request.param, CASES)
    deadline = time.monotonic() + 10
    while num_cancelled(server) - before < NUM_CANCELLED and time.monotonic() < deadline:
        time.sleep(0.05)
    return lines | {"num_cancelled": {"name": "", "value": num_cancelled(server) - before}}


@pytest.fixture
def value(ran):
    """Returns the value of a case, which must not have raised an error."""

    def of(name):
        assert "error" not in ran[name], ran[name]
        return ran[name]["value"]

    return of


def test_run_answers_with_the_requests_id(value):
    result = value("run")
    assert result["data"]["output"] == OUTPUT
    assert result["requestId"]


def test_submit_then_status_and_result(value):
    found = value("queue")
    assert found["submitted"]["status"] in ("IN_QUEUE", "IN_PROGRESS")
    assert any("frames chosen" in line["message"] for line in found["status"]["logs"])
    assert found["result"]["data"]["output"] == OUTPUT
    assert found["result"]["requestId"] == found["submitted"]["request_id"]


@pytest.mark.parametrize("name", ["subscribePolling", "subscribeStreaming"])
def test_subscribe_reports_each_state_and_the_log_in_both_modes(value, name):
    found = value(name)
    assert found["result"]["data"]["output"] == OUTPUT
    assert found["result"]["requestId"] == found["enqueued"]
    words = [update["status"] for update in found["updates"]]
    assert set(words) <= {"IN_QUEUE", "IN_PROGRESS", "COMPLETED"}
    assert words[-1] == "COMPLETED"
    messages = [line["message"] for line in found["updates"][-1]["logs"]]
    assert len(messages) == len(set(messages)) >= 3


def test_the_status_stream_ends_with_the_job(value):
    assert value("streamStatus")[-1] == "COMPLETED"


def test_the_stream_grows_to_the_whole_result(value):
    found = value("stream")
    outputs = [event["output"] for event in found["events"]]
    assert outputs[:2] == ["echo:", "echo: grüße"]
    assert found["done"] == found["events"][-1]
    assert found["done"]["usage"]["output_tokens"] == 4
    assert found["requestId"]


def test_files_of_any_size_are_uploaded_whole(value):
    sizes = (1024, 5_000_000, 95_000_000)
    assert value("uploads") == [{"size": size, "isWhole": True} for size in sizes]


def test_a_file_in_the_input_is_uploaded_and_asked_about(value):
    assert value("fileInInput")["data"]["output"] == OUTPUT


def test_cancel_ends_a_running_request(value):
    found = value("cancel")
    assert found["status"]["error_type"] == "client_cancelled"
    assert (found["result"]["status"], found["again"]["status"]) == (499, 400)
    assert found["again"]["body"]["status"] == "ALREADY_COMPLETED"


def test_a_client_timeout_cancels_and_the_request_ends(value):
    found = value("clientTimeout")
    assert "timed out" in found["message"]
    assert found["status"]["error_type"] == "client_cancelled"


def test_aborting_ends_the_work(value):
    assert "abort" in value("abortedRun")["message"].lower()
    assert value("abortedStream")["output"] == "echo:"
    assert value("num_cancelled") == NUM_CANCELLED


@pytest.mark.parametrize("name", ["missingField", "emptyBody", "missingFieldInStream"])
def test_a_missing_field_is_a_validation_error_that_names_it(value, name):
    error = value(name)
    assert error["isValidationError"]
    assert (error["name"], error["status"]) == ("ValidationError", 422)
    assert error["fieldErrors"][0]["loc"][0] == "body"
    if name != "emptyBody":  # an empty body is not JSON, so no field can be named
        assert error["ofVideo"][0]["type"] == "missing"
    assert error["message"]
    assert error["requestId"]


def test_a_bad_video_is_the_models_own_error(value):
    error = value("badVideo")
    assert error["isValidationError"]
    assert error["ofVideo"][0]["type"] == "unsupported_video_format"


@pytest.mark.parametrize(
    ("name", "status"), [("unknownRequest", 404), ("unknownApplication", 404), ("resultTooEarly", 400)]
)
def test_other_refusals_are_api_errors_with_their_fields(value, name, status):
    error = value(name)
    assert error["isApiError"]
    assert not error["isValidationError"]
    assert error["status"] == status
    assert error["message"] == error["body"]["message"]
    assert error["requestId"]


def test_a_start_timeout_is_known_as_the_users_own(value):
    error = value("startTimeout")
    assert (error["status"], error["isUserTimeout"]) == (504, True)


@pytest.mark.timeout(600)
def test_two_hundred_requests_at_once_are_all_answered(node, tmp_path):
    with Server(tmp_path, OMNIREEL_MAX_REQUESTS="200") as server:
        results = run_cases(node, server, "middleware", ["parallel"])["parallel"]["value"]
    assert [output for output, _ in results] == [f"echo: number {number}" for number in range(200)]
    assert len({request_id for _, request_id in results}) == 200
