"""Tokens that stand for an account on the cdn door for a while: one of the official clients wants them."""

from __future__ import annotations

import hashlib

from omnireel.store.sqlite.database import Connection


def hash_of(token: str) -> bytes:
    """What is stored of a secret: who reads the database can use none. Tokens are random, so no salt."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def add(db: Connection, token: str, owner: str, *, expires_at: float) -> None:
    """Let a token stand for its owner for a while."""
    db.execute("INSERT INTO cdn_tokens VALUES (?, ?, ?)", (hash_of(token), owner, expires_at))


def owner_of(db: Connection, token: str, *, now: float) -> str | None:
    """Whom a token stands for; None where it is unknown or old."""
    known = "SELECT owner FROM cdn_tokens WHERE token_hash = ? AND expires_at > ?"
    rows = db.execute(known, (hash_of(token), now)).fetchall()
    return str(rows[0][0]) if rows else None
