"""The `omnireel` command: flags in, exit codes out; the work is done elsewhere.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no usable weights, 130 interrupted.
Commands import what they need when they run: loading torch takes longer than `--help` may take.
"""

# ruff: noqa: PLC0415  # imports inside commands, see above

from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer

from omnireel.cli import key_commands, webhooks
from omnireel.cli.failures import reports_failures

app = typer.Typer(
    help="A self-hosted video-reasoning endpoint: an mp4 and a prompt go in, text comes out.",
    epilog="Every flag can be set by a variable (--max-tokens: OMNIREEL_MAX_TOKENS) or in omnireel.toml.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(key_commands.app, name="keys")

Video = Annotated[
    str, typer.Argument(metavar="VIDEO", help="A video file, an https address, or a data: URI.")
]
Model = Annotated[str | None, typer.Option(show_default="demo", help="demo, or a checkpoint's directory.")]
Think = Annotated[bool | None, typer.Option("--think/--no-think", help="Reason first, then answer.")]
System = Annotated[str | None, typer.Option(help="System message.")]
Seed = Annotated[int | None, typer.Option(help="Same seed, same answer.")]
MaxTokens = Annotated[int | None, typer.Option(show_default="1024", help="Most tokens of the answer.")]
Temperature = Annotated[float | None, typer.Option(show_default="0.7", help="0 takes the likeliest token.")]
TopP = Annotated[float | None, typer.Option(show_default="0.95", help="Share of probability to draw from.")]
Start = Annotated[float | None, typer.Option(metavar="SECOND", help="Look from here on.")]
End = Annotated[float | None, typer.Option(metavar="SECOND", help="Look up to here.")]
Fps = Annotated[float | None, typer.Option(show_default="2", help="Frames looked at per second.")]
MaxFrames = Annotated[int | None, typer.Option(show_default="256", help="Most frames looked at.")]
PruningRate = Annotated[float | None, typer.Option(help="Share of vision tokens to drop.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, as the endpoint answers.")]


def main() -> None:
    """Run the command line."""
    app()


@app.command()
@reports_failures
def ask(
    video: Video,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="The question or instruction.")],
    *,
    model: Model = None,
    think: Think = None,
    system: System = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Seed = None,
    start: Start = None,
    end: End = None,
    fps: Fps = None,
    max_frames: MaxFrames = None,
    video_pruning_rate: PruningRate = None,
    as_json: Json = False,
) -> None:
    """Ask a question about a video; the answer is printed as it is written."""
    from omnireel.cli.ask import ask_once
    from omnireel.settings import read_ask_settings, read_settings

    asked = read_ask_settings(
        {
            "think": think,
            "system": system,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "seed": seed,
            "start": start,
            "end": end,
            "fps": fps,
            "max_frames": max_frames,
            "video_pruning_rate": video_pruning_rate,
        }
    )
    ask_once(video, prompt, read_settings({"model": model}), asked=asked, as_json=as_json)


@app.command()
@reports_failures
def inspect(
    video: Video,
    prompt: Annotated[
        str, typer.Argument(metavar="[PROMPT]", help="The question, if it is to be counted.")
    ] = "",
    *,
    model: Model = None,
    think: Think = None,
    system: System = None,
    start: Start = None,
    end: End = None,
    fps: Fps = None,
    max_frames: MaxFrames = None,
    video_pruning_rate: PruningRate = None,
    as_json: Json = False,
) -> None:
    """Show which frames would be looked at and how many tokens they cost; nothing is generated."""
    from omnireel.cli.inspect import inspect_once
    from omnireel.settings import read_ask_settings, read_settings

    asked = read_ask_settings(
        {
            "think": think,
            "system": system,
            "start": start,
            "end": end,
            "fps": fps,
            "max_frames": max_frames,
            "video_pruning_rate": video_pruning_rate,
        }
    )
    inspect_once(video, prompt, read_settings({"model": model}), asked=asked, as_json=as_json)


@app.command()
@reports_failures
def serve(
    *,
    host: Annotated[str | None, typer.Option(show_default="127.0.0.1", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(show_default="8000", help="Port; 0 takes a free one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the server keeps its files.")] = None,
    model: Model = None,
    backend: Annotated[
        str | None, typer.Option(show_default="local", help="local, or echo for tests.")
    ] = None,
    auth: Annotated[
        str | None, typer.Option(show_default="none", help="none: anyone may call; keys.")
    ] = None,
    allow_public: Annotated[
        bool | None, typer.Option("--allow-public", help="Let anyone call from other machines too.")
    ] = None,
    allow_weak_sandbox: Annotated[
        bool | None, typer.Option("--allow-weak-sandbox", help="Decode although it cannot be confined here.")
    ] = None,
    tls: Annotated[
        str | None, typer.Option(show_default="none", help="dev: also https, with our own certificate.")
    ] = None,
    tls_port: Annotated[
        int | None, typer.Option(show_default="8443", help="Port for https; 0 takes a free one.")
    ] = None,
    trusted_proxies: Annotated[
        str | None,
        typer.Option(metavar="NETWORKS", help="Whose X-Forwarded headers count, like 10.0.0.0/8,::1."),
    ] = None,
    cors_origins: Annotated[
        str | None,
        typer.Option(metavar="ORIGINS", show_default="*", help="Web pages that may read answers."),
    ] = None,
    max_upload_bytes: Annotated[
        int | None, typer.Option(show_default="1 GiB", help="Largest file that may be uploaded.")
    ] = None,
    max_stored_bytes: Annotated[
        int | None, typer.Option(show_default="50 GiB", help="All uploaded files together.")
    ] = None,
    upload_keep_s: Annotated[
        float | None, typer.Option(show_default="7 days", help="Seconds that uploaded files are kept.")
    ] = None,
    upload_open_s: Annotated[
        float | None, typer.Option(show_default="1 hour", help="Seconds that an upload's address holds.")
    ] = None,
) -> None:
    """Serve the endpoint over HTTP, and over HTTPS with --tls dev."""
    from omnireel.cli.serve import serve_forever
    from omnireel.settings import read_settings

    flags = {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "model": model,
        "backend": backend,
        "auth": auth,
        "allow_public": allow_public,
        "allow_weak_sandbox": allow_weak_sandbox,
        "tls": tls,
        "tls_port": tls_port,
        "trusted_proxies": trusted_proxies,
        "cors_origins": cors_origins,
        "max_upload_bytes": max_upload_bytes,
        "max_stored_bytes": max_stored_bytes,
        "upload_keep_s": upload_keep_s,
        "upload_open_s": upload_open_s,
    }
    serve_forever(read_settings(flags))


@app.command()
@reports_failures
def worker(
    *,
    data_dir: Annotated[Path | None, typer.Option(help="The server's; its queued jobs are run.")] = None,
    model: Model = None,
    backend: Annotated[
        str | None, typer.Option(show_default="local", help="local, or echo for tests.")
    ] = None,
    allow_weak_sandbox: Annotated[
        bool | None, typer.Option("--allow-weak-sandbox", help="Decode although it cannot be confined here.")
    ] = None,
) -> None:
    """Run queued jobs of a server on this machine, in a process beside it; as many as you like."""
    from omnireel.cli.worker import work_forever
    from omnireel.settings import read_settings

    flags = {
        "data_dir": data_dir,
        "model": model,
        "backend": backend,
        "allow_weak_sandbox": allow_weak_sandbox,
    }
    work_forever(read_settings(flags))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"omnireel {installed_version('omnireel')}")
