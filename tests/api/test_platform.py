"""The platform API and dry runs report what runs use and cost."""

import base64
import tempfile
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from keyed import caller, create_key
from served import Server

from omnireel.store.sqlite.database import connect

ID = "nvidia/nemotron-3-nano-omni/video"


@pytest.fixture(scope="module")
def keyed():
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), OMNIREEL_AUTH="keys") as server:
        yield server


@pytest.fixture(scope="module")
def ann(keyed, clip_uri):
    """Ann's client, after three answers and one error."""
    with caller(keyed.url, create_key(keyed.folder, account="ann")) as client:
        for prompt in ("one", "one two", "one two three"):
            assert client.post(f"/{ID}", json={"prompt": prompt, "video_url": clip_uri}).status_code == 200
        failed = {"prompt": "x", "video_url": "data:video/mp4;base64,AAAA"}
        assert client.post(f"/{ID}", json=failed).status_code == 422
        yield client


@pytest.fixture(scope="module")
def bob(keyed, clip_uri):
    """Bob's client, after one answer."""
    with caller(keyed.url, create_key(keyed.folder, account="bob")) as client:
        client.post(f"/{ID}", json={"prompt": "mine", "video_url": clip_uri})
        yield client


@pytest.fixture(scope="module")
def admin(keyed, ann, bob):
    with caller(keyed.url, create_key(keyed.folder, account="boss", is_admin=True)) as client:
        yield client


def ledger(folder, *owners):
    with closing(connect(folder / "omnireel.db", reads_only=True)) as db:
        return sum(row[1] for row in db.execute("SELECT owner, amount_micro FROM ledger") if row[0] in owners)


def get(client, path, **query):
    answer = client.get(f"/platform/v1/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def pages(client, path, name, **query):
    """All items of a list, read two at a time."""
    items, cursor = [], {}
    while True:
        page = get(client, path, limit=2, **query, **cursor)
        items += page[name]
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            return items
        cursor = {"cursor": page["next_cursor"]}


def test_usage_and_charges_add_up_to_the_ledger(keyed, ann, admin):
    for client, owners in ((ann, ["ann"]), (admin, ["ann", "bob"])):
        due = ledger(keyed.folder, *owners) / 1e6
        assert due > 0
        used = get(client, "models/usage", expand="time_series,summary")
        (total,) = used["summary"]
        assert total["cost_total"] == pytest.approx(due)
        assert total["quantity"] * total["unit_price"] == pytest.approx(due)
        parts = [row["cost_total"] for bucket in used["time_series"] for row in bucket["results"]]
        assert sum(parts) == pytest.approx(due)
        events = pages(client, "models/billing-events", "billing_events")
        assert sum(event["cost_total"] for event in events) == pytest.approx(due)
        assert sum(event["cost_estimate_nano_usd"] for event in events) == round(due * 1e9)
        assert len({event["request_id"] for event in events}) == len(events)
    assert get(ann, "models/usage", start="2020-01-01", end="2020-02-01")["time_series"] == []


def test_requests_are_listed_for_their_owner_only(ann, bob, admin):
    path = "models/requests/by-endpoint"
    hers = pages(ann, path, "items")
    assert [item["status_code"] for item in hers] == [422, 200, 200, 200]
    assert len(pages(admin, path, "items")) == 5
    assert [item["status_code"] for item in get(ann, path, status="user_error")["items"]] == [422]
    assert len(pages(ann, path, "items", sort_by="duration")) == 4
    (mine,) = get(bob, path, expand="payloads")["items"]
    assert mine["json_input"]["prompt"] == "mine"
    assert mine["json_output"]["output"] == "echo: mine"
    assert get(ann, path, request_id=mine["request_id"])["items"] == []


def test_a_listed_request_has_the_fields_it_was_sent_with(bob, clip_uri):
    body = {"prompt": "all of it", "video_url": clip_uri, "temperature": 0.7, "system_prompt": None, "max_frames": 2,
            "enable_safety_checker": False, "unknown": {"a": [1]}}  # fmt: skip
    job_id = bob.post(f"/{ID}", json=body).headers["x-fal-request-id"]
    (item,) = get(bob, "models/requests/by-endpoint", request_id=job_id, expand="payloads")["items"]
    del body["video_url"]
    assert item["json_input"].pop("video_url").endswith(f"({len(clip_uri)} characters)")
    assert item["json_input"] == body


def test_dropped_payloads_are_gone_and_the_charge_stays(keyed, bob, ann, clip_uri):
    before = ledger(keyed.folder, "bob")
    answer = bob.post(f"/{ID}", json={"prompt": "delete me", "video_url": clip_uri})
    job_id = answer.headers["x-fal-request-id"]
    path = f"/platform/v1/models/requests/{job_id}/payloads"
    assert ann.delete(path).status_code == 404
    assert bob.delete(path).json()["deleted"]
    (item,) = get(bob, "models/requests/by-endpoint", request_id=job_id, expand="payloads")["items"]
    assert (item["json_input"], item["json_output"]) == (None, None)
    assert bob.get(f"/queue/nvidia/nemotron-3-nano-omni/requests/{job_id}").status_code == 404
    assert ledger(keyed.folder, "bob") > before


def test_models_and_prices(ann):
    (model,) = get(ann, "models", q="nemotron video", expand="openapi-3.0")["models"]
    assert model["endpoint_id"] == ID
    assert model["openapi"]["paths"]
    assert get(ann, "models", q="weather")["models"] == []
    assert get(ann, "models", endpoint_id="a/b")["models"] == []
    (price,) = get(ann, "models/pricing", endpoint_id=ID)["prices"]
    assert price == {"endpoint_id": ID, "unit_price": 0.006, "unit": "1000 tokens", "currency": "USD"}
    target = {"x-fal-target-url": f"https://api.fal.ai/v1/models/pricing?endpoint_id={ID}"}
    assert ann.get("/api/fal/proxy", headers=target).json()["prices"] == [price]
    target = {"x-fal-target-url": "https://api.fal.ai/models/pricing"}
    assert ann.get("/api/fal/proxy", headers=target).json()["prices"] == [price]
    assert ann.get("/v1/models/pricing", headers={"host": "api.fal.ai"}).json()["prices"] == [price]
    assert get(ann, "meta") == {"webhook_ip_ranges": []}


def test_prices_are_estimated_by_unit_and_by_history(keyed, ann):
    def total(kind, **asked):
        body = {"estimate_type": kind, "endpoints": {ID: asked}}
        return ann.post("/platform/v1/models/pricing/estimate", json=body).json()["total_cost"]

    assert total("unit_price", unit_quantity=2.5) == pytest.approx(0.015)
    assert total("historical_api_price", call_quantity=6) == pytest.approx(
        2 * ledger(keyed.folder, "ann") / 1e6
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "models?limit=0", 400, "validation_error"),
        ("GET", "models/pricing?endpoint_id=a/b", 400, "validation_error"),
        ("GET", "models/usage?start=yesterday", 400, "validation_error"),
        ("GET", "models/usage?start=2026-01-02&end=2026-01-01", 400, "validation_error"),
        ("GET", "models/usage?timeframe=decade", 400, "validation_error"),
        ("GET", "models/usage?timezone=CET", 400, "validation_error"),
        ("GET", "models/usage?bound_to_timeframe=true", 400, "validation_error"),
        ("GET", "models/usage?bound_to_timeframe=banana", 400, "validation_error"),
        ("GET", "models/billing-events?cursor=xyz", 400, "validation_error"),
        ("GET", "models/requests/by-endpoint?cursor=WzEsICJhIl0=", 400, "validation_error"),
        ("GET", "models/requests/by-endpoint?status=lost", 400, "validation_error"),
        ("POST", "models/pricing/estimate", 400, "validation_error"),
        ("DELETE", "models/requests/nothing/payloads", 404, "not_found"),
        ("GET", "nowhere", 404, "not_found"),
        ("PUT", "models", 405, "bad_request"),
    ],
)
def test_errors_have_the_platforms_own_shape(ann, method, path, status, kind):
    answer = ann.request(method, f"/platform/v1/{path}")
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["type"] == kind
    assert error["message"]
    assert error["request_id"] == answer.headers["x-fal-request-id"]


@pytest.mark.parametrize(
    "cursor",
    [
        '[99999999999999999999999, "a"]',
        "[-9223372036854775809, 1]",
        "[1.0, 9223372036854775808]",
        '[NaN, "a"]',
        '[1.0, "\\ud800"]',
        "[" * 9000,
        "{}",
        "1",
    ],
    ids=lambda cursor: cursor[:12],
)
@pytest.mark.parametrize("path", ["models/billing-events", "models/requests/by-endpoint"])
def test_an_invalid_cursor_is_refused(ann, path, cursor):
    sent = base64.urlsafe_b64encode(cursor.encode()).decode()
    answer = ann.get(f"/platform/v1/{path}", params={"cursor": sent})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "validation_error"
    assert answer.json()["error"]["message"] == "Invalid cursor."


def test_a_period_is_used_as_it_is_sent(ann):
    assert get(ann, "models/usage", bound_to_timeframe="false") == get(ann, "models/usage")


def test_an_internal_error_has_the_platforms_own_shape_and_is_logged(tmp_path):
    with Server(tmp_path) as server:
        with closing(connect(tmp_path / "omnireel.db")) as db:
            db.execute("ALTER TABLE ledger RENAME TO lost")
        answer = httpx.get(f"{server.url}/platform/v1/models/usage", trust_env=False)
        (line,) = [line for line in server.log() if line["event"] == "internal error"]
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert (error["type"], error["message"]) == ("internal_server_error", "Internal Server Error")
    assert error["request_id"] == answer.headers["x-fal-request-id"] == line["request_id"]
    assert "ledger" not in answer.text


def test_the_path_v1_belongs_to_no_fal_host(ann):
    answer = ann.get("/v1/models")
    assert (answer.status_code, answer.json()["detail"]) == (404, 'Application "v1/models" not found')


def test_without_a_key_the_platform_refuses_in_its_own_shape(keyed):
    answer = httpx.get(f"{keyed.url}/platform/v1/models", trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "unauthorized"


def test_an_estimate_is_what_the_run_then_uses_and_costs_nothing(keyed, bob, clip_uri):
    before = ledger(keyed.folder, "bob")
    body = {"prompt": "one two three four", "video_url": clip_uri, "max_tokens": 3, "fps": 2.0}
    for path in (f"/{ID}/estimate", f"/sync/{ID}/estimate"):
        answer = bob.post(path, json=body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-fal-billable-units"] == "0"
    estimate = answer.json()
    assert ledger(keyed.folder, "bob") == before
    run = bob.post(f"/{ID}", json=body).json()
    assert estimate["usage"]["input_tokens"] == run["usage"]["input_tokens"]
    assert estimate["usage"]["max_output_tokens"] == 3
    assert estimate["video"]["frame_times_s"] == pytest.approx(run["video"]["frame_times_s"])
    assert estimate["max_price_usd"] == pytest.approx((ledger(keyed.folder, "bob") - before) / 1e6)


def test_an_estimate_refuses_what_the_run_would(bob, clip_uri):
    for changed in (
        {"video_url": "data:video/mp4;base64,AAAA"},
        {"video_url": "https://127.0.0.1/a"},
        {"fps": 0},
    ):
        body = {"prompt": "x", "video_url": clip_uri} | changed
        estimate, run = bob.post(f"/{ID}/estimate", json=body), bob.post(f"/{ID}", json=body)
        assert estimate.status_code == run.status_code == 422
        assert estimate.json() == run.json()


def test_the_endpoint_is_described_in_plain_text(keyed):
    answer = httpx.get(f"{keyed.url}/models/{ID}/llms.txt", trust_env=False)
    assert answer.headers["content-type"].startswith("text/plain")
    assert "- `max_tokens` (integer, optional, 1 to 20000, default `1024`)" in answer.text
    assert "- `video_url` (string, required)" in answer.text
    assert answer.text == httpx.get(f"{keyed.url}/llms.txt", trust_env=False).text
