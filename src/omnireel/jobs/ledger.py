"""Money that was charged, in millionths of a US dollar; written by `store`, where jobs end."""

from __future__ import annotations

from omnireel.jobs.database import Connection
from omnireel.jobs.rows import count


def balance_micro(db: Connection, owner: str, *, since: float = 0.0) -> int:
    """What an owner was charged, less refunds, in millionths of a US dollar."""
    return count(
        db,
        """SELECT coalesce(sum(CASE kind WHEN 'charge' THEN amount_micro ELSE -amount_micro END), 0)
           FROM ledger WHERE owner = ? AND at >= ?""",
        (owner, since),
    )
