"""Keys for a server that asks for them, made beside it as the command line does."""

import asyncio
import time
from contextlib import closing
from pathlib import Path

import httpx

from omnireel.store.keys import Grant, new_key, read_pepper, secret_digest
from omnireel.store.open import open_store


def create_key(folder: Path, **granted: object) -> str:
    """A new key, as it is sent."""
    key_id, secret = new_key()
    digest = secret_digest(read_pepper(folder / "pepper"), secret)
    with closing(open_store(folder / "omnireel.db")) as store:
        asyncio.run(store.keys.create(key_id, digest, Grant(**granted), now=time.time()))
    return f"{key_id}:{secret}"


def revoke_key(folder: Path, key: str) -> None:
    """End a key."""
    with closing(open_store(folder / "omnireel.db")) as store:
        assert asyncio.run(store.keys.revoke(key.partition(":")[0], now=time.time())) is not None


def spent_micro(folder: Path, key: str) -> int:
    """What a key was charged, in millionths of a US dollar."""
    with closing(open_store(folder / "omnireel.db")) as store:
        keys = asyncio.run(store.keys.all(now=time.time()))
    return next(one.spent_micro for one in keys if one.key.id == key.partition(":")[0])


def caller(url: str, key: str) -> httpx.Client:
    """Talks to a server with a key."""
    headers = {"authorization": f"Key {key}"}
    return httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False)
