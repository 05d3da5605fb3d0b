"""Makes keys for a server that asks for them, in the server's store, as the command line does."""

import asyncio
import time
from contextlib import closing
from pathlib import Path

import httpx

from omnireel.store.keys import Grant, new_key, read_pepper, secret_digest
from omnireel.store.open import open_store


def create_key(folder: Path, **granted: object) -> str:
    """Make a key. Returns it in the form in which clients send it."""
    key_id, secret = new_key()
    digest = secret_digest(read_pepper(folder / "pepper"), secret)
    with closing(open_store(folder / "omnireel.db")) as store:
        asyncio.run(store.keys.create(key_id, digest, Grant(**granted), now=time.time()))
    return f"{key_id}:{secret}"


def revoke_key(folder: Path, key: str) -> None:
    """Revoke a key, which must exist."""
    with closing(open_store(folder / "omnireel.db")) as store:
        assert asyncio.run(store.keys.revoke(key.partition(":")[0], now=time.time())) is not None


def spent_micro(folder: Path, key: str) -> int:
    """The charges of a key, in millionths of a US dollar."""
    with closing(open_store(folder / "omnireel.db")) as store:
        keys = asyncio.run(store.keys.all(now=time.time()))
    return next(one.spent_micro for one in keys if one.key.id == key.partition(":")[0])


def caller(url: str, key: str) -> httpx.Client:
    """An HTTP client that sends a key."""
    headers = {"authorization": f"Key {key}"}
    return httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False)
