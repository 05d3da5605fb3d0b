"""Our engine over a GGUF against llama.cpp's own server: both map one file, and take turns.

    python -m bench.gguf_server FILE.gguf --server LLAMA_SERVER [--repeats 5] [--threads 2]

Both are opened once, with the same threads, batch sizes and type of the cache, and without repacked weights. Each
reads the same random ids and writes a fixed number of tokens, greedily; nothing is kept from run to run. The server
times itself. Ours is timed around the engine, with scheduling and sampling. Build the server from the source of the
installed llama-cpp-python and with the flags of `make gguf`, or give LD_LIBRARY_PATH with the libraries of that
package: then both are one library.

The limit of decoding: the bytes that one token needs, at the rate at which this machine reads memory. Rates are
measured before each pair of runs, while both are idle.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch

from bench.language import through_engine
from omnireel.cli.models.gguf_sizes import cost_of_file
from omnireel.cli.models.rates import Rates, measure_rates
from omnireel.model.checkpoint.gguf.check import check_language
from omnireel.model.config import read_config

PROMPT, ANSWER = 256, 48
FIRST_ID = 300  # after the special tokens and single bytes
PATIENCE_S = 600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("gguf", type=Path, help="in a directory with its config.json and tokenizer")
    parser.add_argument("--server", type=Path, help="the program llama-server")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--contender", action="store_true", help="be our side: a run for each line of input")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.contender:
        answer_lines(arguments.gguf, arguments.threads)
        return
    report(run_alternating(arguments), arguments)


def answer_lines(gguf: Path, threads: int) -> None:
    """Open the file; then time one run for each line of input, and print it as JSON."""
    from omnireel.engine.runners.llama import LlamaOptions, LlamaRunner  # noqa: PLC0415  only this process needs it
    from omnireel.model.checkpoint.gguf.embeddings import GgufEmbeddings  # noqa: PLC0415

    options = LlamaOptions(max_context=PROMPT + ANSWER + 1, threads=threads)
    run = through_engine(LlamaRunner(gguf, GgufEmbeddings(gguf), options), num_output_tokens=ANSWER)
    print("ready", flush=True)
    for _ in sys.stdin:
        first_s, rest_s = run(prompt_ids(gguf))
        print(json.dumps({"prefill": PROMPT / first_s, "decode": (ANSWER - 1) / rest_s}), flush=True)


def prompt_ids(gguf: Path) -> list[int]:
    generator = torch.Generator().manual_seed(0)
    num_ids = read_config(gguf.parent).language.vocab_size
    return [int(i) for i in torch.randint(FIRST_ID, num_ids, (PROMPT,), generator=generator)]


def run_alternating(arguments: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """The figures of each run by contender, and the measured rates of the machine under "machine"."""
    results: dict[str, list[dict[str, float]]] = {"omnireel": [], "llama-server": [], "machine": []}
    with ExitStack() as stack:
        ours = stack.enter_context(our_process(arguments))
        stack.enter_context(server_process(arguments))
        ask_server(arguments)  # the pages of the file are in memory from then on
        ask_ours(ours)
        for number in range(arguments.repeats):
            rates = measure_rates(2 << 30, torch.bfloat16)
            results["machine"].append(vars(rates))
            results["omnireel"].append(ask_ours(ours))
            results["llama-server"].append(ask_server(arguments))
            last = {name: {k: round(v, 2) for k, v in runs[-1].items()} for name, runs in results.items()}
            print(f"{number + 1}/{arguments.repeats} {json.dumps(last)}", file=sys.stderr, flush=True)
    return results


@contextmanager
def our_process(arguments: argparse.Namespace) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "bench.gguf_server", str(arguments.gguf), "--contender"]
    command += ["--threads", str(arguments.threads)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def ask_ours(process: "subprocess.Popen[str]") -> dict[str, float]:
    assert process.stdin
    assert process.stdout
    process.stdin.write("run\n")
    process.stdin.flush()
    figures: dict[str, float] = json.loads(process.stdout.readline())
    return figures


@contextmanager
def server_process(arguments: argparse.Namespace) -> Iterator[None]:
    threads = str(arguments.threads)
    command = [str(arguments.server), "--model", str(arguments.gguf), "--host", "127.0.0.1"]
    command += ["--port", str(arguments.port), "--parallel", "1", "--ctx-size", str(PROMPT + ANSWER + 1)]
    command += [
        "--threads",
        threads,
        "--threads-batch",
        threads,
        "--batch-size",
        "2048",
        "--ubatch-size",
        "512",
    ]
    command += ["--no-repack", "--cache-ram", "0", "--ctx-checkpoints", "0", "--fit", "off", "--offline"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(arguments.port, process)
        yield
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"llama-server ended with {process.returncode}"
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return
        time.sleep(0.5)
    raise AssertionError("llama-server was not ready in time")


def ask_server(arguments: argparse.Namespace) -> dict[str, float]:
    """A run of the server, by its own clock, which starts the answer at its first token as ours does."""
    body = {
        "prompt": prompt_ids(arguments.gguf),
        "n_predict": ANSWER,
        "temperature": 0,
        "samplers": ["temperature"],
    }
    body |= {"ignore_eos": True, "cache_prompt": False}
    request = urllib.request.Request(
        f"http://127.0.0.1:{arguments.port}/completion",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        timings = json.load(response)["timings"]
    assert (timings["prompt_n"], timings["predicted_n"]) == (PROMPT, ANSWER), timings
    return {
        "prefill": PROMPT / timings["prompt_ms"] * 1000,
        "decode": (ANSWER - 1) / timings["predicted_ms"] * 1000,
    }


def report(results: dict[str, list[dict[str, float]]], arguments: argparse.Namespace) -> None:
    machine = results.pop("machine")
    rates = Rates(
        **{key: statistics.median(run[key] for run in machine) for key in machine[0]},
    )
    language = read_config(arguments.gguf.parent).language
    cost = cost_of_file(language, check_language(arguments.gguf, language, arguments.gguf.parent))
    capability = torch.backends.cpu.get_cpu_capability()
    print(
        f"{PROMPT} prompt tokens, {ANSWER} written; {cost.num_bytes / 1e9:.1f} GB, {cost.token_bytes / 1e9:.2f} GB "
        f"a token; {capability}, {arguments.threads} threads; medians of {arguments.repeats} alternating runs"
    )
    print(f"{'':<14}{'prefill/s':>10}{'ratio':>7}{'decode/s':>10}{'ratio':>7}")
    summary: dict[str, dict[str, float]] = {}
    for name, runs in results.items():
        row = {}
        for key in ("prefill", "decode"):
            row[key] = statistics.median(run[key] for run in runs)
            pairs = zip(runs, results["llama-server"], strict=True)
            row[f"{key}_ratio"] = statistics.median(run[key] / other[key] for run, other in pairs)
        summary[name] = {key: round(value, 3) for key, value in row.items()}
        print(
            f"{name:<14}{row['prefill']:>10.1f}{row['prefill_ratio']:>7.2f}"
            f"{row['decode']:>10.2f}{row['decode_ratio']:>7.2f}"
        )
    limit = {"prefill": cost.prefill_tokens_s(rates), "decode": cost.decode_tokens_s(rates)}
    print(f"{'limit':<14}{limit['prefill']:>10.1f}{'':>7}{limit['decode']:>10.2f}")
    summary["limit"] = {key: round(value, 3) for key, value in limit.items()}
    print(
        json.dumps(
            {"bench": "gguf_server", "instructions": capability, "rates": vars(rates), "results": summary}
        )
    )


if __name__ == "__main__":
    main()
