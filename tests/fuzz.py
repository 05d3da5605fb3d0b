"""Sends requests made from the OpenAPI document to a real server, with schemathesis: `make fuzz`, and a small test.

Every operation gets cases that the document allows and cases that it forbids. Status, media type and body of each
answer have to be documented, and forbidden requests have to be refused. Unknown fields are allowed by contract, so they
do not count as forbidden. Nor do values that pydantic reads in its default mode, such as "10" for an integer.

Some cases get ids from earlier answers, because random ids never name a job or an upload. Some get a real clip. The
same seed makes the same cases, except for those ids.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import requests
import schemathesis
from fal_sdk.input_model import VideoInput
from hypothesis import HealthCheck, Phase
from hypothesis.errors import FailedHealthCheck, Unsatisfiable
from keyed import create_key
from pydantic import ValidationError
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from served import ENDPOINT_ID, Server, data_uri, make_clip

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
# These statuses are not faults: not ready yet, lost with its worker, not started in time.
DOCUMENTED_5XX = frozenset({503, 504})
# It refuses what the document forbids, but schemathesis has no such status in its list.
TOO_LARGE_HEAD = 431
# Of three cases, two have known ids and one has a real clip.
PERIOD = 3
TIMEOUT_S = 30
NO_ANSWER = 0
ANY_TEXT = ({"type": "string"}, {"type": "string", "minLength": 1})
# A name that never resolves. Random names might.
WEBHOOK = "https://webhooks.invalid/"
# No address in a case is ever connected to.
VARIABLES = {"OMNIREEL_FETCH_DENY": "0.0.0.0/0,::/0"}


@dataclass
class Tally:
    """The answers of one operation."""

    label: str
    statuses: Counter[int] = field(default_factory=Counter)
    undocumented: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def num_cases(self) -> int:
        return self.statuses.total()

    @property
    def num_5xx(self) -> int:
        return sum(number for status, number in self.statuses.items() if status >= 500)


class Known:
    """Ids from earlier answers."""

    def __init__(self) -> None:
        self.values: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.turns = itertools.count()

    def note(self, label: str, answer: Any) -> None:
        if not isinstance(answer, dict):
            return
        if "request_id" in answer and "status_url" in answer:
            self.values["request"].append({"request_id": answer["request_id"]})
        if "upload_url" in answer:
            name, way, token = answer["upload_url"].split("/")[-3:]
            self.values[way].append({"name": name, "token": token})
        if "uploadId" in answer:
            name = answer["access_url"].rpartition("/")[2]
            self.values["multipart"].append({"name": name, "token": answer["uploadId"]})
        if "access_url" in answer:
            self.values["file"].append({"name": answer["access_url"].rpartition("/")[2]})

    def fit(self, path: str) -> dict[str, str] | None:
        """Ids for the parameters of a path; None if there are none yet."""
        kinds = {"/{request_id}": "request", "/upload/{token}": "upload", "/multipart/{token}": "multipart"}
        kind = next((kind for part, kind in kinds.items() if part in path), "file")
        values = self.values[kind][-50:]
        return values[next(self.turns) % len(values)] if values else None


class Fuzz:
    """A run against one server. At the end `tallies` has an entry for each operation."""

    def __init__(self, url: str, *, seed: int, headers: dict[str, str] | None = None) -> None:
        self.url, self.seed = url, seed
        self.session = requests.Session()
        self.session.trust_env = False
        self.headers = headers or {}
        self.known = Known()
        self.clip = data_uri(make_clip(seconds=0.3))
        self.turns: Counter[str] = Counter()
        document = self.session.get(f"{url}/openapi.json", timeout=TIMEOUT_S).json()
        config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
        schema = schemathesis.openapi.from_dict(document, config=config)
        self.operations = [result.ok() for result in schema.get_all_operations()]
        self.tallies = {operation.label: Tally(operation.label) for operation in self.operations}

    @property
    def num_cases(self) -> int:
        return sum(tally.num_cases for tally in self.tallies.values())

    def run(self, num_cases: int) -> None:
        """Send this many cases, divided evenly among the operations that still have different ones."""
        varied = {operation.label: operation for operation in self.operations}
        for round_ in itertools.count():
            if self.num_cases >= num_cases or not varied:
                return
            share = max(1, (num_cases - self.num_cases) // len(varied))
            for operation in list(varied.values()):
                wanted = min(share, num_cases - self.num_cases)
                if wanted <= 0:
                    return
                if self._cases(operation, wanted, self.seed + round_) < min(share, wanted) / 2:
                    del varied[operation.label]

    def _cases(self, operation: Any, wanted: int, seed: int) -> int:
        before = self.num_cases
        num_forbidden = wanted // 2 if _forbids(operation) else 0
        self._examples(operation, GenerationMode.POSITIVE, wanted - num_forbidden, seed)
        if num_forbidden:
            self._examples(operation, GenerationMode.NEGATIVE, num_forbidden, seed)
        return self.num_cases - before

    def _examples(self, operation: Any, mode: GenerationMode, number: int, seed: int) -> None:
        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=number,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            self._send(operation, mode, case)

        try:
            send()
        except (Unsatisfiable, FailedHealthCheck):
            return  # this operation has no cases of this kind

    def _send(self, operation: Any, mode: GenerationMode, case: Any) -> None:
        label = operation.label
        self.turns[label] += 1
        if mode is GenerationMode.POSITIVE:
            self._make_real(operation, case)
        tally = self.tallies[label]
        try:
            response = case.call(
                base_url=self.url, session=self.session, headers=self.headers, timeout=TIMEOUT_S
            )
        except requests.RequestException as error:
            tally.statuses[NO_ANSWER] += 1
            notes = getattr(error, "__notes__", [])
            tally.faults.append(f"{label} ({mode.value}): {error} {' '.join(notes)}")
            return
        tally.statuses[response.status_code] += 1
        if str(response.status_code) not in operation.responses.status_codes:
            tally.undocumented[response.status_code] += 1
        if response.status_code == 200 and "json" in response.headers.get("content-type", [""])[0]:
            self.known.note(label, response.json())
        checks = CHECKS[1:] if response.status_code in DOCUMENTED_5XX else CHECKS
        if response.status_code == TOO_LARGE_HEAD or _is_read_leniently(case):
            checks = [check for check in checks if check is not negative_data_rejection]
        try:
            case.validate_response(response, checks=checks)
        except FailureGroup as group:
            tally.faults.append(f"{label} ({mode.value}): {group}")

    def _make_real(self, operation: Any, case: Any) -> None:
        """Give some cases the ids of existing jobs and uploads, and a real clip."""
        turn = self.turns[operation.label]
        if "{" in operation.path and turn % PERIOD and (ids := self.known.fit(operation.path)):
            case.path_parameters = {**case.path_parameters, **ids}
        if turn % PERIOD == 0 and isinstance(case.body, dict) and "video_url" in case.body:
            case.body = {**case.body, "video_url": self.clip}
        if case.query and "fal_webhook" in case.query:
            case.query = {**case.query, "fal_webhook": WEBHOOK}


def _is_read_leniently(case: Any) -> bool:
    """Whether the endpoint takes the body only because it is lenient: a text for a number, null for no value."""
    if ENDPOINT_ID not in case.operation.path or not isinstance(case.body, dict):
        return False
    given = {name: value for name, value in case.body.items() if value is not None}
    return _is_input(given, strict=False) and not _is_input(case.body, strict=True)


def _is_input(body: Any, *, strict: bool) -> bool:
    try:
        VideoInput.model_validate(body, strict=strict)
    except ValidationError:
        return False
    return True


def _forbids(operation: Any) -> bool:
    """Whether the schemas of an operation forbid any request. Letting hypothesis search for one is slow."""
    definition = operation.definition.raw
    is_json = "application/json" in definition.get("requestBody", {}).get("content", {})
    schemas = [item["schema"] for item in definition.get("parameters", [])]
    return is_json or any(schema not in ANY_TEXT for schema in schemas)


def table(fuzz: Fuzz) -> Iterator[str]:
    """The rows of a Markdown table with the cases and statuses of each operation."""
    yield "| Operation | Cases | Statuses | Undocumented | 5xx | Faults |"
    yield "|---|---|---|---|---|---|"
    for tally in fuzz.tallies.values():
        yield _row(tally)
    total = Tally("all")
    for tally in fuzz.tallies.values():
        total.statuses += tally.statuses
        total.undocumented += tally.undocumented
        total.faults += tally.faults
    yield _row(total)


def _row(tally: Tally) -> str:
    counted = f"{_counts(tally.statuses)} | {_counts(tally.undocumented) or 0}"
    return f"| {tally.label} | {tally.num_cases} | {counted} | {tally.num_5xx} | {len(tally.faults)} |"


def _counts(statuses: Counter[int]) -> str:
    return ", ".join(f"{status}: {number}" for status, number in sorted(statuses.items()))


def run(num_cases: int, *, seed: int, with_keys: bool) -> Fuzz:
    """Start a server, send the cases, and stop the server."""
    auth = {"OMNIREEL_AUTH": "keys"} if with_keys else {}
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), **VARIABLES, **auth) as server:
        headers = {"authorization": f"Key {create_key(server.folder)}"} if with_keys else {}
        fuzz = Fuzz(server.url, seed=seed, headers=headers)
        fuzz.run(num_cases)
        return fuzz


def main() -> int:
    """Print the tables. Returns exit code 1 if there were faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="of both passes together")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    num_faults = 0
    for with_keys, share in ((False, asked.cases - asked.cases // 4), (True, asked.cases // 4)):
        started = time.monotonic()
        fuzz = run(share, seed=asked.seed, with_keys=with_keys)
        faults = [fault for tally in fuzz.tallies.values() for fault in tally.faults]
        num_faults += len(faults)
        print(*faults, sep="\n\n", file=sys.stderr, flush=True)
        print(f"\n--auth {'keys' if with_keys else 'none'}, {time.monotonic() - started:.0f} s\n")
        print("\n".join(table(fuzz)), flush=True)
    return 1 if num_faults else 0


if __name__ == "__main__":
    sys.exit(main())
