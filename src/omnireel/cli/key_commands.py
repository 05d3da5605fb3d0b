"""The commands of `omnireel keys`."""

# ruff: noqa: PLC0415  # imports inside commands, as in cli/__init__.py

from typing import Annotated

import typer

from omnireel.cli.flags import CommandGroup, Json, command
from omnireel.settings import KeySettings, Settings

app = typer.Typer(
    cls=CommandGroup, help="API keys for a server that runs with --auth keys.", no_args_is_help=True
)


@command(app, "keys create")
def create(*, wanted: KeySettings, settings: Settings, as_json: Json = False) -> None:
    """Make a key and print it. Its secret is shown only this once."""
    from omnireel.cli.keys import create_key

    create_key(settings, wanted, as_json=as_json)


@command(app, "keys list")
def list_all(*, settings: Settings, as_json: Json = False) -> None:
    """Show all keys, without their secrets, and what they spent."""
    from omnireel.cli.keys import list_keys

    list_keys(settings, as_json=as_json)


@command(app, "keys revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.")],
    *,
    settings: Settings,
    as_json: Json = False,
) -> None:
    """Revoke a key at once, also in running servers. Jobs that it has already sent still run."""
    from omnireel.cli.keys import revoke_key

    revoke_key(settings, key_id, as_json=as_json)
