"""Commands about checkpoints and the machine they run on."""

# ruff: noqa: PLC0415  # imports inside commands, as in cli/__init__.py

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from omnireel.cli.flags import Json, command
from omnireel.settings import Settings
from omnireel.settings.needs import refuse_without_effect


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    command(app, "doctor")(doctor)
    command(app, "pull")(pull)
    command(app, "pack")(pack)


def doctor(*, settings: Settings, as_json: Json = False) -> None:
    """Show what fits on this machine, and whether serve would start. If it would, the exit code is 0.

    With model servers elsewhere, check them instead.
    """
    refuse_without_effect(settings, "doctor")
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
    gguf: Annotated[
        bool,
        typer.Option("--gguf", help="Only what belongs to a GGUF: the GGUF itself, or the encoders for one."),
    ] = False,
    gguf_file: Annotated[
        str | None,
        typer.Option("--gguf-file", metavar="NAME", help="The GGUF, where a repository has several."),
    ] = None,
    without_weights: Annotated[
        bool,
        typer.Option(
            "--without-weights",
            help="Only config, tokenizer and template: all that model servers elsewhere need here.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Download a checkpoint from the Hugging Face hub, or continue a download that was interrupted.

    With --gguf: the GGUF of a repository that has some, and of others only the encoders that belong to it.
    """
    from omnireel.cli.models.pull import PullOptions, pull_once

    chosen = "" if gguf and gguf_file is None else gguf_file
    options = PullOptions(accept_licence, gguf=chosen, has_weights=not without_weights)
    pull_once(model_id, settings, options, as_json=as_json)


def pack(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="demo, a directory, or the id of a pulled model.")
    ],
    *,
    settings: Settings,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The directory to make.")],
    matrices: Annotated[
        str,
        typer.Option(
            "--type", metavar="TYPE", help="f32, bf16, q8_0, q4_k, q4_0, or nvfp4 (experts as they are)."
        ),
    ] = "q8_0",
    experts: Annotated[
        str | None, typer.Option("--experts", metavar="TYPE", help="Another type for the routed experts.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a directory with a quantised GGUF from a checkpoint, or continue after an interruption."""
    from omnireel.cli.models.pack import pack_once

    pack_once(replace(settings, model=checkpoint), out, matrices=matrices, experts=experts, as_json=as_json)
