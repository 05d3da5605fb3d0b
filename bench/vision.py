"""Encoding tubelets in batches of several sizes: patches a second, and the ratio to single tubelets.

    python -m bench.vision [--repeats 5] [--layers 2] [--threads 1]

One tower is the demo's; the other has the published widths (RADIO-H) with fewer layers and random weights. All batch
sizes take turns within a run. A large matrix product of the same type is timed in each run, as the limit.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from omnireel.cli.backend import DEMO
from omnireel.model.config import VisionConfig, read_config
from omnireel.model.vision.tower import VisionTower

SIZES = (1, 2, 4, 8)
# Widths of RADIO-H and the grid of a 16:9 clip at the published number of patches.
PUBLISHED = VisionConfig(1280, 2, 16, 5120, 16, 2, 10, 128, 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--layers", type=int, default=2, help="of the tower with the published widths")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    published = VisionConfig(**{**vars(PUBLISHED), "num_layers": arguments.layers})
    demo = read_config(DEMO).vision
    cases = {
        "demo fp32": (demo, (8, 14), torch.float32),
        "published widths bf16": (published, (24, 42), torch.bfloat16),
    }
    print(f"instruction set: {torch.backends.cpu.get_cpu_capability()}, {arguments.threads} threads")
    print(f"| tower | {' | '.join(f'{size} at once' for size in SIZES)} | matrix rate |")
    print(f"|{'---|' * (len(SIZES) + 2)}")
    results = {name: measure(*case, repeats=arguments.repeats) for name, case in cases.items()}
    for name, result in results.items():
        cells = [f"{result['patches_per_s'][size]:.0f} ({result['ratio'][size]:.2f})" for size in SIZES]
        print(f"| {name} | {' | '.join(cells)} | {result['matmul_gflops']:.0f} GFLOP/s |")
    print(json.dumps(results))


@torch.inference_mode()
def measure(
    config: VisionConfig, grid: tuple[int, int], dtype: torch.dtype, *, repeats: int
) -> dict[str, Any]:
    """Medians over the runs; the ratio is the median of each run's ratio to single tubelets."""
    tower = VisionTower(config).to(dtype).eval()
    rows, cols = (side * config.patch_size for side in grid)
    tubelets = torch.randn(max(SIZES), 3 * config.temporal_patch_size, rows, cols).to(dtype)
    matrix = torch.randn(1280, 1280).to(dtype)
    tower(tubelets[:1])
    rates: dict[int, list[float]] = {size: [] for size in SIZES}
    limits = []
    for _ in range(repeats):
        limits.append(2 * 1280**3 / seconds_of(lambda: matrix @ matrix) / 1e9)
        for size in SIZES:
            took = seconds_of(partial(encode, tower, tubelets, size))
            rates[size].append(len(tubelets) * grid[0] * grid[1] / took)
    return {
        "patches_per_s": {size: statistics.median(rates[size]) for size in SIZES},
        "ratio": {
            size: statistics.median(rate / single for rate, single in zip(rates[size], rates[1], strict=True))
            for size in SIZES
        },
        "matmul_gflops": statistics.median(limits),
    }


def encode(tower: VisionTower, tubelets: Tensor, size: int) -> None:
    """Encode all tubelets, `size` at once."""
    for batch in tubelets.split(size):
        tower(batch)


def seconds_of(function: Callable[[], object]) -> float:
    """Processor time of one call, so that other programs on the machine count less."""
    started = time.process_time()
    function()
    return time.process_time() - started


if __name__ == "__main__":
    main()
