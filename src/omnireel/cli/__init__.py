"""The `omnireel` command and its subcommands: their flags and exit codes. Other modules do the work.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no usable weights, 130 interrupted.
Each command imports what it needs when it runs, because loading torch would make `--help` slow.
"""

# ruff: noqa: PLC0415  # imports inside commands, see above

from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer

from omnireel.cli import key_commands, webhooks
from omnireel.cli.flags import CommandGroup, Json, Prompt, Video, command
from omnireel.cli.models import commands as checkpoint_commands
from omnireel.settings import AskSettings, Settings

app = typer.Typer(
    cls=CommandGroup,
    help="A self-hosted video-reasoning endpoint: an mp4 and a prompt go in, text comes out.",
    epilog="Every setting is a flag, a variable (--max-tokens: OMNIREEL_MAX_TOKENS) and a line of omnireel.toml.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(key_commands.app, name="keys")


def main() -> None:
    """Run the command line."""
    app()


@command(app, "ask")
def ask(
    video: Video, prompt: Prompt, *, settings: Settings, asked: AskSettings, as_json: Json = False
) -> None:
    """Ask a question about a video. The answer is printed while it is generated."""
    from omnireel.cli.ask import ask_once

    ask_once(video, prompt, settings, asked=asked, as_json=as_json)


@command(app, "inspect")
def inspect(
    video: Video,
    prompt: Annotated[
        str, typer.Argument(metavar="[PROMPT]", help="The question, if its tokens should be counted.")
    ] = "",
    *,
    settings: Settings,
    asked: AskSettings,
    as_json: Json = False,
) -> None:
    """Show which frames would be used and how many tokens they cost. Nothing is generated."""
    from omnireel.cli.inspect import inspect_once

    inspect_once(video, prompt, settings, asked=asked, as_json=as_json)


@command(app, "trace")
def trace(
    video: Video,
    prompt: Prompt,
    *,
    settings: Settings,
    asked: AskSettings,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The .safetensors file to write.")],
) -> None:
    """Write the intermediate tensors of a greedy answer, for comparison with other implementations."""
    from omnireel.cli.trace import trace_once

    trace_once(video, prompt, settings, asked=asked, out=out)


@command(app, "serve")
def serve(*, settings: Settings) -> None:
    """Serve the endpoint over HTTP, and over HTTPS with --tls dev."""
    from omnireel.cli.serve import serve_forever

    serve_forever(settings)


@command(app, "worker")
def worker(*, settings: Settings) -> None:
    """Run queued jobs of a server on the same machine, in a separate process. Several workers can run at once."""
    from omnireel.cli.worker import work_forever

    work_forever(settings)


checkpoint_commands.add_to(app)


@command(app, "version")
def version() -> None:
    """Print the version."""
    typer.echo(f"omnireel {installed_version('omnireel')}")


def _print_version(is_asked: bool) -> None:
    if is_asked:
        version()
        raise typer.Exit


@app.callback()
def _options(
    *,
    is_version_asked: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_print_version,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """The options of `omnireel` without a command. The callback of --version has already handled it."""
