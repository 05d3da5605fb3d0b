"""`omnireel keys`: makes, lists and revokes the API keys of a server."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from omnireel.cli.failures import data_dir_flag, typed
from omnireel.errors import OmnireelError
from omnireel.settings import KeySettings, Settings
from omnireel.storage.directories import check_directory, make_directory
from omnireel.store.keys import Grant, KeySpending, new_key, read_pepper, secret_digest
from omnireel.store.open import open_store
from omnireel.store.store import Store

_T = TypeVar("_T")
_COLUMNS = ("key", "account", "name", "limits", "spent", "this month", "created", "revoked")
# Wider than any table: the width that a table would like to have is measured with it.
_ANY_WIDTH = 10_000


def create_key(settings: Settings, wanted: KeySettings, *, as_json: bool) -> None:
    """Make a key and print it. Its secret cannot be shown again."""
    grant = Grant(
        wanted.account, wanted.key_name or "", wanted.admin, wanted.max_per_minute, wanted.max_unfinished,
        wanted.cap_usd, wanted.monthly_cap_usd,
    )  # fmt: skip
    make_directory(settings.data_directory)
    key_id, secret = new_key()
    digest = secret_digest(read_pepper(settings.pepper_path), secret)
    key = _with_store(settings, lambda store: store.keys.create(key_id, digest, grant, now=time.time()))
    report = _report(KeySpending(key, 0, 0)) | {"key": f"{key.id}:{secret}"}
    if as_json:
        typer.echo(json.dumps(report))
        return
    typer.echo(report["key"])
    typer.echo(
        f"Account {key.account}. The key is not shown again: store it now, for instance as FAL_KEY.", err=True
    )


def list_keys(settings: Settings, *, as_json: bool) -> None:
    """Print every key, without its secret, and what it spent."""
    none: list[KeySpending] = []
    keys = _in_known_store(settings, lambda store: store.keys.all(now=time.time()), none)
    reports = [_report(spending) for spending in keys]
    if as_json:
        typer.echo(json.dumps({"keys": reports}))
        return
    print_rows(_COLUMNS, [_shown(report) for report in reports], Console(highlight=False, markup=False))


def revoke_key(settings: Settings, key_id: str, *, as_json: bool) -> None:
    """Revoke a key, from the next request on. Raises OmnireelError if no key has that id."""
    bare_id = key_id.partition(":")[0]
    spending = _in_known_store(settings, lambda store: store.keys.revoke(bare_id, now=time.time()), None)
    if spending is None:
        raise OmnireelError(
            f"There is no key with the id {bare_id!r}.",
            hint=f"`{typed('keys', 'list', *data_dir_flag(settings))}` shows the ids of all keys.",
        )
    typer.echo(json.dumps(_report(spending)) if as_json else f"{spending.key.id} is revoked")


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """A table where no value has to be broken for it; else the values of each row below each other.

    The first value of a row names it.
    """
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*row)
    if table.__rich_measure__(console, console.options.update(max_width=_ANY_WIDTH)).maximum <= console.width:
        console.print(table)
        return
    for row in rows:
        console.print(row[0], no_wrap=True)
        values = Table(show_header=False, box=None, padding=(0, 0, 0, 2))
        values.add_column(no_wrap=True)
        values.add_column(overflow="fold")
        for name, value in zip(columns[1:], row[1:], strict=True):
            if value:
                values.add_row(name, value)
        console.print(values)


def _shown(report: dict[str, Any]) -> tuple[str, ...]:
    """A key's values in the order of _COLUMNS."""
    return (
        report["id"],
        report["account"],
        report["name"],
        _limits(report),
        f"${report['spent_usd']:.6f}",
        f"${report['spent_this_month_usd']:.6f}",
        report["created_at"][:10],
        (report["revoked_at"] or "")[:10],
    )


def _in_known_store(settings: Settings, work: Callable[[Store], Coroutine[Any, Any, _T]], missing: _T) -> _T:
    """What `work` returns; `missing`, and no store is made, where there is none."""
    if settings.store_path.exists():
        return _with_store(settings, work)
    check_directory(settings.data_directory)
    typer.echo(f"There is no store at {settings.store_path}.", err=True)
    return missing


def _with_store(settings: Settings, work: Callable[[Store], Coroutine[Any, Any, _T]]) -> _T:
    make_directory(settings.data_directory)
    with closing(open_store(settings.store_path)) as store:
        return asyncio.run(work(store))


def _report(spending: KeySpending) -> dict[str, Any]:
    key, grant = spending.key, spending.key.grant
    return {
        "id": key.id,
        "account": key.account,
        "name": grant.name,
        "scope": "ADMIN" if grant.is_admin else "API",
        "max_per_minute": grant.max_per_minute,
        "max_unfinished": grant.max_unfinished,
        "cap_usd": _usd(grant.cap_micro),
        "monthly_cap_usd": _usd(grant.monthly_cap_micro),
        "spent_usd": _usd(spending.spent_micro),
        "spent_this_month_usd": _usd(spending.spent_this_month_micro),
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
