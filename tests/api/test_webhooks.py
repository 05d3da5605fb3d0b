"""Webhooks of a real server to a real receiver, and the commands for them."""

import json
import subprocess
import sys
import time

import httpx
import pytest
from receiver import Receiver, is_standard, sample
from served import Server

ID = "nvidia/nemotron-3-nano-omni/video"
APP = "nvidia/nemotron-3-nano-omni"
JWKS = "/.well-known/jwks.json"


@pytest.fixture(scope="module")
def receiver():
    """A receiver that fails once and then accepts everything."""
    with Receiver(500, 200) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def sending(receiver, tmp_path_factory):
    """A server that may call the receiver."""
    with Server(tmp_path_factory.mktemp("sending"), **receiver.admitted) as server:
        yield server


@pytest.fixture
def body(clip_uri):
    return {"prompt": "grüße an alle", "video_url": clip_uri}


def submit(server, body, url, status=200):
    answer = httpx.post(
        f"{server.url}/queue/{ID}", params={"fal_webhook": url}, json=body, trust_env=False, timeout=30
    )
    assert answer.status_code == status, answer.text
    return answer.json()


def webhooks(server, *arguments):
    command = [sys.executable, "-c", "import omnireel.cli; omnireel.cli.main()", "webhooks", *arguments]
    ran = subprocess.run(
        [*command, "--data-dir", str(server.folder)],
        capture_output=True, text=True, cwd=server.folder, timeout=120, check=False,
    )  # fmt: skip
    return ran.returncode, ran.stdout, ran.stderr


def log_of(server, request_id, num_attempts):
    """What `webhooks list` shows of a request, once it has had so many attempts."""
    for _ in range(20):
        code, out, _ = webhooks(server, "list", request_id, "--json")
        assert code == 0
        (found,) = json.loads(out)["webhooks"]
        if len(found["attempts"]) >= num_attempts:
            return found
    raise AssertionError(found)


def test_an_answer_is_sent_with_a_signature_until_it_is_accepted(sending, receiver, body):
    submitted = submit(sending, body, receiver.url)
    first, second = receiver.wait_for(2)[:2]
    assert first.body == second.body
    sent = json.loads(first.body)
    result = httpx.get(submitted["response_url"], trust_env=False)
    assert sent["request_id"] == sent["gateway_request_id"] == submitted["request_id"]
    assert (sent["status"], sent["payload"]) == ("OK", result.json())
    assert sent["metrics"]["billable_units"] == float(result.headers["x-fal-billable-units"])
    assert sent["metrics"]["cost_usd"] == pytest.approx(0.006 * sent["metrics"]["billable_units"])
    assert first.headers["content-type"] == "application/json"
    assert first.headers["x-fal-webhook-request-id"] == submitted["request_id"]
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(first.headers["webhook-timestamp"]) < int(second.headers["webhook-timestamp"])
    published = httpx.get(sending.url + JWKS, trust_env=False)
    assert httpx.get(f"{sending.url}/rest{JWKS}", trust_env=False).json() == published.json()
    keys = sample("keys_of")(published.json())
    for call in (first, second):
        assert sample("is_genuine")(call.headers, call.body, keys)
        assert is_standard(call, bytes(keys[0]))
    assert [one["status"] for one in log_of(sending, submitted["request_id"], 2)["attempts"]] == [500, 200]


def test_a_failure_is_sent_with_the_models_own_error_and_may_be_replayed(sending, receiver, body):
    submit(sending, body, receiver.url)  # the receiver may fail at its first call, and accepts the next ones
    receiver.wait_for(1)
    before = len(receiver.calls)
    failing = submit(sending, body | {"video_url": "data:video/mp4;base64,AAAA"}, receiver.url)
    ours = []
    for number in (1, 2):
        while len(ours) < number:
            receiver.wait_for(before + 1)
            ours = [call for call in receiver.calls if failing["request_id"] in call.headers["webhook-id"]]
            time.sleep(0.01)
        if number == 1:
            log_of(sending, failing["request_id"], 1)
            code, out, _ = webhooks(sending, "replay", failing["request_id"], "--json")
            assert (code, json.loads(out)) == (0, {"replayed": [failing["request_id"]]})
    sent = json.loads(ours[0].body)
    assert (sent["status"], sent["error"]) == ("ERROR", "Invalid status code: 422")
    assert sent["payload"]["detail"][0]["type"] == "unsupported_video_format"
    assert sent["metrics"] == {"billable_units": 0, "cost_usd": 0}
    assert ours[0].body == ours[1].body
    assert log_of(sending, failing["request_id"], 2)["state"] == "delivered"


@pytest.mark.parametrize(
    "url",
    [
        "https://10.1.2.3/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest",
        "http://public.example/", "https://public.example:8443/", "ftp://public.example/", "here", "",
        "https://ann:secret@public.example/", "https://2130706433/", "https://public.example/" + "x" * 8192,
    ],
)  # fmt: skip
def test_an_address_that_is_never_allowed_is_refused_at_submission(server, body, url):
    problem = submit(server, body, url, status=422)["detail"][0]
    assert (problem["loc"], problem["type"]) == (["query", "fal_webhook"], "url_not_allowed")


@pytest.mark.parametrize("path", [f"/{ID}", f"/sync/{ID}", f"/{ID}/stream"])
def test_an_attached_request_cannot_have_a_webhook(client, body, path):
    answer = client.post(path, params={"fal_webhook": "https://public.example/"}, json=body)
    assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")


def test_webhooks_of_a_killed_server_are_sent_by_the_next_one(tmp_path, body):
    """The first server cannot sign, so it is killed between the end of the job and the webhook."""
    keys = tmp_path / "webhook-keys.json"
    keys.mkdir()
    with Receiver() as receiver:
        with Server(tmp_path, **receiver.admitted) as server:
            submitted = submit(server, body, receiver.url)
            while not any(event["event"] == "webhooks are held back" for event in server.log()):
                time.sleep(0.02)
            server.process.kill()
        assert receiver.calls == []
        keys.rmdir()
        with Server(tmp_path, **receiver.admitted) as server:
            (call,) = receiver.wait_for(1)
            assert json.loads(call.body)["request_id"] == submitted["request_id"]
            assert log_of(server, submitted["request_id"], 1)["state"] == "delivered"
            assert server.stop() == 0
        assert len(receiver.calls) == 1


def test_the_commands_say_what_is_wrong(sending, tmp_path):
    code, _, error = webhooks(sending, "replay", "nobody")
    assert (code, "There is no webhook of a request 'nobody'" in error) == (1, True)
    code, _, error = webhooks(sending, "replay")
    assert (code, "a request id, or --given-up" in error) == (2, True)
    code, out, _ = webhooks(sending, "replay", "--given-up")
    assert (code, out.strip()) == (0, "No webhook was given up.")
    code, _, error = webhooks(sending, "list", "--state", "lost")
    assert (code, "--state is 'lost'" in error) == (2, True)


def test_a_new_key_is_published_at_once_by_a_running_server(sending):
    before = httpx.get(sending.url + JWKS, trust_env=False).json()["keys"]
    code, out, _ = webhooks(sending, "rotate", "--json")
    after = httpx.get(sending.url + JWKS, trust_env=False).json()["keys"]
    assert code == 0
    assert [key["kid"] for key in json.loads(out)["keys"]] == [key["kid"] for key in after]
    assert after[: len(before)] == before
    assert len(after) == len(before) + 1


def test_the_document_names_the_webhook(client):
    document = client.get("/openapi.json").json()
    parameters = {item["name"]: item for item in document["paths"][f"/queue/{ID}"]["post"]["parameters"]}
    webhook = parameters["fal_webhook"]
    assert (webhook["in"], webhook["required"]) == ("query", False)
    assert JWKS in document["paths"]


def test_the_log_of_a_request_without_a_webhook_is_an_error(sending):
    code, out, err = webhooks(sending, "list", "nope")
    assert (code, out) == (1, "")
    assert "There is no webhook of a request 'nope'" in err
