"""Keys for a server that asks for them, made beside it as the command line does."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from omnireel.store.keys import Grant, KeyStore, new_key, read_pepper, secret_digest
from omnireel.store.open import open_store


@contextmanager
def _keys_of(folder: Path) -> Iterator[KeyStore]:
    store = open_store(folder / "omnireel.db")
    try:
        yield store.keys
    finally:
        store.close()


def create_key(folder: Path, **granted: object) -> str:
    """A new key, as it is sent."""
    key_id, secret = new_key()
    digest = secret_digest(read_pepper(folder / "pepper"), secret)
    with _keys_of(folder) as keys:
        asyncio.run(keys.create(key_id, digest, Grant(**granted), now=time.time()))
    return f"{key_id}:{secret}"


def revoke_key(folder: Path, key: str) -> None:
    """End a key."""
    with _keys_of(folder) as keys:
        assert asyncio.run(keys.revoke(key.partition(":")[0], now=time.time())) is not None


def caller(url: str, key: str) -> httpx.Client:
    """Talks to a server with a key."""
    headers = {"authorization": f"Key {key}"}
    return httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False)
