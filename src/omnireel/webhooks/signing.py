"""Signs webhooks: Ed25519 keys in a file, the signed headers, and the document that publishes the keys.

Receivers may cache the published keys for a day. So a new key is published a day before it signs, and an old
one for a day after it last signed: every webhook can be verified during a rotation.
"""

# ruff: noqa: PLC0415  # a server that sends no webhooks does not load the cryptography library

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from omnireel.errors import OmnireelError
from omnireel.store.private import make_private
from omnireel.store.webhooks import Webhook

PUBLISHED_S = 24 * 3600.0
# The user id where requests need no key. Not empty, because receivers treat an empty header as missing.
ANONYMOUS = "anonymous"
# The characters of an account's name that a header can hold as they are; all others are percent-encoded.
_HEADER_SAFE = "".join(map(chr, range(32, 127)))


@dataclass(frozen=True)
class SigningKey:
    """One Ed25519 key. seed, public: 32 bytes each; signs_from: Unix seconds at which it replaces the key before."""

    seed: bytes
    public: bytes
    signs_from: float

    @property
    def kid(self) -> str:
        """The key's id: its JWK thumbprint, RFC 7638."""
        text = f'{{"crv":"Ed25519","kty":"OKP","x":"{_base64url(self.public)}"}}'
        return _base64url(hashlib.sha256(text.encode()).digest())

    @property
    def standard(self) -> str:
        """The public key in the format of Standard Webhooks."""
        return "whpk_" + base64.b64encode(self.public).decode()

    def sign(self, message: bytes) -> bytes:
        """The signature of `message`, 64 bytes."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)


@dataclass(frozen=True)
class SigningKeys:
    """The keys that are published now, in the order in which they sign.

    active: the key that signs now; keys before it have signed, keys after it will sign
    """

    published: Sequence[SigningKey]
    active: SigningKey

    def jwks(self) -> dict[str, Any]:
        """The JSON Web Key Set that receivers read, RFC 8037."""
        return {"keys": [
            {"kty": "OKP", "crv": "Ed25519", "x": _base64url(key.public), "kid": key.kid, "use": "sig",
             "alg": "EdDSA"}
            for key in self.published
        ]}  # fmt: skip

    def headers(self, webhook: Webhook, *, now: float) -> dict[str, str]:
        """fal's four headers and the three of Standard Webhooks; made anew for every attempt.

        fal's headers name no key and hold one signature, by the active key. Those of Standard Webhooks hold one
        signature by each published key, so a receiver that knows a single key can verify during a rotation.
        """
        timestamp, owner = str(int(now)), quote(webhook.owner or ANONYMOUS, safe=_HEADER_SAFE)
        lines = (webhook.job_id, owner, timestamp, hashlib.sha256(webhook.body).hexdigest())
        standard = f"{webhook.id}.{timestamp}.".encode() + webhook.body
        signers = (self.active, *(key for key in self.published if key != self.active))
        return {
            "X-Fal-Webhook-Request-Id": webhook.job_id,
            "X-Fal-Webhook-User-Id": owner,
            "X-Fal-Webhook-Timestamp": timestamp,
            "X-Fal-Webhook-Signature": self.active.sign("\n".join(lines).encode()).hex(),
            "webhook-id": webhook.id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(
                "v1a," + base64.b64encode(key.sign(standard)).decode() for key in signers
            ),
        }


@dataclass(frozen=True)
class KeyFile:
    """The file that holds the keys; several processes may use it at once.

    Every method raises OmnireelError where the file cannot be read, created or written.
    """

    path: Path

    def load(self, now: float) -> SigningKeys:
        """The published keys at `now`, in Unix seconds; creates the first key where there is none."""
        keys = self._read()
        if not keys:
            with self._locked():
                keys = self._read() or self._write([_new_key(signs_from=now)])
        return _published(keys, now)

    def rotate(self, now: float, *, at_once: bool) -> SigningKeys:
        """Create a new key. It signs from a day after `now` on, when every receiver has read it.

        at_once: it signs immediately and all other keys are withdrawn; for a key that may have leaked
        """
        self.load(now)
        with self._locked():
            old = [] if at_once else list(_published(self._read(), now).published)
            new = _new_key(signs_from=now if at_once else now + PUBLISHED_S)
            return _published(self._write([*old, new]), now)

    def _read(self) -> list[SigningKey]:
        try:
            make_private(self.path)
            stored = json.loads(self.path.read_bytes())
            return [_stored_key(item) for item in stored["keys"]]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error.strerror) from None
        except (ValueError, KeyError, TypeError):
            raise self._unusable("it is damaged") from None

    def _write(self, keys: list[SigningKey]) -> list[SigningKey]:
        """Replace the whole file; at no moment can another user read it."""
        content = json.dumps({"keys": [_to_store(key) for key in keys]}, indent=1)
        new = self.path.with_suffix(".new")
        try:
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        except OSError as error:
            raise self._unusable(error.strerror) from None
        return keys

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock file, so that two processes do not each create a key."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self.path.with_suffix(".lock").open("w")
        except OSError as error:
            raise self._unusable(error.strerror) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _unusable(self, why: str | None) -> OmnireelError:
        return OmnireelError(
            f"The signing keys of webhooks in {self.path} cannot be used: {why}.",
            hint="Fix the file's permissions or restore it. If you delete it, receivers have to trust a new key.",
        )


def _published(keys: list[SigningKey], now: float) -> SigningKeys:
    ordered = sorted(keys, key=lambda key: key.signs_from)
    active = max(index for index, key in enumerate(ordered) if key.signs_from <= now or index == 0)
    withdrawn_at = [key.signs_from + PUBLISHED_S for key in ordered[1:]]
    kept = [key for key, end_s in zip(ordered[:active], withdrawn_at, strict=False) if end_s > now]
    return SigningKeys((*kept, *ordered[active:]), ordered[active])


def _new_key(*, signs_from: float) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    return SigningKey(private.private_bytes_raw(), private.public_key().public_bytes_raw(), signs_from)


def _to_store(key: SigningKey) -> dict[str, Any]:
    return {
        "signs_from": key.signs_from,
        "public": _base64url(key.public),
        "private": _base64url(key.seed),
    }


def _stored_key(item: Mapping[str, Any]) -> SigningKey:
    seed, public = (base64.urlsafe_b64decode(item[name] + "=") for name in ("private", "public"))
    if (len(seed), len(public)) != (32, 32):
        raise ValueError
    return SigningKey(seed, public, float(item["signs_from"]))


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
