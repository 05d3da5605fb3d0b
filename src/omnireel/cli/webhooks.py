"""`omnireel webhooks`: shows webhooks and their attempts, sends webhooks again, and manages the signing keys.

The commands work on the data directory, whether or not a server is running on it.
"""

# ruff: noqa: PLC0415  # imports inside commands, as in cli/__init__.py

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from omnireel.cli.failures import printable
from omnireel.cli.flags import CommandGroup, Json, command
from omnireel.errors import OmnireelError, SettingsError
from omnireel.settings import Settings
from omnireel.storage.directories import unusable_directory

if TYPE_CHECKING:
    from omnireel.store.store import Store
    from omnireel.store.webhooks import LogEntry
    from omnireel.webhooks.signing import SigningKeys

_T = TypeVar("_T")
_STATES = ("waiting", "delivered", "given_up")

app = typer.Typer(
    cls=CommandGroup,
    help="Webhooks: the delivery log, sending again, the signing keys.",
    no_args_is_help=True,
)


@command(app, "webhooks list")
def list_webhooks(
    request_id: Annotated[
        str | None,
        typer.Argument(metavar="[REQUEST_ID]", help="Only the webhook of this request, with its attempts."),
    ] = None,
    *,
    state: Annotated[
        str | None, typer.Option(metavar="|".join(_STATES), help="Only webhooks in this state.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of webhooks shown.")] = 50,
    settings: Settings,
    as_json: Json = False,
) -> None:
    """Show webhooks, newest first: state, attempts, answers, next attempt."""
    if state not in (None, *_STATES):
        raise SettingsError(f"--state is {state!r}; it can be {', '.join(_STATES)}.")

    async def read(store: Store) -> list[LogEntry]:
        return await store.webhooks.read_log(job_id=request_id, state=state, limit=limit)  # type: ignore[arg-type]

    entries = _with_store(settings, read)
    if request_id is not None and state is None and not entries:
        raise _unknown(request_id)
    if as_json:
        typer.echo(json.dumps({"webhooks": [_report(entry) for entry in entries]}, ensure_ascii=False))
    elif not entries:
        typer.echo("no webhooks", err=True)
    else:
        _print_table(entries, is_one=request_id is not None)


@command(app, "webhooks replay")
def replay(
    request_ids: Annotated[
        list[str] | None, typer.Argument(metavar="REQUEST_ID...", help="Whose webhooks to send again.")
    ] = None,
    *,
    given_up: Annotated[
        bool, typer.Option("--given-up", help="Also all webhooks that were given up.")
    ] = False,
    settings: Settings,
    as_json: Json = False,
) -> None:
    """Send webhooks again, delivered or given up. A running server sends them, with as many attempts as new ones."""
    if not request_ids and not given_up:
        raise SettingsError("Say which webhooks to replay: a request id, or --given-up.")

    async def send_again(store: Store) -> list[str]:
        wanted = [*(request_ids or []), *(await store.webhooks.given_up() if given_up else [])]
        results = await store.webhooks.replay(wanted, now=store.now())
        for job_id, result in results.items():
            if result == "unknown":
                raise _unknown(job_id)
            if result == "not_kept":
                raise OmnireelError(f"The webhook of {job_id} was delivered, and its content was not kept.")
        return list(results)

    due = _with_store(settings, send_again)
    typer.echo(json.dumps({"replayed": due}) if as_json else _replayed(len(due)))


def _unknown(request_id: str) -> OmnireelError:
    return OmnireelError(f"There is no webhook of a request {request_id!r}, or it was deleted.")


def _replayed(count: int) -> str:
    if count == 0:
        return "No webhook was given up."
    return f"{count} webhook{'s' if count > 1 else ''} will be sent now."


@command(app, "webhooks keys")
def keys(*, settings: Settings, as_json: Json = False) -> None:
    """Show the public keys with which receivers verify signatures, and when each one signs."""
    from omnireel.webhooks.signing import KeyFile

    path = settings.webhook_keys_path
    _show_keys(KeyFile(path).load(time.time()), as_json=as_json)


@command(app, "webhooks rotate")
def rotate(
    *,
    now: Annotated[
        bool,
        typer.Option("--now", help="Withdraw the old keys at once, because they may be known to others."),
    ] = False,
    settings: Settings,
    as_json: Json = False,
) -> None:
    """Make a new key. It is published now and signs in 24 hours. The old key stays valid for 24 hours after that."""
    from omnireel.webhooks.signing import KeyFile

    path = settings.webhook_keys_path
    _show_keys(KeyFile(path).rotate(time.time(), at_once=now), as_json=as_json)


def _with_store(settings: Settings, work: Callable[[Store], Coroutine[Any, Any, _T]]) -> _T:
    """What `work` returns. Raises OmnireelError if there is no store."""
    from omnireel.store.open import open_store

    try:
        is_there = settings.store_path.exists()
    except OSError as error:
        raise unusable_directory(settings.data_directory, error) from None
    if not is_there:
        raise OmnireelError(
            f"There is no store at {settings.store_path}.", hint="Name the server's --data-dir."
        )
    with closing(open_store(settings.store_path)) as store:
        return asyncio.run(work(store))


def _report(entry: LogEntry) -> dict[str, Any]:
    return {
        "request_id": entry.job_id,
        "webhook_id": entry.id,
        "url": entry.url,
        "state": entry.state,
        "created_at": _iso(entry.created_at),
        "next_attempt_at": None if entry.next_at is None else _iso(entry.next_at),
        "attempts": [
            {"at": _iso(one.at), "status": one.status, "error": one.error, "seconds": one.seconds}
            for one in entry.deliveries
        ],
    }


def _print_table(entries: list[LogEntry], *, is_one: bool) -> None:
    from rich.console import Console

    from omnireel.cli.keys import print_rows

    rows = []
    for entry in entries:
        last = entry.deliveries[-1] if entry.deliveries else None
        answer = "" if last is None else str(last.status or last.error)
        following = "" if entry.next_at is None else _iso(entry.next_at)
        rows.append((entry.job_id, entry.state, str(len(entry.deliveries)), answer, following))
    print_rows(
        ("request", "state", "attempts", "last answer", "next attempt"),
        rows,
        Console(highlight=False, markup=False),
    )
    for entry in entries if is_one else ():
        typer.echo(printable(f"to {entry.url}"))
        for number, one in enumerate(entry.deliveries, 1):
            line = f"{number:3}  {_iso(one.at)}  {one.status or one.error}, took {one.seconds:g} s"
            typer.echo(printable(line))


def _show_keys(keys: SigningKeys, *, as_json: bool) -> None:
    shown = [
        {
            "kid": key.kid,
            "public": key.standard,
            "signs": key == keys.active,
            "signs_from": _iso(key.signs_from),
        }
        for key in keys.published
    ]
    if as_json:
        typer.echo(json.dumps({"keys": shown}))
        return
    for key in shown:
        typer.echo(f"{key['public']}  signs {'now' if key['signs'] else 'from ' + str(key['signs_from'])}")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
