"""`omnireel doctor` with model servers elsewhere: checks them, and shows the command that starts one well."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import typer

from omnireel.backends.remote.checks import ServerCheck, ServerFacts
from omnireel.backends.remote.servers import SERVERS
from omnireel.cli.failures import FAILED
from omnireel.cli.models.model_servers import open_pool, remote_media
from omnireel.cli.serving.log import configure_warnings
from omnireel.prompting.counts import TokenCounter
from omnireel.settings import Settings

_HUB = "nvidia/Nemotron-3-Nano-Omni-30B-A3B-Reasoning"
PRECISIONS = ("BF16", "FP8", "NVFP4")


def check_servers(settings: Settings, directory: Path, *, as_json: bool) -> None:
    """Check the settings' model servers and print the findings. Raises Exit where something will not work.

    directory: config.json, tokenizer and template of their model
    """
    configure_warnings(logging.ERROR)  # the findings say what a warning would
    facts = asyncio.run(_check(settings, directory))
    commands = {precision: start_command(settings, precision) for precision in PRECISIONS}
    if as_json:
        report = {"servers": [found.as_json() for found in facts], "start": commands}
        typer.echo(json.dumps(report))
    else:
        for found in facts:
            _show(found)
        if commands["BF16"]:
            typer.echo("\nStart a server like this:")
            for precision, line in commands.items():
                typer.echo(f"  # {precision}\n  {line}")
    if any(found.problems for found in facts):
        raise typer.Exit(FAILED)


async def _check(settings: Settings, directory: Path) -> list[ServerFacts]:
    media = remote_media(settings)
    counter = TokenCounter.from_directory(directory, media=media)
    pool = await asyncio.to_thread(open_pool, settings)
    found = []
    for upstream in pool.upstreams:
        if upstream.problem is not None:
            problem = f"It takes no requests: {upstream.problem}."
            found.append(ServerFacts(upstream.address, upstream.model, problems=(problem,)))
            continue
        check = ServerCheck(
            upstream,
            SERVERS[settings.backend],
            counter,
            rate=settings.upstream_pruning_rate,
            max_frames=media.max_frames,
        )
        found.append(await check.run())
    return found


def start_command(settings: Settings, precision: str) -> str:
    """The command that starts a server of the published model; blank for servers whose flags are not known."""
    model = f"{_HUB}-{precision}"
    rate = settings.upstream_pruning_rate
    if settings.backend == "sglang":
        override = f"'{{\"video_pruning_rate\": {rate:g}}}'"
        return (
            f"python -m sglang.launch_server --model-path {model} --trust-remote-code "
            f"--reasoning-parser nemotron_3 --enable-strict-thinking --json-model-override-args {override}"
        )
    if settings.backend != "vllm":
        return ""
    kv_type = "" if precision == "BF16" else " --kv-cache-dtype fp8"
    return (
        f"VLLM_MAX_MEDIA_REQUEST_DECODE_BYTES=0 vllm serve {model} --trust-remote-code "
        "--trust-request-mm-kwargs --max-model-len 131072 "
        f"--video-pruning-rate {rate:g} --mamba-ssm-cache-dtype float32 --reasoning-parser nemotron_v3{kv_type} "
        '--media-io-kwargs \'{"video": {"num_frames": 512, "fps": 1}}\' '
        '--limit-mm-per-prompt \'{"video": 1, "image": 0, "audio": 1}\''
    )


def _show(found: ServerFacts) -> None:
    unknown = "not stated"
    typer.echo(f"{found.address}: {found.model}" if found.model else found.address)
    for problem in found.problems:
        typer.echo(f"  FAILED  {problem}")
    nothing = ServerFacts(found.address, found.model, problems=found.problems)
    if found == nothing:  # it was not asked, or said nothing
        return
    counted = f"{found.prompt_tokens}, expected {found.expected_tokens}"
    tokens = unknown if found.prompt_tokens is None else counted
    for name, value in (
        ("version", found.version or unknown),
        ("context", f"{found.max_context} tokens" if found.max_context else unknown),
        ("type of Mamba states", found.ssm_type or unknown),
        ("pruning", unknown if found.pruning_rate is None else f"{found.pruning_rate:g}"),
        ("tokens of the test clip", tokens),
        ("reasoning parser", {True: "yes", False: "no", None: unknown}[found.has_parser]),
        ("takes the most frames", {True: "yes", False: "no", None: unknown}[found.takes_most_frames]),
    ):
        typer.echo(f"  {name}: {value}")
