"""What an application of fal's SDK takes is taken here, except for the differences that docs/clients.md lists.

The SDK's answers are recorded, so this needs no SDK; `make test-fal` compares the record with the SDK first.
"""

import asyncio
import re
import tempfile
from collections import Counter
from pathlib import Path

import httpx
import pytest
from fal_sdk.sent import OUTCOMES, REQUESTS, body_of, content_type_of, read_lines

from omnireel.api.app import create_app
from omnireel.backends.echo import EchoBackend
from omnireel.errors import InputError
from omnireel.net.urls import parse_url
from omnireel.settings import Settings
from omnireel.storage.media import fetch_policy, fetch_video

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
PATH = "/queue/nvidia/nemotron-3-nano-omni/video"
# Taken by the SDK and refused here, by the tag of the request: status, and type of the problem.
REFUSED_HERE = {
    "duplicate key": {(422, "duplicate_key")},
    "not finite": {(422, "finite_number")},
    "lone surrogate": {(422, "invalid_encoding")},
    "encoded surrogate": {(400, "invalid_encoding")},
    "NUL character": {(422, "invalid_encoding")},
    "deep nesting": {(400, "json_invalid")},
    "many values": {(400, "json_invalid")},
    "not data": {(422, "invalid_data_uri")},
    "own rule": {(422, "needs_think"), (422, "needs_reasoning_budget"), (422, "greater_than")},
}
# Refused by the SDK and taken here.
TAKEN_HERE = {"null"}
# Refused by both, with another status or type.
REFUSED_OTHERWISE = {"not finite", "not Unicode"}
# Taken by both when they are sent; the job fails here, because the address policy refuses them.
FAILS_LATER = {"no address"}

AT_ONCE = 64

SENT = read_lines(REQUESTS)
RECORDED = read_lines(OUTCOMES)


async def answer_to(client, request):
    """The status, and loc and type of each problem."""
    kind = content_type_of(request)
    headers = {} if kind is None else {"content-type": kind}
    answer = await client.post(PATH, content=body_of(request), headers=headers)
    problems = [] if answer.status_code == 200 else answer.json()["detail"]
    return answer.status_code, [[item["loc"], item["type"]] for item in problems]


async def answers(folder):
    """Our answer to each request. Many are sent at once, because the store writes a group of jobs in one commit."""
    settings = Settings(data_dir=folder, max_queued=len(SENT))
    app = create_app(EchoBackend(), settings)  # its worker is never started, so no job is run
    found = []
    try:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            for first in range(0, len(SENT), AT_ONCE):
                asked = [answer_to(client, request) for request in SENT[first : first + AT_ONCE]]
                found += await asyncio.gather(*asked)
    finally:
        app.state.supervisor.store.close()
    return found


@pytest.fixture(scope="module")
def compared():
    """Each request, the SDK's recorded answer and ours."""
    assert [request["name"] for request in SENT] == [outcome["name"] for outcome in RECORDED]
    with tempfile.TemporaryDirectory() as folder:
        return list(zip(SENT, RECORDED, asyncio.run(answers(Path(folder))), strict=True))


def test_there_are_hundreds_of_requests_of_both_kinds():
    taken = Counter(outcome["status"] == 200 for outcome in RECORDED)
    assert taken[True] >= 400
    assert taken[False] >= 400
    assert len({request["name"] for request in SENT}) == len(SENT)


def test_nothing_that_the_sdk_takes_is_refused_except_for_named_differences(compared):
    refused, tags = [], set()
    for request, recorded, (status, problems) in compared:
        if recorded["status"] != 200 or status == 200:
            continue
        tag = request.get("tag")
        tags.add(tag)
        if not {(status, kind) for _, kind in problems} <= REFUSED_HERE.get(tag, set()):
            refused.append((request["name"], status, problems))
    assert refused == []
    assert tags == set(REFUSED_HERE), "every named difference exists"


def test_what_both_refuse_has_the_same_status_locations_and_types(compared):
    other, tags = [], set()
    for request, recorded, (status, problems) in compared:
        if recorded["status"] == 200 or status == 200:
            continue
        if (recorded["status"], recorded["detail"]) != (status, problems):
            tags.add(request.get("tag"))
            if request.get("tag") not in REFUSED_OTHERWISE:
                other.append((request["name"], recorded, status, problems))
    assert other == []
    assert tags == REFUSED_OTHERWISE


def test_only_null_for_an_optional_field_is_taken_here_alone(compared):
    tags = {
        request.get("tag")
        for request, recorded, (status, _) in compared
        if recorded["status"] != 200 and status == 200
    }
    assert tags == TAKEN_HERE


def addresses(tag):
    """The addresses in the requests about `video_url` that have this tag."""
    for request, recorded in zip(SENT, RECORDED, strict=True):
        if request["name"].startswith("video: ") and request.get("tag") == tag:
            assert recorded["status"] == 200
            address = httpx.Response(200, content=body_of(request)).json()["video_url"]
            if not address.strip().lower().startswith("data:"):
                yield address


def test_every_spelling_of_a_web_address_that_is_taken_can_be_fetched():
    found = [parse_url(address) for address in addresses(None)]
    assert len(found) >= 12


def test_an_address_that_the_policy_refuses_is_taken_and_fails_in_its_job(tmp_path):
    policy = fetch_policy(Settings(data_dir=tmp_path))

    async def fetch(address):
        async with fetch_video(address, policy):
            pass

    for address in addresses("no address"):
        with pytest.raises(InputError) as raised:
            asyncio.run(fetch(address))
        assert raised.value.kind == "file_download_error"


def test_the_page_names_every_difference():
    section = PAGE.read_text("utf-8").partition("## Where it differs")[2].partition("\n## ")[0]
    named = re.findall(r"^\| (?!What is sent|---)([^|]+?) \|", section, re.MULTILINE)
    assert set(named) == {*REFUSED_HERE, *TAKEN_HERE, *REFUSED_OTHERWISE, *FAILS_LATER}
    assert len(named) == len(set(named))
