"""`omnireel pull` against a server that looks like the hub: cut lines, wrong bytes, gates and small disks."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from clips import ClipSpec, write_clip

from omnireel.cli.pull import _check_room
from omnireel.errors import OmnireelError
from tools.scaled_checkpoint import Sizes, write_checkpoint

ID = "nvidia/tiny-omni"
COMMIT = "a" * 40


class Hub(ThreadingHTTPServer):
    """One model's files.

    cuts:  how often a large file's answer ends in its middle
    wrong: how often a large file's bytes are others
    """

    daemon_threads = True

    def __init__(self, files, *, cuts=0, wrong=0, is_gated=False):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.cuts, self.wrong, self.is_gated = files, cuts, wrong, is_gated
        self.asked = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """No line per request."""

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, *, with_body):
        hub, path = self.server, self.path.partition("?")[0]
        hub.asked.append((self.command, self.path, self.headers.get("Range")))
        if hub.is_gated and "resolve" in path:
            self._send(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        elif path.startswith(f"/api/models/{ID}"):
            self._send(200, json.dumps(self._info()).encode(), {"Content-Type": "application/json"})
        elif match := re.fullmatch(rf"/{ID}/resolve/[^/]+/(.+)", path):
            self._file(match[1], with_body=with_body)
        else:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _info(self):
        siblings = []
        for name, content in self.server.files.items():
            sibling = {"rfilename": name, "size": len(content), "blobId": "b" * 40}
            if name.endswith((".safetensors", ".bin")):
                digest = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        return {
            "_id": "1", "id": ID, "modelId": ID, "sha": COMMIT, "private": False, "tags": [], "downloads": 0,
            "likes": 0, "siblings": siblings, "cardData": {"license": "nvidia-open-model-license"},
        }  # fmt: skip

    def _file(self, name, *, with_body):
        hub, content = self.server, self.server.files[name]
        is_large = name.endswith(".safetensors")
        etag = hashlib.sha256(content).hexdigest() if is_large else hashlib.sha1(content).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if is_large:
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        start = int((self.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
        status = 206 if start else 200
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if with_body and is_large and hub.wrong:
            hub.wrong -= 1
            body = bytes(len(body))
        self._send(status, body, headers, with_body=with_body, cuts=with_body and is_large)

    def _send(self, status, body, headers, *, with_body=True, cuts=False):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not with_body or self.command == "HEAD":
            return
        if cuts and self.server.cuts:
            self.server.cuts -= 1
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(body)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A small checkpoint, and what must not be downloaded."""
    directory = tmp_path_factory.mktemp("hub")
    write_checkpoint(directory, Sizes(num_shards=2))
    found = {path.name: path.read_bytes() for path in directory.iterdir()}
    return found | {"modeling.py": b"import os", "pytorch_model.bin": b"pickle", "LICENSE": b"words"}


def pull(hub, data_dir, *flags):
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(data_dir / "hf"),
    }
    command = [sys.executable, "-c", "import omnireel.cli; omnireel.cli.main()", "pull", ID]
    return subprocess.run(
        [*command, "--data-dir", str(data_dir / "data"), *flags],
        capture_output=True, text=True, env=environment, check=False, timeout=120,
    )  # fmt: skip


def pulled(data_dir):
    return data_dir / "data" / "models" / "nvidia--tiny-omni"


def test_a_model_is_pulled_whole_and_found_by_its_name(files, tmp_path):
    hub = Hub(files)
    done = pull(hub, tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["model"], told["directory"]) == (ID, str(pulled(tmp_path)))
    assert "licence: nvidia-open-model-license" in done.stderr
    here = {path.name: path.read_bytes() for path in pulled(tmp_path).iterdir()}
    assert here == {
        name: content for name, content in files.items() if name not in ("modeling.py", "pytorch_model.bin")
    }
    doctor = [
        sys.executable,
        "-c",
        "import omnireel.cli; omnireel.cli.main()",
        "doctor",
        "--json",
        "--port",
        "0",
    ]
    found = subprocess.run(
        [*doctor, "--data-dir", str(tmp_path / "data"), "--model", ID], capture_output=True, check=False
    )
    assert found.returncode == 0


def test_nothing_is_asked_for_a_second_time(files, tmp_path):
    hub = Hub(files)
    assert pull(hub, tmp_path).returncode == 0
    num_asked = len(hub.asked)
    assert pull(hub, tmp_path).returncode == 0
    assert len(hub.asked) == num_asked


def test_a_line_that_is_cut_in_the_middle_is_gone_on_with(tmp_path):
    write_checkpoint(tmp_path / "large", Sizes(vocab_size=60_000, num_shards=1))
    files = {path.name: path.read_bytes() for path in (tmp_path / "large").iterdir()}
    hub = Hub(files, cuts=1)
    done = pull(hub, tmp_path)
    if done.returncode:  # the hub's client gave up: our own second run resumes
        done = pull(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert any(range_ and not range_.startswith("bytes=0-") for _, _, range_ in hub.asked)
    name = "model-00001-of-00001.safetensors"
    assert (pulled(tmp_path) / name).read_bytes() == files[name]


def test_bytes_that_are_wrong_once_are_asked_for_again(files, tmp_path):
    hub = Hub(files, wrong=1)
    assert pull(hub, tmp_path).returncode == 0
    name = "model-00001-of-00002.safetensors"
    assert (pulled(tmp_path) / name).read_bytes() == files[name]


def test_bytes_that_stay_wrong_are_an_error_and_no_model(files, tmp_path):
    done = pull(Hub(files, wrong=99), tmp_path)
    assert done.returncode == 1
    assert "checksum" in done.stderr
    assert not pulled(tmp_path).exists()


def test_a_gated_model_is_said_to_be(files, tmp_path):
    done = pull(Hub(files, is_gated=True), tmp_path)
    assert done.returncode == 1
    assert "accept its licence" in done.stderr
    assert "HF_TOKEN" in done.stderr


def test_a_hub_that_is_not_there_is_said_in_two_lines(files, tmp_path):
    hub = Hub(files)
    hub.shutdown()
    hub.server_close()
    done = pull(hub, tmp_path)
    assert done.returncode == 1
    assert "the hub cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_without_safetensors_is_refused(tmp_path):
    done = pull(Hub({"config.json": b"{}", "pytorch_model.bin": b"pickle"}), tmp_path)
    assert done.returncode == 1
    assert "no safetensors" in done.stderr


def test_a_disk_that_is_too_small_is_said_before_the_first_byte(tmp_path):
    class File:
        size = 10**16
        rfilename = "model.safetensors"

    with pytest.raises(OmnireelError, match="GB are needed"):
        _check_room([File()], tmp_path / "models" / "x")


def test_a_model_that_was_not_pulled_is_asked_for(tmp_path):
    clip = write_clip(tmp_path / "x.mp4", ClipSpec(codec="mpeg4", num_frames=5))
    command = [sys.executable, "-c", "import omnireel.cli; omnireel.cli.main()", "ask", str(clip), "?"]
    done = subprocess.run(
        [*command, "--model", ID], capture_output=True, text=True, check=False,
        env=os.environ | {"OMNIREEL_DATA_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 3
    assert f"omnireel pull {ID}" in done.stderr
