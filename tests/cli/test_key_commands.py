"""`omnireel keys` as an operator uses it."""

import io
import json
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from rich.console import Console

from omnireel.cli.keys import print_rows


def test_a_key_is_made_listed_and_revoked(omnireel, tmp_path):
    data = {"OMNIREEL_DATA_DIR": str(tmp_path / "data"), "OMNIREEL_MAX_PER_MINUTE": "5"}
    made = omnireel("keys", "create", "--account", "ann", "--cap-usd", "0.25", "--admin", **data)
    assert made.returncode == 0, made.stderr
    key_id, _, secret = made.stdout.strip().partition(":")
    assert key_id.startswith("omr_")
    assert len(secret) == 64
    revoked = omnireel("keys", "revoke", key_id, **data)
    assert revoked.stdout == f"{key_id} is revoked\n"
    (listed,) = json.loads(omnireel("keys", "list", "--json", **data).stdout)["keys"]
    assert listed["revoked_at"] is not None
    wanted = {"account": "ann", "cap_usd": 0.25, "max_per_minute": 5, "scope": "ADMIN", "spent_usd": 0}
    assert listed.items() >= wanted.items()
    assert secret not in json.dumps(listed)


def test_a_key_that_does_not_exist_cannot_be_revoked(omnireel, tmp_path):
    ran = omnireel("keys", "revoke", "omr_nothing", OMNIREEL_DATA_DIR=str(tmp_path))
    assert ran.returncode == 1
    assert "There is no key with the id 'omr_nothing'" in ran.stderr


def test_the_hint_to_list_the_keys_names_the_same_data_directory(omnireel, tmp_path):
    ran = omnireel("keys", "revoke", "nope", "--data-dir", tmp_path / "other")
    assert f"omnireel keys list --data-dir {tmp_path / 'other'}` shows" in ran.stderr


def test_a_directory_without_a_store_is_named_and_nothing_is_made(omnireel, tmp_path):
    mistyped = tmp_path / "mistyped"
    listed = omnireel("keys", "list", "--data-dir", str(mistyped))
    revoked = omnireel("keys", "revoke", "omr_x", "--data-dir", str(mistyped))
    assert (listed.returncode, revoked.returncode) == (0, 1)
    for ran in (listed, revoked):
        assert f"There is no store at {mistyped}" in ran.stderr
    assert not mistyped.exists()


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_value_of_the_list_is_broken_however_narrow_the_terminal(omnireel, tmp_path, columns):
    data = {"OMNIREEL_DATA_DIR": str(tmp_path / "data"), "COLUMNS": str(columns)}
    limits = ("--max-per-minute", "60", "--max-unfinished", "4", "--cap-usd", "5", "--monthly-cap-usd", "2.5")
    made = omnireel("keys", "create", "--account", "video-team", "--key-name", "work laptop", *limits, **data)
    key_id = made.stdout.partition(":")[0]
    omnireel("keys", "revoke", key_id, **data)
    listed = omnireel("keys", "list", **data).stdout
    assert all(len(line.rstrip()) <= columns for line in listed.splitlines())
    values = (
        key_id, "video-team", "work laptop", "60 a minute,", "4 unfinished,", "$5,", "$2.5 a month", "$0.000000",
        "this month", "revoked",
    )  # fmt: skip
    assert [value for value in values if value not in listed] == []
    assert len(re.findall(r"\d{4}-\d\d-\d\d\b", listed)) == 2
    assert (len(listed.splitlines()) == 2) == (columns == 200)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_value_of_the_webhooks_is_broken_however_narrow_the_terminal(width):
    text = io.StringIO()
    job = str(uuid.uuid4())
    row = (job, "waiting", "3", "500", "2026-11-30T17:00:00.000Z")
    columns = ("request", "state", "attempts", "last answer", "next attempt")
    print_rows(columns, [row, row], Console(file=text, width=width))
    shown = text.getvalue()
    assert all(len(line.rstrip()) <= width for line in shown.splitlines())
    assert [shown.count(value) for value in (job, "2026-11-30T17:00:00.000Z")] == [2, 2]
    assert (len(shown.splitlines()) == 3) == (width == 200)


def hint_of(folder, path, *arguments):
    """What the installed command's hint tells the user to type, with this PATH."""
    command = Path(sys.executable).with_name("omnireel")
    given = {"PATH": path, "HOME": str(folder), "OMNIREEL_DATA_DIR": str(folder / "data")}
    ran = subprocess.run(
        [str(command), *arguments],
        env=given,
        cwd=command.parents[1],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return ran.stderr.rpartition("hint: ")[2].strip()


def test_a_hint_names_the_command_as_the_user_can_type_it(tmp_path):
    folder = Path(sys.executable).parent
    other = tmp_path / "omnireel"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    revoke = ("keys", "revoke", "omr_nothing")
    assert hint_of(tmp_path, str(folder), *revoke).startswith("`omnireel keys list ")
    for path in ("/usr/bin", str(tmp_path)):
        assert hint_of(tmp_path, path, *revoke).startswith("`bin/omnireel keys list ")
    pull = hint_of(tmp_path, "/usr/bin", "inspect", __file__, "--model", "some/model")
    assert pull == f"Download it with: bin/omnireel pull some/model --data-dir {tmp_path / 'data'}"
