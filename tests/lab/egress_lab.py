"""Every vector through both sinks of a real server, in a network where whoever it connects to is seen.

    unshare --map-root-user --net --mount python tests/lab/egress_lab.py FOLDER

Prints one JSON object. The server runs as an operator starts it: nothing of the policy is replaced, names are
resolved by the system's resolver, and the environment offers proxies that must not be used.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parent.parent))

import httpx
from network import NameServer, World, make_every_address_local
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

from omnireel.store.sqlite import webhooks as outbox
from omnireel.store.sqlite.database import Database

NUM_CALLERS = 6
CLIP = make_clip(seconds=0.3)
# What has to be reached, or the lab would prove nothing.
REACHABLE = (
    f"https://{PUBLIC_NAME}/clip.mp4", f"https://{PUBLIC_IPV4}/clip.mp4", f"https://[{PUBLIC_IPV6}]/clip.mp4",
    "https://admitted.test/clip.mp4", redirect(f"https://{PUBLIC_NAME}/clip.mp4", 307), f"https://{PUBLIC_NAME.upper()}./clip.mp4",
)  # fmt: skip


def environment(folder: Path, authority: Authority) -> dict[str, str]:
    """Of the server: whom it trusts, what the operator admits, and proxies to be ignored."""
    authority.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / ".netrc").write_text(f"machine {PUBLIC_NAME} login ann password secret\n")
    proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"), "http://10.0.0.5:8080")
    ours = {"OMNIREEL_FETCH_ALLOW": f"{ADMITTED_IPV4}/32", "OMNIREEL_MAX_RUNNING": "32"}
    return proxies | ours | {"SSL_CERT_FILE": str(folder / "ca.pem"), "HOME": str(folder), "NO_PROXY": ""}


class Sinks:
    """The two places where a caller can name an address. Answers: (status, body without it)."""

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
    """Every vector through one sink, some at a time."""
    asked = vectors()
    with ThreadPoolExecutor(NUM_CALLERS) as pool:
        return dict(zip(asked, pool.map(ask, [vector.url for vector in asked]), strict=True))


def told(sink: str, answers: dict[Vector, tuple[int, str]]) -> dict[str, object]:
    """What callers learned from one sink: statuses, and the different bodies of well-formed addresses."""
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
    database = Database(folder / "omnireel.db")
    try:
        async with asyncio.timeout(120):
            while True:
                log = await database.read(partial(outbox.read_log, limit=100_000))
                if len(log) == num_webhooks and all(entry.deliveries for entry in log):
                    return Counter(str(entry.deliveries[0].status) for entry in log)
                await asyncio.sleep(0.1)
    finally:
        database.close()


def main(folder: Path) -> None:
    make_every_address_local(folder, unreachable=SILENT_IPV4)
    authority = Authority()
    zone = names()
    # Every name and address gets a good certificate: nothing but the policy stands in the way.
    tls = authority.server_context(*zone, *FORBIDDEN_IPV4, *FORBIDDEN_IPV6, PUBLIC_IPV4, PUBLIC_IPV6)
    NameServer(zone)
    world = World(frozenset({PUBLIC_IPV4, PUBLIC_IPV6, ADMITTED_IPV4}), tls, CLIP)
    started = time.monotonic()
    with Server(folder, **environment(folder, authority)) as server:
        sinks = Sinks(server.url)
        reached = [sinks.video(url)[0] for url in REACHABLE]
        hooks = [sinks.webhook(url)[0] for url in REACHABLE]
        reports = [told("video", ask_all(sinks.video)), told("webhook", ask_all(sinks.webhook))]
        accepted = sum(len(report["accepted"]) for report in reports if report["sink"] == "webhook")
        attempts = asyncio.run(first_attempts(folder, accepted + len(REACHABLE)))
    delivered = [line for line in world.served if line.startswith("POST") and "/redirect/" not in line]
    report = {
        "trapped": world.trapped,
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
