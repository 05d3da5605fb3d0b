"""`omnireel keys` as an operator uses it."""

import json


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


def test_a_directory_without_a_store_is_named_and_nothing_is_made(omnireel, tmp_path):
    mistyped = tmp_path / "mistyped"
    listed = omnireel("keys", "list", "--data-dir", str(mistyped))
    revoked = omnireel("keys", "revoke", "omr_x", "--data-dir", str(mistyped))
    assert (listed.returncode, revoked.returncode) == (0, 1)
    for ran in (listed, revoked):
        assert f"There is no store at {mistyped}" in ran.stderr
    assert not mistyped.exists()
