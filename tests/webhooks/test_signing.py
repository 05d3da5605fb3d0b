"""Keys and signatures, verified as the documentation shows it, with a library that the package does not use."""

import base64
import stat
import subprocess
import sys
import time
from dataclasses import replace
from email.message import Message
from pathlib import Path

import pytest
from receiver import Call, is_standard, sample

from omnireel.errors import OmnireelError
from omnireel.store.webhooks import Webhook
from omnireel.webhooks.signing import PUBLISHED_S, KeyFile

DAY = 24 * 3600.0
WEBHOOK = Webhook("msg_a", "a", "", "https://x.example", "x.example", '{"output":"ü"}'.encode(), 0, 1)


@pytest.fixture
def file(tmp_path):
    return KeyFile(tmp_path / "data" / "webhook-keys.json")


def signed(keys, now, webhook=WEBHOOK):
    headers = Message()
    for name, value in keys.headers(webhook, now=now).items():
        headers[name] = value
    return Call("/", headers, webhook.body)


def verifies(call, document):
    return sample("is_genuine")(call.headers, call.body, sample("keys_of")(document))


def test_the_documented_receiver_accepts_a_signature_of_a_published_key(file):
    now = time.time()
    keys = file.load(now)
    call = signed(keys, now)
    assert verifies(call, keys.jwks())
    assert is_standard(call, keys.active.public)
    assert call.headers["x-fal-webhook-user-id"], "Receivers treat an empty header as a missing one."


def test_an_account_with_other_characters_than_ascii_is_signed_as_it_is_sent(file):
    now = time.time()
    keys = file.load(now)
    call = signed(keys, now, replace(WEBHOOK, owner="jürgen @home+1"))
    assert call.headers["x-fal-webhook-user-id"] == "j%C3%BCrgen @home+1"
    assert verifies(call, keys.jwks())


def test_the_documented_receiver_refuses_everything_else(file, tmp_path):
    now = time.time()
    keys = file.load(now)
    other = KeyFile(tmp_path / "other.json").load(now)
    assert not verifies(signed(other, now), keys.jwks())
    assert not is_standard(signed(other, now), keys.active.public)
    assert not verifies(signed(keys, now - 301), keys.jwks())
    call = signed(keys, now)
    assert not verifies(Call("/", call.headers, call.body + b" "), keys.jwks())
    for name in ("Request-Id", "User-Id"):
        changed = signed(keys, now)
        changed.headers.replace_header(f"X-Fal-Webhook-{name}", "else")
        assert not verifies(changed, keys.jwks())


def test_the_published_document_is_a_key_set_of_ed25519_without_secrets(file):
    (key,) = file.load(0.0).jwks()["keys"]
    assert (key["kty"], key["crv"]) == ("OKP", "Ed25519")
    assert len(base64.urlsafe_b64decode(key["x"] + "=")) == 32
    assert "=" not in key["x"]
    assert "d" not in key


def test_only_the_owner_may_read_the_keys_and_all_processes_have_the_same(file):
    first = file.load(0.0)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert KeyFile(file.path).load(5.0) == first


def test_processes_that_start_together_make_one_key(file):
    code = "import sys, pathlib, omnireel.webhooks.signing as s; k = s.KeyFile(pathlib.Path(sys.argv[1])).load(0.0)"
    command = [sys.executable, "-c", code + "; print(k.active.kid)", str(file.path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert len({process.communicate(timeout=60)[0] for process in running}) == 1


def test_a_receiver_may_cache_the_keys_for_a_day_during_a_rotation(file):
    """At every hour around a rotation, keys that were read up to a day before can verify new signatures."""
    file.load(0.0)
    hours = [hour * 3600.0 for hour in range(100)]
    begins = 30 * 3600.0
    documents = {}
    signers = set()
    for now in hours:
        keys = file.rotate(now, at_once=False) if now == begins else file.load(now)
        documents[now] = keys.jwks()
        signers.add(keys.active.kid)
        for read_at in (then for then in hours if now - PUBLISHED_S <= then <= now):
            assert keys.active.kid in [key["kid"] for key in documents[read_at]["keys"]]
    assert len(signers) == 2
    assert len(documents[begins]["keys"]) == len(documents[begins + DAY]["keys"]) == 2
    assert len(documents[hours[-1]]["keys"]) == 1


def test_a_receiver_with_either_key_can_verify_while_both_are_published(file):
    old = file.load(0.0).active
    keys = file.rotate(10.0, at_once=False)
    new = keys.published[-1]
    for now in (10.0, 10.0 + DAY, 9.0 + 2 * DAY):
        call = signed(file.load(now), now)
        assert is_standard(call, old.public)
        assert is_standard(call, new.public)
    assert not is_standard(signed(file.load(11.0 + 2 * DAY), 11.0 + 2 * DAY), old.public)


def test_a_compromised_key_is_withdrawn_at_once(file):
    old = file.load(0.0).active
    keys = file.rotate(10.0, at_once=True)
    assert keys.active != old
    assert [key["kid"] for key in file.load(11.0).jwks()["keys"]] == [keys.active.kid]


def test_a_damaged_file_is_named_and_not_replaced(file):
    file.load(0.0)
    file.path.write_text('{"keys": [{}]}')
    with pytest.raises(OmnireelError, match=str(file.path)):
        file.load(0.0)
    assert Path(file.path).read_text() == '{"keys": [{}]}'
