"""A small Hugging Face hub on loopback: the routes and headers that huggingface_hub uses, and faults on demand."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

REVISION = "0123456789abcdef0123456789abcdef01234567"
MODEL_ID = "someone/tiny-model"


class Hub:
    """The hub. files: name → content; names that end in .safetensors are stored as LFS

    cut_after:  the connection is closed after this many bytes of a file; None: never
    num_cuts:   how many responses are cut
    damaged:    names of files whose bytes are sent changed
    stated:     name → wrong size that the listing states
    revision:   that the listing states
    """

    def __init__(self, files):
        self.files, self.gated, self.cut_after, self.num_cuts = files, False, None, 10**9
        self.damaged, self.stated, self.requests, self.revision = set(), {}, [], REVISION
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def listing(self):
        card = {"license": "other", "license_name": "tiny-licence", "license_link": "https://example.com/l"}
        return {
            "id": MODEL_ID, "modelId": MODEL_ID, "sha": self.revision, "private": False, "gated": self.gated,
            "cardData": card, "tags": [], "downloads": 0, "likes": 0,
            "siblings": [self._sibling(name) for name in self.files],
        }  # fmt: skip

    def _sibling(self, name):
        content = self.files[name]
        entry = {"rfilename": name, "size": self.stated.get(name, len(content)), "blobId": git_id(content)}
        if name.endswith(".safetensors"):
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"sha256": digest, "size": entry["size"], "pointerSize": 134}
        return entry

    def fetched(self, name):
        """The Range header of each request for a file."""
        return [r for method, path, r in self.requests if method == "GET" and path.endswith(f"/{name}")]


def git_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        hub, path = self.hub, urlsplit(self.path).path
        hub.requests.append((self.command, path, self.headers.get("Range")))
        name = path.rpartition("/")[2]
        if path.startswith(f"/api/models/{MODEL_ID}"):
            self._send(200, json.dumps(hub.listing()).encode(), {"Content-Type": "application/json"})
        elif path == f"/{MODEL_ID}/resolve/{hub.revision}/{name}" and name in hub.files:
            self._send_file(name)
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _send_file(self, name):
        content = self.hub.files[name]
        is_lfs = name.endswith(".safetensors")
        etag = hashlib.sha256(content).hexdigest() if is_lfs else git_id(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": self.hub.revision, "Accept-Ranges": "bytes"}
        if name in self.hub.damaged:
            content = bytes(255 - byte for byte in content)
        start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(206 if start else 200, content[start:], headers, start)

    def _send(self, status, body, headers, start=0):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.hub.cut_after
        if cut is not None and start + len(body) > cut and self.hub.num_cuts > 0:
            self.hub.num_cuts -= 1
            body = body[: max(cut - start, 0)]
            self.close_connection = True
        self.wfile.write(body)
