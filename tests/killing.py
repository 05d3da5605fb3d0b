"""Sends requests while server and worker are killed again and again. Nothing may be lost or done twice.

    python tests/killing.py --requests 500 --kills 60 --seed 1

A plan depends only on its seed: which process is killed, at which progress (answered submissions plus ended jobs), and
how long after it. The rest depends on timing, so a seed repeats the plan but not each instruction.
Processes are killed, not the machine. So this does not test whether data survives power loss.
"""

import argparse
import asyncio
import random
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx
from served import ENDPOINT_ID, Process, data_uri, make_clip

from omnireel.store.jobs import Submission
from omnireel.store.open import open_store
from omnireel.store.sqlite.database import Connection, connect
from omnireel.store.store import Store
from omnireel.task import video_task

Victim = Literal["server", "worker"]
APP_ID = ENDPOINT_ID.rpartition("/")[0]
CLIP = data_uri(make_clip(seconds=0.5))
# Every fifth job has a webhook, and this process itself puts it into the store.
WEBHOOK_EVERY, RECEIVER = 5, "https://receiver.invalid/hook"
NUM_CLIENTS = 8
# Leases are short, so that jobs of a dead process are requeued soon. Many crashes are allowed, since kills cause them.
VARIABLES = {"OMNIREEL_LEASE_S": "3", "OMNIREEL_MAX_CRASHES": "20", "OMNIREEL_MAX_RUNNING": "4"}


@dataclass(frozen=True)
class Kill:
    """Kills `victim`, `pause_s` after the answered submissions and the ended jobs together number `progress`."""

    progress: int
    pause_s: float
    victim: Victim


@dataclass(frozen=True)
class Plan:
    """A whole run. The same seed makes the same plan."""

    seed: int
    num_requests: int
    kills: tuple[Kill, ...]


def make_plan(seed: int, num_requests: int, num_kills: int) -> Plan:
    """A plan with kills from before the first submission to shortly before the end of the last job."""
    rng = random.Random(seed)
    last = 2 * num_requests - num_requests // 10
    kills = [
        Kill(rng.randrange(last), rng.uniform(0, 0.3), rng.choice(("server", "worker")))
        for _ in range(num_kills)
    ]
    return Plan(seed, num_requests, tuple(sorted(kills, key=lambda kill: kill.progress)))


@dataclass
class Verdict:
    """The faults found in the store and over HTTP at the end. Without faults every list is empty.

    attempts:   how many jobs needed how many attempts
    num_resent: submissions that were sent again
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrongly_billed: list[str] = field(default_factory=list)
    wrong_events: list[str] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    attempts: Counter[int] = field(default_factory=Counter)
    num_resent: int = 0

    @property
    def faults(self) -> dict[str, list[str]]:
        """The lists that are not empty."""
        found = vars(self).items()
        return {name: value for name, value in found if isinstance(value, list) and value}


class Pair:
    """A server and a worker. Each one that is killed is replaced by a new process."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._arguments = {"server": ("serve", "--port", str(port)), "worker": ("worker",)}
        self._generation: Counter[str] = Counter()
        self._alive: dict[str, Process] = {}
        for name in self._arguments:
            self._start(name)

    def _start(self, name: str) -> None:
        self._generation[name] += 1
        log_name = f"{name}-{self._generation[name]}.log"
        arguments = self._arguments[name]
        self._alive[name] = Process(self._folder, *arguments, log_name=log_name, **VARIABLES)

    def kill(self, name: Victim) -> None:
        """Kill a process with SIGKILL, and start its successor."""
        self._alive[name].kill()
        self._start(name)

    def close(self) -> None:
        """Ask both processes to end, and wait for them."""
        for process in self._alive.values():
            process.stop()


class Clients:
    """Submits requests. If an answer was lost, it sends the request again with the same idempotency key."""

    def __init__(self, plan: Plan, url: str, store: Store) -> None:
        self._plan = plan
        self._url = url
        self._store = store
        self._lock = threading.Lock()
        self.ids: dict[int, str] = {}
        self.num_resent = 0
        self.is_given_up = False

    def submit(self, number: int) -> None:
        """Send a request until it is acknowledged."""
        send = self._put if number % WEBHOOK_EVERY == 0 else self._post
        with httpx.Client(base_url=self._url, timeout=20, trust_env=False) as client:
            while (request_id := send(client, number)) is None:
                assert not self.is_given_up
                with self._lock:
                    self.num_resent += 1
                time.sleep(0.1)
        with self._lock:
            self.ids[number] = request_id

    def _post(self, client: httpx.Client, number: int) -> str | None:
        body = {"prompt": f"request {number}", "video_url": CLIP}
        try:
            answer = client.post(
                f"/queue/{ENDPOINT_ID}", json=body, headers={"idempotency-key": self._key(number)}
            )
        except httpx.TransportError:
            return None
        if answer.status_code == 503:
            return None
        assert answer.status_code == 200, answer.text
        return str(answer.json()["request_id"])

    def _put(self, _: httpx.Client, number: int) -> str:
        task = video_task(ENDPOINT_ID, prompt=f"request {number}", video=CLIP)
        submission = Submission(
            str(uuid.uuid4()), "", task, webhook_url=RECEIVER, idempotency_key=self._key(number)
        )
        submitting = self._store.jobs.submit(submission, fingerprint=str(number), now=self._store.now())
        job, _ = asyncio.run(submitting)
        return job.id

    def _key(self, number: int) -> str:
        return f"{self._plan.seed}/{number}"


def run(plan: Plan, folder: Path, *, limit_s: float) -> Verdict:
    """Run the plan, wait until every job has ended, and look for faults. Takes at most about limit_s."""
    deadline = time.monotonic() + limit_s
    store = open_store(folder / "omnireel.db")
    pair = Pair(folder)
    clients = Clients(plan, pair.url, store)
    watching = connect(folder / "omnireel.db", reads_only=True)
    try:
        with ThreadPoolExecutor(NUM_CLIENTS) as pool:
            submissions = [pool.submit(clients.submit, number) for number in range(plan.num_requests)]
            try:
                _kill_as_planned(plan, pair, clients, watching, deadline)
                wait(submissions, deadline - time.monotonic())
            finally:
                clients.is_given_up = True
            for submission in submissions:
                submission.result()
        while _num_ended(watching) < plan.num_requests and time.monotonic() < deadline:
            time.sleep(0.1)
        verdict = judge(clients.ids, watching, pair.url)
        verdict.num_resent = clients.num_resent
        return verdict
    finally:
        watching.close()
        store.close()
        pair.close()


def _kill_as_planned(plan: Plan, pair: Pair, clients: Clients, watching: Connection, deadline: float) -> None:
    for kill in plan.kills:
        while len(clients.ids) + _num_ended(watching) < kill.progress and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(kill.pause_s)
        pair.kill(kill.victim)


def _num_ended(db: Connection) -> int:
    return int(db.execute("SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL").fetchall()[0][0])


def judge(ids: dict[int, str], db: Connection, url: str) -> Verdict:
    """Compare the requests that were acknowledged with the rows of the store and the answers.

    ids: the number of each request, and the request id in its acknowledgement
    """
    verdict = Verdict()
    states = dict(db.execute("SELECT id, state FROM jobs").fetchall())
    verdict.unended = [job for job, state in states.items() if state in ("queued", "running")]
    verdict.doubled = sorted(set(states) - set(ids.values()))
    verdict.attempts = Counter(row[0] for row in db.execute("SELECT attempt FROM jobs"))
    _judge_answers(verdict, ids, url)
    _judge_ledger(verdict, ids, db)
    _judge_events(verdict, ids, db)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return verdict


def _judge_answers(verdict: Verdict, ids: dict[int, str], url: str) -> None:
    # The last kill may have left a server that is just starting, so connections are tried again.
    transport = httpx.HTTPTransport(retries=8)
    with httpx.Client(base_url=url, timeout=20, trust_env=False, transport=transport) as client:
        for number, job in ids.items():
            answer = client.get(f"/queue/{APP_ID}/requests/{job}")
            if answer.status_code != 200 or answer.json()["output"] != f"echo: request {number}":
                verdict.lost.append(f"{job}: {answer.status_code} {answer.text}")


def _judge_ledger(verdict: Verdict, ids: dict[int, str], db: Connection) -> None:
    charges: dict[str, list[int]] = {job: [] for job in ids.values()}
    for job, num_tokens in db.execute("SELECT job_id, num_tokens FROM ledger"):
        charges.setdefault(job, []).append(num_tokens)
    # "request N" has two input tokens, "echo: request N" three output tokens. Only known requests may be charged.
    known = set(ids.values())
    verdict.wrongly_billed = [
        f"{job}: {rows}" for job, rows in charges.items() if rows != [5] or job not in known
    ]


def _judge_events(verdict: Verdict, ids: dict[int, str], db: Connection) -> None:
    wanted = Counter(f"msg_{job}" for number, job in ids.items() if number % WEBHOOK_EVERY == 0)
    found = Counter(row[0] for row in db.execute("SELECT id FROM outbox"))
    verdict.wrong_events = sorted(((wanted - found) + (found - wanted)).elements())


def summary(plan: Plan, verdict: Verdict, seconds: float) -> str:
    """The result of a run in one line."""
    victims = Counter(kill.victim for kill in plan.kills)
    num_rerun = sum(number for attempt, number in verdict.attempts.items() if attempt > 1)
    return (
        f"kill test, seed {plan.seed}: {plan.num_requests} requests, {len(plan.kills)} kills"
        f" ({victims['server']} of the server, {victims['worker']} of the worker),"
        f" {verdict.num_resent} submissions sent again, {num_rerun} jobs begun again"
        f" (at most {max(verdict.attempts)} attempts), {seconds:.0f} s:"
        f" {len(verdict.lost)} lost, {len(verdict.doubled)} doubled,"
        f" {len(verdict.wrongly_billed)} wrongly billed, {len(verdict.wrong_events)} wrong event ids,"
        f" {len(verdict.unended)} without an end"
    )


def main() -> int:
    """Run one plan. Returns exit code 1 if there were faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    plan = make_plan(arguments.seed, arguments.requests, arguments.kills)
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        verdict = run(plan, Path(folder), limit_s=900)
        print(summary(plan, verdict, time.monotonic() - started))
    for name, faults in verdict.faults.items():
        print(f"{name}: {faults[:10]}", file=sys.stderr)
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())
