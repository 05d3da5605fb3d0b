"""The flags of `omnireel keys`."""

# ruff: noqa: PLC0415  # imports inside commands, as in cli/__init__.py

from pathlib import Path
from typing import Annotated

import typer

from omnireel.cli.failures import reports_failures

app = typer.Typer(help="Keys for a server that runs with --auth keys.", no_args_is_help=True)

DataDir = Annotated[Path | None, typer.Option(help="Where the server keeps its files.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
@reports_failures
def create(
    *,
    account: Annotated[str | None, typer.Option(help="Whose jobs; default: an account of its own.")] = None,
    key_name: Annotated[str | None, typer.Option(help="A note for people.")] = None,
    admin: Annotated[bool | None, typer.Option("--admin", help="May see what all accounts used.")] = None,
    max_per_minute: Annotated[int | None, typer.Option(help="Most requests in any minute.")] = None,
    max_unfinished: Annotated[int | None, typer.Option(help="Most jobs that wait or run at a time.")] = None,
    cap_usd: Annotated[str | None, typer.Option(help="Most that it may spend, in US dollars.")] = None,
    monthly_cap_usd: Annotated[
        str | None, typer.Option(help="Most that it may spend in a calendar month (UTC).")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once."""
    from omnireel.cli.keys import create_key
    from omnireel.settings import read_key_settings, read_settings

    wanted = read_key_settings(
        {
            "account": account,
            "key_name": key_name,
            "admin": admin,
            "max_per_minute": max_per_minute,
            "max_unfinished": max_unfinished,
            "cap_usd": cap_usd,
            "monthly_cap_usd": monthly_cap_usd,
        }
    )
    create_key(read_settings({"data_dir": data_dir}), wanted, as_json=as_json)


@app.command("list")
@reports_failures
def list_all(*, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show all keys, without their secrets, and what they spent."""
    from omnireel.cli.keys import list_keys
    from omnireel.settings import read_settings

    list_keys(read_settings({"data_dir": data_dir}), as_json=as_json)


@app.command()
@reports_failures
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.")],
    *,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """End a key at once, also in servers that are running; jobs that it sent already still run."""
    from omnireel.cli.keys import revoke_key
    from omnireel.settings import read_settings

    revoke_key(read_settings({"data_dir": data_dir}), key_id, as_json=as_json)
