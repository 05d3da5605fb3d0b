"""A receiver of webhooks with real sockets and scripted answers. It keeps every request."""

import base64
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs" / "queue-and-webhooks.md"


@dataclass(frozen=True)
class Call:
    """A request that arrived. headers: their names are case-insensitive"""

    path: str
    headers: Message
    body: bytes


class Receiver:
    """Answers with each of `statuses` in turn, then always with the last. before_answer: called before each answer"""

    def __init__(self, *statuses: int, before_answer: Callable[[], object] = lambda: None) -> None:
        self.calls: list[Call] = []
        left = list(statuses) or [200]
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.calls.append(Call(self.path, self.headers, body))
                before_answer()
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook?n=1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def admitted(self) -> dict[str, str]:
        """The variables of a server that may send to this receiver."""
        return {
            "OMNIREEL_FETCH_ALLOW": "127.0.0.1",
            "OMNIREEL_FETCH_PORTS": str(self.port),
            "OMNIREEL_ALLOW_HTTP": "1",
        }

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_for(self, number: int, within_s: float = 60) -> list[Call]:
        """The calls, as soon as there are `number` of them."""
        ends = time.monotonic() + within_s
        while len(self.calls) < number:
            assert time.monotonic() < ends, f"{len(self.calls)} calls came, not {number}"
            time.sleep(0.01)
        return self.calls


def sample(name: str) -> Callable:
    """A function of the documentation's example of a receiver. It uses another cryptographic library than ours."""
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    code = next(block for block in blocks if f"def {name}(" in block)
    scope: dict = {}
    exec(compile(code, str(DOCS), "exec"), scope)
    return scope[name]


def is_standard(call: Call, public: bytes) -> bool:
    """Whether one of the Standard Webhooks signatures was made with this key."""
    from nacl.exceptions import BadSignatureError
    from nacl.signing import VerifyKey

    message = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode() + call.body
    for signature in call.headers["webhook-signature"].split(" "):
        version, text = signature.split(",")
        assert version == "v1a"
        try:
            VerifyKey(public).verify(message, base64.b64decode(text))
        except BadSignatureError:
            continue
        return True
    return False
