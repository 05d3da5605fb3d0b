"""Clips referred to as people write it, from outside: the hosted endpoint takes all of these."""

import base64
import tracemalloc
from pathlib import Path
from urllib.parse import quote, quote_from_bytes

import pytest
from served import make_clip

from omnireel.api.fal.storage.file_address import file_address

ID = "nvidia/nemotron-3-nano-omni/video"
CLIP = make_clip()
BASE64 = base64.b64encode(CLIP).decode()

DATA_URIS = {
    "folded": "data:video/mp4;base64,"
    + "\r\n".join(BASE64[at : at + 76] for at in range(0, len(BASE64), 76)),
    "blanks around": f"\n data:video/mp4;base64,{BASE64} \n",
    "percent-encoded base64": "data:video/mp4;base64," + quote(BASE64, safe=""),
    "URL-safe without padding": "data:video/mp4;base64,"
    + base64.urlsafe_b64encode(CLIP).decode().rstrip("="),
    "commas in codecs": "data:video/mp4;codecs=avc1.42E01E,mp4a.40.2;base64," + BASE64,
    "another media type": "data:application/x-anything;base64," + BASE64,
    "no media type": "data:;base64," + BASE64,
    "percent-encoded bytes": "data:video/mp4," + quote_from_bytes(CLIP, safe=""),
}


def ask(client, video_url, path="/sync"):
    return client.post(f"{path}/{ID}", json={"prompt": "hi", "video_url": video_url})


@pytest.mark.parametrize("uri", DATA_URIS.values(), ids=DATA_URIS)
def test_a_data_uri_is_answered_however_it_is_written(client, uri):
    answer = ask(client, uri)
    assert (answer.status_code, answer.json()["output"]) == (200, "echo: hi")


def test_a_job_keeps_the_clip_of_a_data_uri_that_is_written_unusually(client):
    submitted = ask(client, DATA_URIS["blanks around"], "/queue").json()
    with client.stream("GET", f"/queue/{ID}/requests/{submitted['request_id']}/status/stream") as stream:
        stream.read()
    assert client.get(submitted["response_url"]).json()["output"] == "echo: hi"


@pytest.mark.parametrize("written", [" {}", "{}\n", "\r\n\t{} ", "{}?a b", "{}#part\n"])
def test_an_uploaded_file_is_found_by_its_address_with_blanks(client, written):
    url = client.post("/cdn/files/upload", content=CLIP).json()["access_url"]
    assert ask(client, written.format(url)).json()["output"] == "echo: hi"


ID_32 = "0123456789abcdefghijABCDEFGHIJ-_"
ADDRESSES = {
    f"http://127.0.0.1:8000/cdn/files/{ID_32}.mp4": "http://127.0.0.1:8000",
    f"HTTPS://V3.fal.media/files/{ID_32}": "https://v3.fal.media",
    f"https://v3.fal.media:443/files/{ID_32}.mp4?x=/y#z": "https://v3.fal.media",
    f"http://[::1]:080/files/{ID_32}": "http://[::1]",
    f"http://[::1]:8000/a/b/files/{ID_32}": "http://[::1]:8000",
    f"http://host:/files/{ID_32}": "http://host",
    f"\n http://host/files/{ID_32[:16]}\r\n{ID_32[16:]} ": "http://host",
}
OTHERS = [
    f"http://host/file/{ID_32}",
    f"http://host/files/{ID_32}/more",
    f"http://host/files/{ID_32}x",
    f"http://me@host/files/{ID_32}",
    f"http://host:80:80/files/{ID_32}",
    f"http://host:x/files/{ID_32}",
    f"ftp://host/files/{ID_32}",
    f"http:///files/{ID_32}",
    f"//host/files/{ID_32}",
    f"http://host/files/{ID_32}?" + "x" * 9000,
    "data:video/mp4;base64,AAAA",
    "",
]


@pytest.mark.parametrize(("url", "origin"), ADDRESSES.items())
def test_the_address_of_a_stored_file_is_recognised(url, origin):
    assert file_address(url) == (origin, ID_32)


@pytest.mark.parametrize("url", OTHERS)
def test_another_address_is_not_taken_for_that_of_a_stored_file(url):
    assert file_address(url) is None


def test_a_data_uri_is_not_kept_in_memory_after_its_request():
    tracemalloc.start()
    try:
        for number in range(8):
            assert file_address(f"data:video/mp4;base64,{number}" + "A" * 4_000_000) is None
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_server_does_not_grow_with_the_clips_that_it_was_sent(server, client):
    def resident_mib():
        lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024

    sizes = []
    for number in range(24):
        assert ask(client, f"data:video/mp4;base64,{number:04}" + "A" * 2_000_000).status_code == 422
        sizes.append(resident_mib())
    assert sizes[-1] - sizes[3] < 16, sizes
