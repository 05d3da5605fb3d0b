"""Commands about checkpoints and the machine they run on."""

# ruff: noqa: PLC0415  # imports inside commands: `--help` needs none of them

from pathlib import Path
from typing import Annotated

import typer

from omnireel.cli.failures import reports_failures
from omnireel.cli.flags import Model


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
    from omnireel.cli.doctor import examine
    from omnireel.settings import read_settings

    flags = {"host": host, "port": port, "data_dir": data_dir, "model": model}
    examine(read_settings(flags), as_json=as_json)


@reports_failures
def pull(
    model_id: Annotated[str, typer.Argument(metavar="MODEL", help="A name on the Hugging Face hub.")],
    *,
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="As of serve.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Download a checkpoint; then --model MODEL finds it. Goes on where a broken pull stopped."""
    from omnireel.cli.pull import pull_once
    from omnireel.settings import read_settings

    pull_once(model_id, read_settings({"data_dir": data_dir}), revision=revision, as_json=as_json)
