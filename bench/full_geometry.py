"""The published model in its real size on this machine: load it, read a prompt, write ten tokens.

    python -m bench.full_geometry [--layers 52] [--keep FOLDER]

A checkpoint of the NVFP4 layout with random bytes is written first. That takes 22.4 GB of disk and some minutes;
--keep leaves it for the next run. A few layers are enough to check that the benchmark works. It reports times and
memory. `anon` is private memory of the process. `file` is the part of the checkpoint that was mapped at the end; the
system may drop it and read it again. There is no comparison: no other engine runs this layout on a CPU.
"""

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from pathlib import Path

import torch

PROMPT, ANSWER = 32, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--layers", type=int, default=52)
    parser.add_argument(
        "--keep", type=Path, help="directory of the checkpoint; it is written if missing, and kept"
    )
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = arguments.keep or Path(folder)
        if not (checkpoint / "model.safetensors.index.json").exists():
            from tools.full_checkpoint import write_full_checkpoint  # noqa: PLC0415  not needed when the checkpoint exists

            started = time.perf_counter()
            num_bytes = write_full_checkpoint(checkpoint, arguments.layers)
            print(f"wrote {num_bytes / 1e9:.2f} GB in {time.perf_counter() - started:.0f} s", flush=True)
        report(measure(checkpoint, getattr(torch, arguments.dtype)), arguments.layers)


def measure(checkpoint: Path, dtype: torch.dtype) -> dict[str, float]:
    """Load the checkpoint and run one request. Returns seconds and GB by name."""
    from omnireel.engine.engine import Engine, EngineConfig  # noqa: PLC0415  must not add to the memory of writing
    from omnireel.engine.params import SamplingParams  # noqa: PLC0415
    from omnireel.engine.request import Request  # noqa: PLC0415
    from omnireel.engine.runners.torch import TorchRunner  # noqa: PLC0415
    from omnireel.model.checkpoint.load import load_checkpoint  # noqa: PLC0415

    figures: dict[str, float] = {}
    started = time.perf_counter()
    model = load_checkpoint(checkpoint, dtype)
    figures["open_s"] = time.perf_counter() - started
    figures["anon_after_open_gb"] = memory()["RssAnon"]
    ids = torch.randint(32, 288, (PROMPT,), generator=torch.Generator().manual_seed(0))
    engine = Engine(TorchRunner(model, max_context=PROMPT + ANSWER + 1), EngineConfig())
    sampling = SamplingParams(temperature=0, max_tokens=ANSWER)
    started = time.perf_counter()
    with torch.inference_mode():
        engine.add(Request("bench", tuple(ids.tolist()), (), sampling, frozenset()))
        times = []
        while not engine.is_idle:
            for event in engine.step():
                if event.error is not None:
                    raise event.error
                times.append(time.perf_counter() - started)
                print(f"token {len(times)} after {times[-1]:.1f} s", flush=True)
    figures |= {"prefill_s": times[0], "decode_s_per_token": (times[-1] - times[0]) / (len(times) - 1)}
    at_end = memory()
    figures |= {"anon_gb": at_end["RssAnon"], "file_gb": at_end["RssFile"], "swap_gb": at_end["VmSwap"]}
    figures["peak_rss_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return figures


def memory() -> dict[str, float]:
    """The memory of this process by kind, in GB. Source: proc(5), /proc/pid/status."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    wanted = ("RssAnon", "RssFile", "VmSwap")
    return {
        line.partition(":")[0]: int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith(wanted)
    }


def report(figures: dict[str, float], num_layers: int) -> None:
    for name, value in figures.items():
        print(f"{name:<22}{value:>10.2f}")
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    rounded = {name: round(value, 3) for name, value in figures.items()}
    print(
        json.dumps({"bench": "full_geometry", "machine": machine, "layers": num_layers, "results": rounded})
    )


if __name__ == "__main__":
    main()
