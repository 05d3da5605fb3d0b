"""The playground as files over HTTP: headers, caching, size. tests/browser/ uses the page itself."""

import gzip
import re
import tomllib
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path

import pytest

from omnireel.api.fal.input import Nemotron3NanoOmniVideoInput
from omnireel.api.pages.playground import static_files
from omnireel.task import MediaOptions

ROOT = Path(__file__).parents[2]
STATIC = Path(static_files.__file__).parent / "static"
FILES = sorted(path.name for path in STATIC.iterdir())
SANDBOX = "sandbox; default-src 'none'"
MAX_FIRST_LOAD = 150_000
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".mp4": "video/mp4",
    ".html": "text/html",
}
LINK = re.compile(r'(?:src|href)="([^"#]+)"')


def policy_of(answer):
    return dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))


@pytest.mark.parametrize("path", ["/", "/playground/app.js", "/playground/page.css"])
def test_the_page_and_its_files_run_nothing_from_elsewhere(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    policy = policy_of(answer)
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert policy["trusted-types"] == "'none'"
    assert "sandbox" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers.get_list("content-security-policy") == [answer.headers["content-security-policy"]]


@pytest.mark.parametrize(
    "path", ["/health", "/openapi.json", "/llms.txt", "/nowhere", "/playground/nothing.js"]
)
def test_every_other_answer_keeps_its_sandbox(client, path):
    assert client.get(path).headers["content-security-policy"] == SANDBOX


def test_every_client_gets_the_page(client):
    for accept in ("application/json", "text/html", "*/*"):
        answer = client.get("/", headers={"accept": accept})
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.text.startswith("<!doctype html>")
    assert client.head("/").status_code == 200
    assert client.post("/").status_code == 405


def test_every_file_is_sent_with_its_type_and_is_in_the_wheel(client):
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"][
        "package-data"
    ]["omnireel"]
    for name in FILES:
        answer = client.get(f"/playground/{name}")
        assert answer.content == (STATIC / name).read_bytes()
        assert answer.headers["content-type"].partition(";")[0] == TYPES[Path(name).suffix]
        inside = (STATIC / name).relative_to(ROOT / "src" / "omnireel").as_posix()
        assert any(fnmatch(inside, pattern) for pattern in patterns)


@pytest.mark.parametrize(
    "name", ["nothing.js", "../page.py", "..%2fpage.py", "%2e%2e/page.py", ".", "app.js/x"]
)
def test_no_other_file_can_be_read(client, name):
    assert client.get(f"/playground/{name}").status_code == 404


def test_a_file_that_the_browser_has_is_not_sent_again(client):
    etag = client.get("/").headers["etag"]
    again = client.get("/", headers={"if-none-match": f'"other", W/{etag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert client.get("/", headers={"if-none-match": '"other"'}).status_code == 200


def test_text_is_compressed_for_clients_that_take_it(client):
    with client.stream("GET", "/", headers={"accept-encoding": "br, gzip;q=0.5"}) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in answer.headers["vary"]
    assert gzip.decompress(packed) == (STATIC / "index.html").read_bytes()
    for refused in ("identity", "gzip;q=0", "br"):
        assert "content-encoding" not in client.get("/", headers={"accept-encoding": refused}).headers


def test_the_first_load_is_small(client):
    """Everything that the page names is in the package; relative addresses work behind a path prefix."""
    page = client.get("/").text
    named = [link for link in LINK.findall(page) if link.startswith("playground/")]
    assert {link.removeprefix("playground/") for link in named} == {*FILES} - {"index.html", "sample.mp4"}
    total = 0
    for path in ("", *named):
        with client.stream("GET", f"/{path}", headers={"accept-encoding": "gzip"}) as answer:
            assert answer.status_code == 200
            total += len(b"".join(answer.iter_raw()))
    assert total < MAX_FIRST_LOAD


def test_the_page_has_no_code_or_style_inline_and_nothing_from_elsewhere(client):
    page = client.get("/").text
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:|https?://", page)


def test_no_script_makes_html_of_a_text():
    """Trusted types forbid it in the browser; this names the place where somebody tries."""
    ways = ("innerHTML", "outerHTML", "insertAdjacentHTML", r"document\.write", "createContextualFragment")
    pattern = "|".join((*ways, "DOMParser", r"\beval\(", "new Function"))
    for path in STATIC.glob("*.js"):
        assert not re.search(pattern, path.read_text("utf-8")), path.name


def test_the_scripts_stay_small():
    long = {
        path.name: n for path in STATIC.glob("*.*s") if (n := len(path.read_text("utf-8").splitlines())) > 500
    }
    assert long == {}


def test_the_document_names_the_limits_that_the_page_checks(client):
    limits = client.get("/openapi.json").json()["info"]["x-omnireel-limits"]
    assert limits == {"max_upload_bytes": 1024**3, "max_video_s": 120.0, "max_resolution": "1080p"}


def test_every_option_about_the_clip_has_its_place_and_name_and_changes_the_frames():
    """An inspection is shown again only for a question with the same options about the clip."""

    def names(script, start):
        text = (STATIC / script).read_text("utf-8").partition(start)[2].partition(";")[0]
        return set(re.findall(r"\b[a-z]+(?:_[a-z]+)*\b(?=:)|(?<=\")[a-z_]+(?=\"[,\]])", text))

    about_the_clip = {field.name for field in fields(MediaOptions)} - {"report_video"}
    assert names("fields.js", "const ABOUT_THE_CLIP =") == about_the_clip
    assert names("app.js", "const FRAME_FIELDS =") == about_the_clip
    elsewhere = names("fields.js", "const ELSEWHERE =")
    assert names("fields.js", "const LABELS =") == Nemotron3NanoOmniVideoInput.model_fields.keys() - elsewhere
