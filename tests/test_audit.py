"""The audit of the dependencies finds each kind of fault."""

import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))

from audit import complaints, locked, not_as_locked, read_lock  # noqa: E402  beside the package, not in it

ADVISORIES = tomllib.loads((ROOT / "tools" / "advisories.toml").read_text("utf-8"))["advisory"]
GOOD = locked()


def audited(text, *, ffmpeg="99"):
    return complaints(read_lock(text), ADVISORIES, Version(ffmpeg))


def test_the_lock_is_in_order():
    assert audited(GOOD) == []


@pytest.mark.parametrize(
    "advisory", ADVISORIES, ids=lambda advisory: f"{advisory['package']} {advisory['id']}"
)
def test_a_version_older_than_the_fixed_one_is_named(advisory):
    old = "0.0.1"
    lines = [
        f"{advisory['package']}=={old}" if line.lower().startswith(f"{advisory['package']}==") else line
        for line in GOOD.splitlines()
    ]
    found = audited("\n".join(lines), ffmpeg=old if advisory["package"] == "ffmpeg" else "99")
    assert any(advisory["id"] in line and f"{advisory['package']} {old}" in line for line in found)


def test_a_requirement_that_is_not_pinned_is_named():
    lines = [line for line in GOOD.splitlines() if not line.startswith("structlog==")]
    assert [line for line in audited("\n".join(lines)) if "structlog" in line]


def test_a_pin_without_a_hash_is_named():
    lines = GOOD.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("structlog=="))
    while lines[place + 1].startswith("    --hash"):
        del lines[place + 1]
    assert audited("\n".join(lines)) == ["structlog is pinned without a hash. Run `python -m tools.lock`."]


def test_a_line_without_a_version_is_named():
    assert [line for line in audited(GOOD + "leftpad\n") if "leftpad" in line]


def test_an_installed_package_that_differs_from_the_lock_is_named():
    changed = GOOD.replace("pytest==", "pytest==1")
    assert [line for line in not_as_locked(read_lock(changed)) if line.startswith("pytest ")]


def closure(name):
    """The canonical names of an installed package and of all that it requires here, without extras."""
    found, left = set(), [canonicalize_name(name)]
    while left:
        current = left.pop()
        if current in found:
            continue
        found.add(current)
        needed = [Requirement(line) for line in requires(current) or ()]
        left += [
            canonicalize_name(one.name)
            for one in needed
            if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    return found


def test_the_run_time_set_is_what_omnireel_and_fals_client_require_and_no_more():
    lock = read_lock(GOOD)
    sections = lock.sections
    run_time = closure("omnireel") & set(lock.all)  # without the CUDA libraries of some builds of torch
    client = closure("fal-client") - run_time
    assert set(sections["run time"]) == run_time
    assert set(next(pins for heading, pins in sections.items() if "fal's" in heading)) == client
