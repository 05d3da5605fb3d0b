"""`omnireel keys`: who may call a server that asks for keys, and how much they may spend."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from omnireel.errors import OmnireelError
from omnireel.settings import KeySettings, Settings
from omnireel.store.sqlite import keys
from omnireel.store.sqlite.admission import month_of, spent_micro
from omnireel.store.sqlite.database import Connection, transaction
from omnireel.store.sqlite.keys import Grant, Key


def create_key(settings: Settings, wanted: KeySettings, *, as_json: bool) -> None:
    """Make a key and print it, this once."""
    grant = Grant(
        wanted.account, wanted.key_name or "", wanted.admin, wanted.max_per_minute, wanted.max_unfinished,
        wanted.cap_usd, wanted.monthly_cap_usd,
    )  # fmt: skip
    pepper = keys.read_pepper(settings.pepper_path)
    with transaction(settings.store_path) as db:
        key, secret = keys.create(db, pepper, grant, now=time.time())
        report = _report(db, key) | {"key": f"{key.id}:{secret}"}
    if as_json:
        typer.echo(json.dumps(report))
        return
    typer.echo(report["key"])
    typer.echo(
        f"account {key.account}; the key is shown this once: keep it, as FAL_KEY for instance", err=True
    )


def list_keys(settings: Settings, *, as_json: bool) -> None:
    """Print every key, without its secret, and what it spent."""
    with transaction(settings.store_path) as db:
        reports = [_report(db, key) for key in keys.all_keys(db)]
    if as_json:
        typer.echo(json.dumps({"keys": reports}))
        return
    table = Table()
    for name in ("key", "account", "name", "limits", "spent", "this month", "created", "revoked"):
        table.add_column(name, no_wrap=name == "key", overflow="fold")
    for report in reports:
        table.add_row(
            report["id"], report["account"], report["name"], _limits(report), f"${report['spent_usd']:.6f}",
            f"${report['spent_this_month_usd']:.6f}", report["created_at"][:10],
            (report["revoked_at"] or "")[:10],
        )  # fmt: skip
    Console().print(table)


def revoke_key(settings: Settings, key_id: str, *, as_json: bool) -> None:
    """End a key, from the next request on. Raises OmnireelError where there is none of that id."""
    with transaction(settings.store_path) as db:
        key = keys.revoke(db, key_id.partition(":")[0], now=time.time())
        if key is None:
            raise OmnireelError("there is no such key", hint="`omnireel keys list` shows their ids")
        report = _report(db, key)
    typer.echo(json.dumps(report) if as_json else f"{key.id} is revoked")


def _report(db: Connection, key: Key) -> dict[str, Any]:
    grant = key.grant
    return {
        "id": key.id,
        "account": key.account,
        "name": grant.name,
        "scope": "ADMIN" if grant.is_admin else "API",
        "max_per_minute": grant.max_per_minute,
        "max_unfinished": grant.max_unfinished,
        "cap_usd": _usd(grant.cap_micro),
        "monthly_cap_usd": _usd(grant.monthly_cap_micro),
        "spent_usd": _usd(spent_micro(db, key.id)),
        "spent_this_month_usd": _usd(spent_micro(db, key.id, month=month_of(time.time()))),
        "created_at": _moment(key.created_at),
        "revoked_at": None if key.revoked_at is None else _moment(key.revoked_at),
    }


def _limits(report: dict[str, Any]) -> str:
    parts = [report["scope"].lower()] if report["scope"] == "ADMIN" else []
    for name, text in (
        ("max_per_minute", "{} a minute"), ("max_unfinished", "{} unfinished"), ("cap_usd", "${:g}"),
        ("monthly_cap_usd", "${:g} a month"),
    ):  # fmt: skip
        if report[name] is not None:
            parts.append(text.format(report[name]))
    return ", ".join(parts)


def _usd(micro: int | None) -> float | None:
    return None if micro is None else micro / 1e6


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
