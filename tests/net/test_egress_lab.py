"""No address that a caller sends makes the server connect to a forbidden host, or reveals what is there.

The lab is a separate network namespace (tests/lab), so that the policy is tested as shipped, with the system's
resolver and the real port 443. The vectors are defined there.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LAB = Path(__file__).parent.parent / "lab" / "egress_lab.py"
IN_A_NETWORK_NAMESPACE = ("unshare", "--map-root-user", "--net", "--mount")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    for tool in ("unshare", "ip", "mount"):
        assert shutil.which(tool), f"this test needs {tool} (util-linux, iproute2)"
    folder = tmp_path_factory.mktemp("lab")
    command = [*IN_A_NETWORK_NAMESPACE, sys.executable, str(LAB), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, f"the lab failed, or user namespaces are not allowed here:\n{done.stderr}"
    return json.loads(done.stdout)


def by_sink(report):
    return {sink["sink"]: sink for sink in report["sinks"]}


def test_no_vector_reaches_an_address_that_is_forbidden(report):
    assert {sink: found["vectors"] >= 400 for sink, found in by_sink(report).items()} == {
        "video": True,
        "webhook": True,
    }
    assert report["trapped"] == []


def test_allowed_hosts_are_reached(report):
    assert set(report["videos_reached"]) == {200}
    assert set(report["webhooks_taken"]) == {200}
    assert report["delivered"] == len(report["webhooks_taken"]) - 1, "webhooks follow no redirect"


def test_no_vector_is_accepted_as_a_video(report):
    assert by_sink(report)["video"]["accepted"] == []
    assert set(by_sink(report)["video"]["statuses"]) == {"422"}


def test_forbidden_silent_and_unknown_hosts_look_the_same_to_callers(report):
    assert len(by_sink(report)["video"]["silent_bodies"]) == 1
    refused = [body for body in by_sink(report)["webhook"]["silent_bodies"] if body != "200 accepted"]
    assert len(refused) == 1, "addresses are checked at submission, names when they are resolved"


def test_webhooks_follow_no_redirect_and_reach_nothing_else(report):
    counts = report["first_attempts"]
    assert counts.pop("200") == report["delivered"]
    assert set(counts) == {"None", "301", "302", "303", "307", "308"}
