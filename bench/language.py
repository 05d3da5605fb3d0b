"""Reading a prompt and writing an answer: omnireel's engine against transformers, with the same weights.

    python bench/language.py [--repeats 5] [--threads 2] [--size middle]

The weights are random, in the official layout, bf16, in two sizes: that of the demo checkpoint and a larger one. The
contenders read the same ids, each in its own process, one after the other; medians are reported. omnireel runs the
engine with scheduling and sampling: with the torch runner and, where llama-cpp-python is installed, with the llama
runner and the same weights packed as bf16 and as Q8_0. transformers runs a loop of forward passes with its cache,
which is the fastest way to use it. All are greedy. Its version is newer than that of the tests, so pip puts it into
a directory of its own, once.

The limits: a prefill cannot be faster than a large bf16 matmul on this machine, and a decode step cannot be faster
than reading the weights that one token needs.
"""

import argparse
import importlib.util
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tools.scaled_checkpoint import Sizes, write_checkpoint

if TYPE_CHECKING:
    from omnireel.engine.runner import Runner

PROMPT, ANSWER = 1024, 64
BASELINE = "transformers"
TRANSFORMERS = "5.24.0"
PACKED = {"llama bf16": "bf16", "llama q8_0": "q8_0"}
SIZES = {
    "demo": Sizes(
        hidden_size=192, pattern="MEM*EM*EM*E", vocab_size=1024, num_heads=6, num_kv_heads=2, head_dim=32,
        mamba_num_heads=8, mamba_head_dim=48, state_size=32, num_groups=2, chunk_size=64, num_experts=8,
        num_experts_per_token=2, expert_width=192, shared_expert_width=192, vision_width=192,
        vision_layers=6, vision_heads=6, projector_width=768, dtype="bfloat16",
    ),
    "middle": Sizes(
        hidden_size=512, pattern="MEMEM*EMEMEM*EME", vocab_size=8192, num_heads=8, num_kv_heads=2,
        head_dim=64, mamba_num_heads=16, mamba_head_dim=64, state_size=64, num_groups=4, chunk_size=128,
        num_experts=32, num_experts_per_token=6, expert_width=256, shared_expert_width=512,
        vision_width=256, vision_layers=4, vision_heads=4, projector_width=1024, dtype="bfloat16",
    ),
}  # fmt: skip

# Seconds to the first token, and seconds of the ANSWER - 1 other tokens.
Timing = tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--size", choices=SIZES, help="only this size")
    parser.add_argument(
        "--contender", choices=CONTENDERS, help="run only this contender, once, and print JSON"
    )
    parser.add_argument("--checkpoint", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.contender:
        print(json.dumps(measure(CONTENDERS[arguments.contender](arguments.checkpoint))))
        return
    with tempfile.TemporaryDirectory() as folder:
        report(run_alternating(Path(folder), arguments), arguments)


def torch_runner(checkpoint: Path) -> Callable[[list[int]], Timing]:
    """A run through omnireel's engine, with its own model in torch."""
    from omnireel.engine.runners.torch import TorchRunner  # noqa: PLC0415  only this contender's process
    from omnireel.model.checkpoint.load import load_checkpoint  # noqa: PLC0415

    return through_engine(TorchRunner(load_checkpoint(checkpoint), max_context=PROMPT + ANSWER + 1))


def llama_runner(kind: str) -> Callable[[Path], Callable[[list[int]], Timing]]:
    """A run through omnireel's engine, with libllama and the checkpoint packed in a GGUF type."""

    def open_packed(checkpoint: Path) -> Callable[[list[int]], Timing]:
        from omnireel.engine.runners.llama import LlamaOptions, LlamaRunner  # noqa: PLC0415
        from omnireel.model.checkpoint.gguf.embeddings import GgufEmbeddings  # noqa: PLC0415

        (path,) = (checkpoint / kind).glob("*.gguf")
        options = LlamaOptions(max_context=PROMPT + ANSWER + 1, threads=torch.get_num_threads())
        return through_engine(LlamaRunner(path, GgufEmbeddings(path), options))

    return open_packed


def through_engine(runner: "Runner", *, num_output_tokens: int = ANSWER) -> Callable[[list[int]], Timing]:
    """A run through the engine, with scheduling and sampling."""
    from omnireel.engine.engine import Engine, EngineConfig  # noqa: PLC0415
    from omnireel.engine.params import SamplingParams  # noqa: PLC0415
    from omnireel.engine.request import Request  # noqa: PLC0415

    sampling = SamplingParams(temperature=0, max_tokens=num_output_tokens)

    def run(ids: list[int]) -> Timing:
        engine = Engine(runner, EngineConfig())
        started = time.perf_counter()
        engine.add(Request("bench", tuple(ids), (), sampling, frozenset()))
        while all(event.token_id is None for event in engine.step()):  # a chunk of the prompt
            pass
        first = time.perf_counter()
        while not engine.is_idle:
            engine.step()
        return first - started, time.perf_counter() - first

    return run


def transformers(checkpoint: Path) -> Callable[[list[int]], Timing]:
    """A run through transformers with its cache, corrected so that it computes the same model."""
    library = import_module("transformers")
    raw = json.loads((checkpoint / "config.json").read_text())
    del raw["model_type"]  # transformers has no such model_type
    config = library.NemotronH_Omni_Reasoning_V3_Config(**raw)
    kind = library.NemotronH_Omni_Reasoning_V3
    model = kind.from_pretrained(checkpoint, config=config, dtype=torch.bfloat16).eval().language_model
    for module in model.modules():
        if hasattr(module, "time_step_limit"):
            module.time_step_limit = (0.0, math.inf)

    @torch.inference_mode()
    def run(ids: list[int]) -> Timing:
        started = time.perf_counter()
        out = model(input_ids=torch.tensor([ids]), use_cache=True, logits_to_keep=1)
        token = out.logits[:, -1].argmax(-1)
        first = time.perf_counter()
        for _ in range(ANSWER - 1):
            out = model(input_ids=token[None], cache=out.cache, use_cache=True)
            token = out.logits[:, -1].argmax(-1)
        return first - started, time.perf_counter() - first

    return run


CONTENDERS: dict[str, Callable[[Path], Callable[[list[int]], Timing]]] = {
    "torch": torch_runner,
    **{name: llama_runner(kind) for name, kind in PACKED.items()},
    BASELINE: transformers,
}


def measure(run: Callable[[list[int]], Timing]) -> dict[str, float]:
    """Tokens per second of a run, after one run to warm up."""
    ids = torch.randint(32, 1024, (PROMPT,), generator=torch.Generator().manual_seed(0)).tolist()
    run(ids)
    first_s, rest_s = run(ids)
    return {"prefill": PROMPT / first_s, "decode": (ANSWER - 1) / rest_s}


def run_alternating(
    folder: Path, arguments: argparse.Namespace
) -> dict[str, dict[str, list[dict[str, float]]]]:
    paths = os.pathsep.join(filter(None, (str(transformers_directory()), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": paths}
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    for size, sizes in SIZES.items():
        if arguments.size not in (None, size):
            continue
        checkpoint = folder / size
        write_checkpoint(checkpoint, sizes)
        contenders = [name for name in CONTENDERS if name not in PACKED or has_llama()]
        for name in contenders:
            if name in PACKED:
                pack(checkpoint, PACKED[name])
        results[size] = {name: [] for name in contenders}
        for _ in range(arguments.repeats):
            for name, runs in results[size].items():
                command = [sys.executable, "-m", "bench.language", "--contender", name]
                command += ["--threads", str(arguments.threads), "--checkpoint", str(checkpoint)]
                done = subprocess.run(
                    command,
                    check=True,
                    capture_output=True,
                    text=True,
                    env=environment if name == BASELINE else None,
                )
                runs.append(json.loads(done.stdout.splitlines()[-1]))
    return results


def has_llama() -> bool:
    return importlib.util.find_spec("llama_cpp") is not None


def pack(checkpoint: Path, kind: str) -> None:
    """Write the checkpoint's language model as a GGUF into a directory inside it."""
    code = "import omnireel.cli; omnireel.cli.main()"
    command = [sys.executable, "-c", code, "pack", str(checkpoint), "--out", str(checkpoint / kind)]
    subprocess.run([*command, "--type", kind], check=True, capture_output=True)


def transformers_directory() -> Path:
    """Where the contender's version of transformers lies; installed at the first call."""
    directory = Path.home() / ".cache" / "omnireel" / "bench" / f"transformers-{TRANSFORMERS}"
    if not directory.exists():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(directory)]
        subprocess.run([*install, f"transformers=={TRANSFORMERS}"], check=True)
    return directory


def machine_limits() -> dict[str, float]:
    """Bytes per second of reading memory and operations per second of a large bf16 matmul, each the best of five."""
    block = torch.zeros(1 << 28, dtype=torch.float32)
    square = torch.randn(2048, 2048, dtype=torch.bfloat16)
    read_s = min(_seconds(block.sum) for _ in range(5))
    matmul_s = min(_seconds(lambda: square @ square) for _ in range(5))
    return {"bytes_per_s": block.nbytes / read_s, "flop_per_s": 2 * 2048**3 / matmul_s}


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def weights_per_token(sizes: Sizes) -> int:
    """How many weights one token needs: only the chosen experts, and none of the embeddings."""
    c = sizes
    inner, groups = c.mamba_num_heads * c.mamba_head_dim, c.num_groups * c.state_size
    mamba = c.hidden_size * (2 * inner + 2 * groups + c.mamba_num_heads) + inner * c.hidden_size
    attention = c.hidden_size * c.head_dim * (2 * c.num_heads + 2 * c.num_kv_heads)
    widths = c.num_experts_per_token * c.expert_width + c.shared_expert_width
    experts = c.hidden_size * (c.num_experts + 2 * widths)
    layers = {"M": mamba, "*": attention, "E": experts}
    return sum(layers[mixer] for mixer in c.pattern) + c.vocab_size * c.hidden_size


def report(results: dict[str, dict[str, list[dict[str, float]]]], arguments: argparse.Namespace) -> None:
    limits = machine_limits()
    print(
        f"{PROMPT} prompt tokens, {ANSWER} written; bf16, {arguments.threads} threads; "
        f"medians of {arguments.repeats} alternating runs"
    )
    print(f"{'size':<8}{'contender':<14}{'prefill/s':>10}{'ratio':>7}{'decode/s':>10}{'ratio':>7}")
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for size, contenders in results.items():
        summary[size] = {}
        for name, runs in contenders.items():
            row = {}
            for key in ("prefill", "decode"):
                row[key] = statistics.median(run[key] for run in runs)
                pairs = zip(runs, contenders[BASELINE], strict=True)
                row[f"{key}_ratio"] = statistics.median(run[key] / other[key] for run, other in pairs)
            summary[size][name] = {key: round(value, 2) for key, value in row.items()}
            print(
                f"{size:<8}{name:<14}{row['prefill']:>10.0f}{row['prefill_ratio']:>7.2f}"
                f"{row['decode']:>10.1f}{row['decode_ratio']:>7.2f}"
            )
        weights = weights_per_token(SIZES[size])
        limit = {
            "prefill": limits["flop_per_s"] / (2 * weights),
            "decode": limits["bytes_per_s"] / (2 * weights),
        }
        summary[size]["limit"] = {key: round(value, 2) for key, value in limit.items()}
        print(f"{size:<8}{'limit':<14}{limit['prefill']:>10.0f}{'':>7}{limit['decode']:>10.1f}")
    capability = torch.backends.cpu.get_cpu_capability()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {capability}"
    print(json.dumps({"bench": "language", "machine": machine, "limits": limits, "results": summary}))


if __name__ == "__main__":
    main()
