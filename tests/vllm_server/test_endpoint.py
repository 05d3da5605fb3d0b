"""`omnireel serve` in front of a real vLLM, asked over HTTP."""

import json
import time

import httpx
import pytest
from served import ENDPOINT_ID, Server, data_uri

LONG = 3000  # takes many seconds


class Fronted(Server):
    """`omnireel serve --backend vllm`."""

    backend = "vllm"


@pytest.fixture(scope="session")
def endpoint(server, checkpoint, tmp_path_factory):
    """The address of the endpoint."""
    settings = {"OMNIREEL_UPSTREAM": server.url, "OMNIREEL_MODEL": str(checkpoint)}
    with Fronted(tmp_path_factory.mktemp("omnireel"), **settings) as fronted:
        yield f"{fronted.url}/sync/{ENDPOINT_ID}"


@pytest.fixture
def make_body(clips):
    def make(max_tokens):
        url = data_uri(clips["with sound"].read_bytes())
        return {"prompt": "What moves?", "video_url": url, "temperature": 0, "max_tokens": max_tokens}

    return make


def test_an_answer_has_vllms_counts(endpoint, make_body, clips, counter):
    from tiny import make_task

    reply = httpx.post(endpoint, json=make_body(20), timeout=120)
    assert reply.status_code == 200, reply.text
    clip = clips["with sound"]
    counted = counter.inspect(make_task(clip), [clip]).input_tokens
    assert reply.json()["usage"] == {"input_tokens": counted, "output_tokens": 20}
    assert (reply.json()["finish_reason"], len(reply.json()["output"])) == ("length", 20)


def test_a_closed_stream_ends_the_request_in_vllm(endpoint, make_body, server):
    before = server.metric("vllm:generation_tokens_total")
    with httpx.stream("POST", f"{endpoint}/stream", json=make_body(LONG), timeout=120) as reply:
        lines = (line for line in reply.iter_lines() if line.startswith("data:"))
        outputs = (json.loads(line.removeprefix("data:")).get("output") for line in lines)
        assert next(output for output in outputs if output)
    end_s = time.monotonic() + 60
    while server.metric("vllm:num_requests_running"):
        assert time.monotonic() < end_s
        time.sleep(0.1)
    assert server.metric("vllm:generation_tokens_total") - before < LONG
