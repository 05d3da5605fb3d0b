"""Uploads to a real server, request by request, as the JavaScript client and curl send them."""

import hashlib
import json
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from served import Server, make_clip

from omnireel.store.sqlite.database import connect

ID = "nvidia/nemotron-3-nano-omni/video"
KIB = 1024
MAX_FILE, MAX_STORED = 3000 * KIB, 5000 * KIB
PROXY = "/api/fal/proxy"
NAMED = {"content_type": "video/mp4", "file_name": "../../clip.mp4"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A server with small limits."""
    variables = {
        "OMNIREEL_MAX_UPLOAD_BYTES": str(MAX_FILE),
        "OMNIREEL_MAX_STORED_BYTES": str(MAX_STORED),
        "OMNIREEL_UPLOAD_OPEN_S": "4",
    }
    with Server(tmp_path_factory.mktemp("uploads"), **variables) as server:
        yield server


@pytest.fixture(scope="module")
def http(store):
    with httpx.Client(base_url=store.url, timeout=30, trust_env=False) as client:
        yield client


def initiate(http, way="initiate", **more):
    address = f"/rest/storage/upload/{way}?storage_type=fal-cdn-v3"
    answer = http.post(address, json=NAMED, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["upload_url"], answer.json()["file_url"]


def put(http, url, content, **more):
    return http.put(url, content=content, **more)


def upload(http, content=b"x", **headers):
    answer = http.post("/cdn/files/upload", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["access_url"]


def ask(http, url, **headers):
    return http.post(f"/sync/{ID}", json={"prompt": "hi", "video_url": url}, headers=headers)


def kind_of(answer):
    return answer.json()["detail"][0]["type"]


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def num_blobs(store):
    return len(list((store.folder / "uploads").iterdir()))


@pytest.mark.parametrize("way", ["prefix", "host", "proxy"])
def test_the_javascript_clients_upload_works_by_prefix_host_and_proxy(http, way):
    clip = make_clip()
    path, body = "/storage/upload/initiate?storage_type=fal-cdn-v3", NAMED
    if way == "prefix":
        answer = http.post(f"/rest{path}", json=body)
    elif way == "host":
        answer = http.post(path, json=body, headers={"host": "rest.fal.ai"})
    else:
        answer = http.post(PROXY, json=body, headers={"x-fal-target-url": f"https://rest.fal.ai{path}"})
    upload_url, file_url = answer.json()["upload_url"], answer.json()["file_url"]
    assert set(answer.json()) == {"upload_url", "file_url"}
    here = {"host": "rest.fal.ai"} if way == "host" else {}
    sent = upload_url.replace("http://rest.fal.ai", str(http.base_url).rstrip("/"))
    assert put(http, sent, clip, headers={"content-type": "video/mp4", **here}).status_code == 200
    assert ask(http, file_url, **here).json()["output"] == "echo: hi"


TYPES = {
    "video/mp4": ".mp4",
    "VIDEO/MP4; codecs=avc1": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/x-m4v": ".m4v",
    "image/gif": ".gif",
    "application/octet-stream": ".bin",
    "video/unheard-of": ".bin",
}


@pytest.mark.parametrize(("content_type", "suffix"), TYPES.items())
def test_a_file_without_a_name_gets_the_suffix_of_its_type(http, content_type, suffix):
    assert upload(http, **{"content-type": content_type}).endswith(suffix)
    answer = http.post("/rest/storage/upload/initiate", json={"content_type": content_type})
    assert answer.json()["file_url"].endswith(suffix)


def test_the_name_of_a_file_wins_over_its_type(http):
    assert upload(http, **{"content-type": "video/mp4", "x-fal-file-name": "a.MOV"}).endswith(".mov")


@pytest.mark.parametrize(
    ("flags", "suffix", "stored_type"),
    [
        (("-H", "content-type: video/mp4"), ".mp4", "video/mp4"),
        ((), ".bin", "application/octet-stream"),
        (("-H", "content-encoding;", "-H", "content-type: video/webm"), ".webm", "video/webm"),
    ],
)
def test_curl_uploads_with_the_type_that_it_is_given(http, tmp_path, flags, suffix, stored_type):
    path = tmp_path / "clip"
    path.write_bytes(make_clip())
    command = ["curl", "-s", *flags, "--data-binary", f"@{path}", f"{http.base_url}/cdn/files/upload"]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    assert (Path(answer["access_url"]).suffix, answer["content_type"]) == (suffix, stored_type)
    assert ask(http, answer["access_url"]).json()["output"] == "echo: hi"


def test_the_javascript_clients_upload_in_parts_works(http):
    """A part's address is the upload's with a number, and the last request lists the parts."""
    upload_url, file_url = initiate(http, "initiate-multipart")
    pieces = [os.urandom(300 * KIB), os.urandom(300 * KIB), os.urandom(7)]
    listed = []
    for number, piece in enumerate(pieces, 1):
        answer = put(http, f"{upload_url}/{number}", piece)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["etag"] == answer.json()["etag"]
        assert answer.json()["partNumber"] == number
        listed.append(answer.json())
    done = http.post(f"{upload_url}/complete", json={"parts": listed})
    assert done.status_code == 200
    assert http.get(file_url).content == b"".join(pieces)
    assert http.post(f"{upload_url}/complete", json={"parts": listed}).status_code == 200, "asked again"
    assert kind_of(put(http, f"{upload_url}/1", b"other")) == "upload_is_complete"


def test_parts_may_be_sent_in_any_order_and_again(http):
    upload_url, file_url = initiate(http, "initiate-multipart")
    etags = {}
    for number, piece in ((3, b"c"), (1, b"wrong"), (2, b"b"), (1, b"a")):
        etags[number] = put(http, f"{upload_url}/{number}", piece).headers["etag"]
    parts = [{"partNumber": number, "etag": etags[number]} for number in (2, 3, 1)]
    assert http.post(f"{upload_url}/complete", json={"parts": parts}).status_code == 200
    assert http.get(file_url).content == b"abc"


def test_parts_may_be_listed_without_number_and_etag(http):
    upload_url, file_url = initiate(http, "initiate-multipart")
    for number, piece in ((1, b"a"), (2, b"b")):
        put(http, f"{upload_url}/{number}", piece)
    assert http.post(f"{upload_url}/complete", json={"parts": [{}, {}]}).status_code == 200
    assert http.get(file_url).content == b"ab"


@pytest.mark.parametrize(
    ("numbers", "parts", "kind"),
    [
        ((1, 3), [1, 3], "part_missing"),
        ((1, 2), [1, 2, 3], "part_missing"),
        ((2,), [2], "part_missing"),
        ((), [], "part_missing"),
        ((1, 2), [1], "part_mismatch"),
        ((1, 2), [1, 1], "part_mismatch"),
        ((1, 2), [1, ("2", "a")], "part_invalid"),
        ((1, 2), [1, (2, "other")], "part_mismatch"),
    ],
)
def test_parts_that_make_no_file_are_refused_and_can_be_sent_again(http, numbers, parts, kind):
    upload_url, file_url = initiate(http, "initiate-multipart")
    etags = {
        number: put(http, f"{upload_url}/{number}", b"p%d" % number).headers["etag"] for number in numbers
    }
    listed = []
    for part in parts:
        number, etag = part if isinstance(part, tuple) else (part, etags.get(part, "x"))
        listed.append({"partNumber": number, "etag": etag})
    refused = http.post(f"{upload_url}/complete", json={"parts": listed})
    assert (refused.status_code, kind_of(refused)) == (400, kind)
    assert http.get(file_url).status_code == 404
    for number in (1, 2, 3):
        put(http, f"{upload_url}/{number}", b"p")
    assert http.post(f"{upload_url}/complete", json={"parts": [{}, {}, {}]}).status_code == 200


@pytest.mark.parametrize("number", ["0", "10001", "-1", "1.5", "x", "99999999999"])
def test_an_invalid_part_number_is_refused(http, number):
    upload_url, _ = initiate(http, "initiate-multipart")
    answer = put(http, f"{upload_url}/{number}", b"p")
    assert (answer.status_code, kind_of(answer)) == (400, "part_number_invalid")


def test_the_same_file_may_be_sent_twice_and_another_is_refused(http):
    upload_url, file_url = initiate(http)
    assert [put(http, upload_url, b"one").status_code for _ in range(2)] == [200, 200]
    for other in (b"two", b"longer"):
        assert kind_of(put(http, upload_url, other)) == "upload_is_complete"
    assert http.get(file_url).content == b"one"


def test_without_the_right_token_nothing_can_be_sent(http):
    upload_url, file_url = initiate(http)
    other_url, _ = initiate(http)
    token = other_url.rpartition("/")[2]
    another_end = "a" if upload_url[-1] != "a" else "b"
    for url in (
        upload_url[:-1] + another_end,
        f"{upload_url.rpartition('/')[0]}/{token}",
        f"{file_url}x/upload/{token}",
    ):
        answer = put(http, url, b"x")
        assert (answer.status_code, kind_of(answer)) == (404, "upload_not_found")
    assert http.get(file_url).status_code == 404


def test_an_upload_address_expires_and_its_parts_are_deleted(http, store):
    before = num_blobs(store)
    upload_url, _ = initiate(http, "initiate-multipart")
    assert put(http, f"{upload_url}/1", b"p").status_code == 200
    assert num_blobs(store) == before + 1
    wait_until(lambda: num_blobs(store) <= before)
    answer = put(http, f"{upload_url}/2", b"p")
    assert (answer.status_code, kind_of(answer)) == (404, "upload_not_found")
    assert http.post(f"{upload_url}/complete", json={"parts": [{}]}).status_code == 404


def test_an_interrupted_upload_leaves_no_file(http, store):
    before = num_blobs(store)
    upload_url, file_url = initiate(http, "initiate-multipart")

    def broken():
        yield bytes(1500 * KIB)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        http.put(f"{upload_url}/2", content=broken(), headers={"content-length": str(2000 * KIB)})
    wait_until(lambda: put(http, f"{upload_url}/1", bytes(1200 * KIB)).status_code == 200)  # its room is free
    wait_until(lambda: num_blobs(store) <= before + 1)
    assert http.get(file_url).status_code == 404
    assert http.post(f"{upload_url}/complete", json={"parts": [{}]}).status_code == 200


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_beyond_the_limit_is_refused_and_the_answer_arrives(http, store, announced):
    before = num_blobs(store)
    upload_url, _ = initiate(http)
    content = bytes(MAX_FILE + 1)
    answer = put(http, upload_url, content if announced else iter([content[: 1 << 20], content[1 << 20 :]]))
    assert (answer.status_code, kind_of(answer)) == (413, "file_too_large")
    assert answer.json()["detail"][0]["ctx"] == {"max_size": MAX_FILE}
    parts_url, _ = initiate(http, "initiate-multipart")
    assert put(http, f"{parts_url}/1", bytes(MAX_FILE - 10)).status_code == 200
    assert kind_of(put(http, f"{parts_url}/2", bytes(11))) == "file_too_large"
    put(http, f"{parts_url}/1", b"")
    wait_until(lambda: num_blobs(store) <= before + 1)


def test_stored_bytes_are_limited_until_files_expire(http, store):
    short = {"x-fal-object-lifecycle": '{"expiration_duration_seconds": 3}'}
    upload(http, bytes(2500 * KIB), **short)
    answer = http.post("/cdn/files/upload", content=bytes(2900 * KIB))
    assert (answer.status_code, kind_of(answer)) == (413, "quota_exceeded")
    wait_until(
        lambda: http.post("/cdn/files/upload", content=bytes(2900 * KIB), headers=short).status_code == 200
    )


def test_an_expired_file_is_deleted_but_stays_for_jobs_that_need_it(tmp_path):
    variables = {"OMNIREEL_MAX_RUNNING": "1", "OMNIREEL_ECHO_TOKEN_S": "0.7"}
    with Server(tmp_path, **variables) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        lifecycle = {"x-fal-object-lifecycle-preference": '{"expiration_duration_seconds": 1000}'}
        url = upload(http, make_clip(), **lifecycle)
        jobs = [http.post(f"/queue/{ID}", json={"prompt": "a b", "video_url": url}).json() for _ in range(2)]
        db = connect(tmp_path / "omnireel.db")
        [(left_s,)] = db.execute("SELECT expires_at - unixepoch() FROM uploads").fetchall()
        assert 900 < left_s <= 1001
        db.execute("UPDATE uploads SET expires_at = unixepoch()")
        db.close()
        wait_until(lambda: http.get(url).status_code == 404)
        wait_until(lambda: num_blobs(server) == 0)
        assert kind_of(ask(http, url)) == "file_download_error"
        for job in jobs:
            wait_until(lambda: http.get(job["status_url"]).json()["status"] == "COMPLETED")  # noqa: B023
            assert http.get(job["response_url"]).json()["output"] == "echo: a b"
        wait_until(lambda: list((tmp_path / "incoming").iterdir()) == [])


def test_a_stored_file_is_recognised_by_each_of_its_addresses(http):
    url = upload(http, make_clip())
    name = url.rpartition("/")[2]
    for address in (
        f"https://v3.fal.media/files/{name}",
        f"https://rest.fal.ai/cdn/files/{name}",
        f"{url}?x=1",
    ):
        assert ask(http, address).json()["output"] == "echo: hi", address
    assert ask(http, url, host="other.example").json()["output"] == "echo: hi", (
        "by the address that the upload returned"
    )


@pytest.mark.parametrize("origin", ["{here}/cdn", "https://v3.fal.media", "https://rest.fal.ai/cdn"])
def test_an_address_of_this_server_without_a_file_is_never_fetched(http, store, origin):
    started = time.monotonic()
    address = f"{origin.format(here=store.url)}/files/{'x' * 32}.mp4"
    answer = ask(http, address)
    assert (answer.status_code, kind_of(answer)) == (422, "file_download_error")
    assert "no such file" in answer.json()["detail"][0]["msg"]
    assert time.monotonic() - started < 10


def test_a_file_name_is_never_used_as_a_path(http, store):
    name = '../../etc/"x";\u00e9\n<b>.html'
    upload_url = http.post(
        "/rest/storage/upload/initiate", json={"file_name": name, "content_type": "text/html; charset=x"}
    ).json()
    put(http, upload_url["upload_url"], b"<script>")
    answer = http.get(upload_url["file_url"])
    assert upload_url["file_url"].endswith(".html")
    assert answer.headers["content-disposition"].startswith(
        "attachment; filename*=UTF-8''..%2F..%2Fetc%2F%22x"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert {path.name for path in store.folder.iterdir()} >= {"uploads", "incoming"}
    assert not (store.folder / "etc").exists()


def test_one_range_of_a_file_is_served(http):
    content = bytes(range(100))
    url = upload(http, content, **{"content-type": "video/mp4"})
    whole = http.get(url)
    assert whole.headers["accept-ranges"] == "bytes"
    etag = whole.headers["etag"]
    assert etag == f'"{hashlib.sha256(content).hexdigest()}"'
    for asked, start, end in (
        ("0-9", 0, 10),
        ("90-", 90, 100),
        ("-5", 95, 100),
        ("99-1000", 99, 100),
        ("-900", 0, 100),
    ):
        answer = http.get(url, headers={"range": f"bytes={asked}"})
        assert (answer.status_code, answer.content) == (206, content[start:end]), asked
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100"
    for asked in ("bytes=0-1,5-6", "bytes=9-3", "bytes=-", "lines=1-2", "bytes=" + "0-1," * 10_000):
        assert http.get(url, headers={"range": asked}).content == content, asked[:40]
    beyond = http.get(url, headers={"range": "bytes=100-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */100")
    changed = {"range": "bytes=0-1", "if-range": '"other"'}
    assert http.get(url, headers=changed).status_code == 200
    assert http.get(url, headers={"if-none-match": f'W/"a", {etag}'}).status_code == 304
    head = http.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "100", b"")


def open_blobs(server):
    """Paths of the uploaded files that the server has open."""
    paths = []
    for descriptor in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            paths.append(os.readlink(descriptor))
    return [path for path in paths if "/uploads/" in path]


def test_a_file_that_is_deleted_while_it_is_sent_is_sent_whole_and_closed(tmp_path):
    content = os.urandom(64 * 1024 * KIB)  # more than the sockets between server and client can hold
    with Server(tmp_path) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        url = upload(http, content)
        with http.stream("GET", url, headers={"range": "bytes=1-"}) as answer:
            pieces = answer.iter_bytes()
            received = next(pieces)
            assert open_blobs(server)
            for blob in (tmp_path / "uploads").iterdir():
                blob.unlink()
            assert received + b"".join(pieces) == content[1:]
        wait_until(lambda: not open_blobs(server))
        assert http.get(url).status_code == 404


def test_a_file_is_closed_if_its_reader_disconnects(tmp_path):
    with Server(tmp_path) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        url = upload(http, bytes(64 * 1024 * KIB))
        with http.stream("GET", url) as answer:
            next(answer.iter_bytes())
            assert open_blobs(server)
        wait_until(lambda: not open_blobs(server))


@pytest.mark.parametrize(
    "value",
    [
        "{",
        "[]",
        '{"expiration_duration_seconds": -1}',
        '{"expiration_duration_seconds": "1h"}',
        '{"expiration_duration_seconds": true}',
        '{"expiration_duration_seconds": 1e999}',
        '{"initial_acl": {"default": "allow"}}',
        '{"initial_acl": {"rules": [{"user": "ann", "decision": "allow"}]}}',
        '{"initial_acl": 5}',
        "[" * 5000,
    ],
)
def test_an_invalid_lifecycle_is_refused_on_uploads_and_requests(http, clip_uri, value):
    for answer in (
        http.post("/cdn/files/upload", content=b"x", headers={"x-fal-object-lifecycle": value}),
        ask(http, clip_uri, **{"x-fal-object-lifecycle-preference": value}),
        # The header is named first where the file is not stored either.
        ask(http, f"{http.base_url}/cdn/files/{'x' * 32}", **{"x-fal-object-lifecycle-preference": value}),
    ):
        assert answer.status_code == 400
        assert answer.json()["error_type"] == "bad_request"
        assert "x-fal-object-lifecycle" in answer.json()["detail"]


def test_a_browser_may_put_a_file(http):
    upload_url, _ = initiate(http)
    asked = {
        "origin": "https://page.example",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "content-type",
    }
    allowed = http.options(upload_url, headers=asked)
    assert allowed.status_code == 200
    assert "PUT" in allowed.headers["access-control-allow-methods"]
    sent = put(http, upload_url, b"x", headers={"origin": "https://page.example"})
    assert sent.headers["access-control-allow-origin"] == "*"
    assert "etag" in sent.headers["access-control-expose-headers"]


def test_the_log_keeps_no_token(http, store):
    upload_url, _ = initiate(http)
    put(http, upload_url, b"x")
    token = upload_url.rpartition("/")[2]
    wait_until(lambda: any(event.get("path", "").endswith("/upload/…") for event in store.log()))
    assert token not in store.log_path.read_text()
