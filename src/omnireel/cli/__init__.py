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
from omnireel.cli.flags import (
    Audio,
    Budget,
    Dtype,
    End,
    Fps,
    Grace,
    Json,
    MaxFrames,
    MaxTokens,
    Model,
    Prompt,
    PruningRate,
    Seed,
    Start,
    System,
    Temperature,
    Think,
    TopP,
    Video,
)
from omnireel.cli.models import commands as checkpoint_commands

app = typer.Typer(
    help="A self-hosted video-reasoning endpoint: an mp4 and a prompt go in, text comes out.",
    epilog="Every flag can be set by a variable (--max-tokens: OMNIREEL_MAX_TOKENS) or in omnireel.toml.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(key_commands.app, name="keys")
app.command()(checkpoint_commands.doctor)
app.command()(checkpoint_commands.pull)


def main() -> None:
    """Run the command line."""
    app()


@app.command()
@reports_failures
def ask(
    video: Video,
    prompt: Prompt,
    *,
    model: Model = None,
    dtype: Dtype = None,
    think: Think = None,
    system: System = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Seed = None,
    reasoning_budget: Budget = None,
    grace_period: Grace = None,
    start: Start = None,
    end: End = None,
    fps: Fps = None,
    max_frames: MaxFrames = None,
    video_pruning_rate: PruningRate = None,
    audio: Audio = None,
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
            "reasoning_budget": reasoning_budget,
            "grace_period": grace_period,
            "start": start,
            "end": end,
            "fps": fps,
            "max_frames": max_frames,
            "video_pruning_rate": video_pruning_rate,
            "audio": audio,
        }
    )
    settings = read_settings({"model": model, "dtype": dtype})
    ask_once(video, prompt, settings, asked=asked, as_json=as_json)


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
    audio: Audio = None,
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
            "audio": audio,
        }
    )
    inspect_once(video, prompt, read_settings({"model": model}), asked=asked, as_json=as_json)


@app.command()
@reports_failures
def trace(
    video: Video,
    prompt: Prompt,
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A .safetensors file to write.")],
    model: Model = None,
    dtype: Dtype = None,
    think: Think = None,
    system: System = None,
    max_tokens: MaxTokens = None,
    start: Start = None,
    end: End = None,
    fps: Fps = None,
    max_frames: MaxFrames = None,
    video_pruning_rate: PruningRate = None,
    audio: Audio = None,
) -> None:
    """Write every number on the way to a greedy answer, for comparison with other implementations."""
    from omnireel.cli.trace import trace_once
    from omnireel.settings import read_ask_settings, read_settings

    asked = read_ask_settings(
        {
            "think": think,
            "system": system,
            "max_tokens": max_tokens,
            "start": start,
            "end": end,
            "fps": fps,
            "max_frames": max_frames,
            "video_pruning_rate": video_pruning_rate,
            "audio": audio,
        }
    )
    trace_once(video, prompt, read_settings({"model": model, "dtype": dtype}), asked=asked, out=out)


@app.command()
@reports_failures
def serve(
    *,
    host: Annotated[str | None, typer.Option(show_default="127.0.0.1", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(show_default="8000", help="Port; 0 takes a free one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the server keeps its files.")] = None,
    model: Model = None,
    dtype: Dtype = None,
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
    allowed_hosts: Annotated[
        str | None,
        typer.Option(metavar="HOSTS", show_default="*", help="Names that clients may address us by."),
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
        "dtype": dtype,
        "backend": backend,
        "auth": auth,
        "allow_public": allow_public,
        "allow_weak_sandbox": allow_weak_sandbox,
        "tls": tls,
        "tls_port": tls_port,
        "trusted_proxies": trusted_proxies,
        "allowed_hosts": allowed_hosts,
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
    dtype: Dtype = None,
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
        "dtype": dtype,
        "backend": backend,
        "allow_weak_sandbox": allow_weak_sandbox,
    }
    work_forever(read_settings(flags))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"omnireel {installed_version('omnireel')}")
