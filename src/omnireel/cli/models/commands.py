"""Commands about checkpoints and the machine they run on."""

# ruff: noqa: PLC0415  # imports inside commands, as in cli/__init__.py

from pathlib import Path
from typing import Annotated

import typer

from omnireel.cli.failures import reports_failures
from omnireel.cli.flags import Model

DataDir = Annotated[Path | None, typer.Option(help="Where omnireel keeps its files.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@reports_failures
def doctor(
    *,
    host: Annotated[str | None, typer.Option(show_default="127.0.0.1", help="As of serve.")] = None,
    port: Annotated[int | None, typer.Option(show_default="8000", help="As of serve.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="As of serve.")] = None,
    model: Model = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at this machine: what fits on it, and whether serve would start (then the exit code is 0)."""
    from omnireel.cli.models.doctor import examine
    from omnireel.settings import read_settings

    flags = {"host": host, "port": port, "data_dir": data_dir, "model": model}
    examine(read_settings(flags), as_json=as_json)


@reports_failures
def pull(
    model_id: Annotated[str, typer.Argument(metavar="HF_ID", help="Owner and name on the Hugging Face hub.")],
    *,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence of a model that is given out so.")
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Download a checkpoint from the Hugging Face hub, or go on with a download that was cut off."""
    from omnireel.cli.models.pull import pull_once
    from omnireel.settings import read_settings

    settings = read_settings({"data_dir": data_dir})
    pull_once(model_id, settings, accepts_licence=accept_licence, as_json=as_json)
