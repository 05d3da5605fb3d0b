"""Sends every vector to both sinks of a real server, in a network that records every connection.

    unshare --map-root-user --net --mount python tests/lab/egress_lab.py FOLDER

Prints one JSON object. The server runs as an operator starts it: no part of the policy is replaced, names are
resolved by the system's resolver, and the environment names proxies that must not be used.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parent.parent))

import httpx
from network import LocalInternet, NameServer, make_every_address_local
from origin import Authority
from served import ENDPOINT_ID, Server, data_uri, make_clip
from vectors import (
    ADMITTED_IPV4,
    FORBIDDEN_IPV4,
    FORBIDDEN_IPV6,
    PUBLIC_IPV4,
    PUBLIC_IPV6,
    PUBLIC_NAME,
    SILENT_IPV4,
    Vector,
    names,
    redirect,
    vectors,
)

from omnireel.store.open import open_store

NUM_CALLERS = 6
CLIP = make_clip(seconds=0.3)
# These must be reached; otherwise the lab would prove nothing.
REACHABLE = (
    f"https://{PUBLIC_NAME}/clip.mp4", f"https://{PUBLIC_IPV4}/clip.mp4", f"https://[{PUBLIC_IPV6}]/clip.mp4",
    "https://admitted.test/clip.mp4", redirect(f"https://{PUBLIC_NAME}/clip.mp4", 307), f"https://{PUBLIC_NAME.upper()}./clip.mp4",
)  # fmt: skip


def environment(folder: Path, authority: Authority) -> dict[str, str]:
    """The server's environment: its authorities, the network that the operator allows, and proxies to ignore."""
    authority.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / ".netrc").write_text(f"machine {PUBLIC_NAME} login ann password secret\n")
    proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"), "http://10.0.0.5:8080")
    ours = {"OMNIREEL_FETCH_ALLOW": f"{ADMITTED_IPV4}/32", "OMNIREEL_MAX_RUNNING": "32"}
    return proxies | ours | {"SSL_CERT_FILE": str(folder / "ca.pem"), "HOME": str(folder), "NO_PROXY": ""}


class Sinks:
    """The two requests in which a caller can send an address. Each returns (status, body without the address)."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self._data = data_uri(CLIP)

    def video(self, url: str) -> tuple[int, str]:
        answer = self._client.post(f"/sync/{ENDPOINT_ID}", json={"prompt": "What moves?", "video_url": url})
        return answer.status_code, _without(answer.text, url)

    def webhook(self, url: str) -> tuple[int, str]:
        body = {"prompt": "What moves?", "video_url": self._data}
        answer = self._client.post(f"/queue/{ENDPOINT_ID}?fal_webhook={quote(url, safe='')}", json=body)
        if answer.status_code == 200:
            return 200, "accepted"
        return answer.status_code, _without(answer.text, url)


def _without(body: str, url: str) -> str:
    for written in (json.dumps(url)[1:-1], json.dumps(url, ensure_ascii=False)[1:-1]):
        body = body.replace(written, "URL")
    return body


def ask_all(ask: Callable[[str], tuple[int, str]]) -> dict[Vector, tuple[int, str]]:
    """Send every vector to one sink, a few at a time."""
    asked = vectors()
    with ThreadPoolExecutor(NUM_CALLERS) as pool:
        return dict(zip(asked, pool.map(ask, [vector.url for vector in asked]), strict=True))


def outcome_of(sink: str, answers: dict[Vector, tuple[int, str]]) -> dict[str, object]:
    """What one sink answers to callers: statuses, and the distinct bodies for silent vectors."""
    silent = Counter(answer for vector, answer in answers.items() if vector.is_silent)
    return {
        "sink": sink,
        "vectors": len(answers),
        "statuses": dict(Counter(str(status) for status, _ in answers.values())),
        "silent_bodies": [f"{status} {body}" for status, body in silent],
        "accepted": sorted(vector.url for vector, (status, _) in answers.items() if status == 200),
    }


async def first_attempts(folder: Path, num_webhooks: int) -> Counter[str]:
    """How the first attempt at each webhook ended, once all have been made."""
    with closing(open_store(folder / "omnireel.db")) as store:
        async with asyncio.timeout(120):
            while True:
                log = await store.webhooks.read_log(limit=100_000)
                if len(log) == num_webhooks and all(entry.deliveries for entry in log):
                    return Counter(str(entry.deliveries[0].status) for entry in log)
                await asyncio.sleep(0.1)


def main(folder: Path) -> None:
    make_every_address_local(folder, unreachable=SILENT_IPV4)
    authority = Authority()
    zone = names()
    # Every name and address has a valid certificate, so that only the policy can prevent a connection.
    tls = authority.server_context(*zone, *FORBIDDEN_IPV4, *FORBIDDEN_IPV6, PUBLIC_IPV4, PUBLIC_IPV6)
    NameServer(zone)
    internet = LocalInternet(frozenset({PUBLIC_IPV4, PUBLIC_IPV6, ADMITTED_IPV4}), tls, CLIP)
    started = time.monotonic()
    with Server(folder, **environment(folder, authority)) as server:
        sinks = Sinks(server.url)
        reached = [sinks.video(url)[0] for url in REACHABLE]
        hooks = [sinks.webhook(url)[0] for url in REACHABLE]
        reports = [outcome_of("video", ask_all(sinks.video)), outcome_of("webhook", ask_all(sinks.webhook))]
        accepted = sum(len(report["accepted"]) for report in reports if report["sink"] == "webhook")
        attempts = asyncio.run(first_attempts(folder, accepted + len(REACHABLE)))
    delivered = [line for line in internet.served if line.startswith("POST") and "/redirect/" not in line]
    report = {
        "trapped": internet.trapped,
        "sinks": reports,
        "videos_reached": reached,
        "webhooks_taken": hooks,
        "delivered": len(delivered),
        "first_attempts": attempts,
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
