"""Commands about checkpoints and the machine they run on."""

# ruff: noqa: PLC0415  # imports inside commands, as in cli/__init__.py

from typing import Annotated

import typer

from omnireel.cli.flags import Json, command
from omnireel.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    command(app, "doctor")(doctor)
    command(app, "pull")(pull)


def doctor(*, settings: Settings, as_json: Json = False) -> None:
    """Show what fits on this machine, and whether serve would start. If it would, the exit code is 0.

    With model servers elsewhere, check them instead.
    """
    if settings.backend not in ("local", "echo"):
        from omnireel.cli.backend import checkpoint_directory
        from omnireel.cli.models.check_servers import check_servers

        check_servers(settings, checkpoint_directory(settings), as_json=as_json)
        return
    from omnireel.cli.models.doctor import examine

    examine(settings, as_json=as_json)


def pull(
    model_id: Annotated[str, typer.Argument(metavar="HF_ID", help="Owner and name on the Hugging Face hub.")],
    *,
    settings: Settings,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence of a model that requires it.")
    ] = False,
    without_weights: Annotated[
        bool,
        typer.Option(
            "--without-weights",
            help="Only config, tokenizer and template: all that model servers elsewhere need here.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Download a checkpoint from the Hugging Face hub, or continue a download that was interrupted."""
    from omnireel.cli.models.pull import PullOptions, pull_once

    options = PullOptions(accept_licence, has_weights=not without_weights)
    pull_once(model_id, settings, options, as_json=as_json)
