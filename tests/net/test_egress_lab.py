"""Nothing that a caller can write makes the server connect to where it must not, nor tells what is there.

The lab is a network of its own (tests/lab), so that the policy is tried as it is shipped, with the system's
resolver and the real port 443; see there for the vectors.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LAB = Path(__file__).parent.parent / "lab" / "egress_lab.py"
IN_A_NETWORK_OF_ITS_OWN = ("unshare", "--map-root-user", "--net", "--mount")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    for tool in ("unshare", "ip", "mount"):
        assert shutil.which(tool), f"this test needs {tool} (util-linux, iproute2)"
    folder = tmp_path_factory.mktemp("lab")
    command = [*IN_A_NETWORK_OF_ITS_OWN, sys.executable, str(LAB), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, f"the lab broke, or user namespaces are not allowed here:\n{done.stderr}"
    return json.loads(done.stdout)


def by_sink(report):
    return {sink["sink"]: sink for sink in report["sinks"]}


def test_no_vector_reaches_an_address_that_is_forbidden(report):
    assert {sink: found["vectors"] >= 400 for sink, found in by_sink(report).items()} == {
        "video": True,
        "webhook": True,
    }
    assert report["trapped"] == []


def test_what_is_allowed_is_reached(report):
    assert set(report["videos_reached"]) == {200}
    assert set(report["webhooks_taken"]) == {200}
    assert report["delivered"] == len(report["webhooks_taken"]) - 1, "one redirects, which is not followed"


def test_no_video_comes_from_a_vector(report):
    assert by_sink(report)["video"]["accepted"] == []
    assert set(by_sink(report)["video"]["statuses"]) == {"422"}


def test_callers_cannot_tell_forbidden_from_silent_and_unknown(report):
    assert len(by_sink(report)["video"]["silent_bodies"]) == 1
    refused = [body for body in by_sink(report)["webhook"]["silent_bodies"] if body != "200 accepted"]
    assert len(refused) == 1, "addresses are judged at once, names when they are resolved"


def test_webhooks_follow_no_redirect_and_reach_nothing_else(report):
    counts = report["first_attempts"]
    assert counts.pop("200") == report["delivered"]
    assert set(counts) == {"None", "301", "302", "303", "307", "308"}
