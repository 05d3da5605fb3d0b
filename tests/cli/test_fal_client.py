"""fal's own Python client, unmodified, against a real server: queue, stream and their async versions."""

import json
import os
import re
import ssl
import subprocess
import sys
import textwrap

import httpx
import pytest
from receiver import Receiver, sample
from served import Server, data_uri, fal_client_environment, make_clip

ID = "nvidia/nemotron-3-nano-omni/video"
HEAD = """
import asyncio, json, sys, time
import fal_client
ID, CLIP = sys.argv[1:]
ASK = {"prompt": "hello there", "video_url": CLIP}
LONG = {"prompt": "w " * 200, "video_url": CLIP}
def show(value): print(json.dumps(value))
"""


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def server(tmp_path_factory, receiver):
    variables = {"OMNIREEL_TLS": "dev", "OMNIREEL_TLS_PORT": "0", "OMNIREEL_ECHO_TOKEN_S": "0.1"}
    variables |= receiver.admitted
    with Server(tmp_path_factory.mktemp("fal client"), **variables) as server:
        yield server


@pytest.fixture(scope="module")
def program(server):
    """Runs a program that uses the client as `serve` recommends. Returns the values that it shows."""
    return program_of(server)


def program_of(server):
    clip = data_uri(make_clip())

    def run(source, timeout=120):
        command = [sys.executable, "-c", HEAD + textwrap.dedent(source), ID, clip]
        environment = fal_client_environment(server)
        ran = subprocess.run(command, env=environment, capture_output=True, timeout=timeout, check=False)
        assert ran.returncode == 0, ran.stderr.decode()
        return [json.loads(line) for line in ran.stdout.splitlines()]

    return run


def test_submit_then_status_and_result(program):
    kinds, output, again = program("""
        handle = fal_client.submit(ID, arguments=ASK, priority="low", hint="h")
        kinds = {type(event).__name__ for event in handle.iter_events(with_logs=True)}
        show(sorted(kinds))
        show(handle.get()["output"])
        show(fal_client.result(ID, handle.request_id)["output"])
    """)
    assert "Completed" in kinds
    assert output == again == "echo: hello there"


def test_a_webhook_has_the_result_that_the_client_gets(program, receiver, server):
    request_id, result = program(f"""
        handle = fal_client.submit(ID, arguments=ASK, webhook_url={receiver.url!r})
        show(handle.request_id)
        show(handle.get())
    """)
    (call,) = receiver.wait_for(1)
    sent = json.loads(call.body)
    assert (sent["request_id"], sent["status"], sent["payload"]) == (request_id, "OK", result)
    keys = httpx.get(f"{server.url}/rest/.well-known/jwks.json", trust_env=False).json()
    assert sample("is_genuine")(call.headers, call.body, sample("keys_of")(keys))


def test_subscribe_reports_the_log(program):
    messages, output = program("""
        messages = []
        def update(status):
            messages.extend(line["message"] for line in getattr(status, "logs", None) or [])
        result = fal_client.subscribe(ID, arguments=ASK, with_logs=True, on_queue_update=update)
        show(sorted(set(messages)))
        show(result["output"])
    """)
    assert any("frames chosen" in message for message in messages)
    assert output == "echo: hello there"


def test_a_client_timeout_cancels_and_the_request_ends(program):
    raised, ended = program("""
        try:
            fal_client.subscribe(ID, arguments=LONG, client_timeout=2)
            show("no error")
        except fal_client.client.FalClientTimeoutError as error:
            show(type(error).__name__)
            request_id = error.request_id
        while not isinstance(status := fal_client.status(ID, request_id), fal_client.Completed):
            time.sleep(0.1)
        show(status.error_type)
    """)
    assert (raised, ended) == ("FalClientTimeoutError", "client_cancelled")


def test_cancel_ends_a_running_request(program):
    status, kind = program("""
        handle = fal_client.submit(ID, arguments=LONG)
        while not isinstance(handle.status(), fal_client.InProgress):
            time.sleep(0.05)
        handle.cancel()
        try:
            handle.get()
        except fal_client.client.FalClientHTTPError as error:
            show(error.status_code)
            show(error.error_type)
    """)
    assert (status, kind) == (499, "client_cancelled")


def test_a_failed_request_raises_the_models_own_error(program):
    (found,) = program("""
        try:
            fal_client.subscribe(ID, arguments=ASK | {"video_url": "data:video/mp4;base64,AAAA"})
        except fal_client.client.FalClientHTTPError as error:
            units = error.response_headers["x-fal-billable-units"]
            show([error.status_code, error.message[0]["type"], units])
    """)
    assert found == [422, "unsupported_video_format", "0"]


def test_the_stream_grows_to_the_whole_result(program):
    (events,) = program("""
        show(list(fal_client.stream(ID, arguments=ASK)))
    """)
    assert [event["output"] for event in events[:3]] == ["echo:", "echo: hello", "echo: hello there"]
    assert events[-1]["usage"]["output_tokens"] == 3


def test_the_async_client_does_the_same(program):
    ran, subscribed, streamed = program("""
        async def main():
            client = fal_client.AsyncClient()
            show((await client.run(ID, arguments=ASK))["output"])
            show((await client.subscribe(ID, arguments=ASK))["output"])
            show([event["output"] async for event in client.stream(ID, arguments=ASK)][-1])
        asyncio.run(main())
    """)
    assert ran == subscribed == streamed == "echo: hello there"


@pytest.mark.timeout(600)
def test_two_hundred_requests_at_once_are_all_answered(tmp_path):
    """Half are attached requests, half are queued."""
    variables = {"OMNIREEL_TLS": "dev", "OMNIREEL_TLS_PORT": "0", "OMNIREEL_MAX_REQUESTS": "200"}
    with Server(tmp_path, **variables) as server:
        (outputs,) = program_of(server)(
            """
            async def main():
                client = fal_client.AsyncClient()
                async def call(number):
                    ask = {"prompt": f"number {number}", "video_url": CLIP}
                    method = client.run if number % 2 else client.subscribe
                    return (await method(ID, arguments=ask))["output"]
                show(await asyncio.gather(*map(call, range(200))))
            asyncio.run(main())
            """,
            timeout=500,
        )
    assert outputs == [f"echo: number {number}" for number in range(200)]


def test_the_client_submits_where_the_queue_document_says(program, server):
    """The client's own address is the one that a server's document has, and takes the example in it."""
    ca = str(server.folder / "tls" / "ca.pem")
    with httpx.Client(base_url=server.tls_url, verify=ssl.create_default_context(cafile=ca)) as client:
        page = f"/api/openapi/queue/openapi.json?endpoint_id={ID}"
        document = client.get(page).json()
    example = document["components"]["schemas"]["Nemotron3NanoOmniVideoInput"]["example"]
    used, output = program(f"""
        show(fal_client.client.QUEUE_URL_FORMAT + ID)
        handle = fal_client.submit(ID, arguments={example!r} | {{"video_url": CLIP}})
        show(handle.get()["output"])
    """)
    path = next(path for path, methods in document["paths"].items() if "post" in methods)
    assert used == document["servers"][0]["url"] + path
    assert output == f"echo: {example['prompt']}"


def test_the_python_example_of_the_text_for_models_runs(server, tmp_path):
    ca = str(server.folder / "tls" / "ca.pem")
    with httpx.Client(base_url=server.tls_url, verify=ssl.create_default_context(cafile=ca)) as client:
        text = client.get(f"/models/{ID}/llms.txt").text
    (variables,) = re.findall(r"```bash\n(export .*?)```", text, re.DOTALL)
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    source, number = re.subn(r"https://storage\.googleapis[^\"]*", lambda _: data_uri(make_clip()), example)
    assert number == 1
    (tmp_path / "example.py").write_text(source)
    given = {"PATH": os.environ["PATH"], "SSL_CERT_FILE": ca, "FAL_KEY": "any:key", "no_proxy": "*"}
    command = f"{variables}{sys.executable} example.py"
    ran = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=given,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "'output': 'echo: What is moving, and which way?'" in ran.stdout
