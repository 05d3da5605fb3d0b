"""Keys for a server that asks for them, made beside it as the command line does."""

import time
from pathlib import Path

import httpx

from omnireel.store.sqlite import keys
from omnireel.store.sqlite.database import transaction
from omnireel.store.sqlite.keys import Grant


def create_key(folder: Path, **granted: object) -> str:
    """A new key, as it is sent."""
    with transaction(folder / "omnireel.db") as db:
        key, secret = keys.create(db, keys.read_pepper(folder / "pepper"), Grant(**granted), now=time.time())
    return f"{key.id}:{secret}"


def revoke_key(folder: Path, key: str) -> None:
    """End a key."""
    with transaction(folder / "omnireel.db") as db:
        assert keys.revoke(db, key.partition(":")[0], now=time.time()) is not None


def caller(url: str, key: str) -> httpx.Client:
    """Talks to a server with a key."""
    headers = {"authorization": f"Key {key}"}
    return httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False)
