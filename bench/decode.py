"""Reading a two-minute 1080p clip: omnireel's reader and preprocessing against plain PyAV.

    python bench/decode.py [--repeats 5]

Each contender runs in its own process, one after the other; medians are reported. Speed is the number of source
frames per second of wall time, from opening the file to the last result. Memory is the sum of the peaks of the
process and its decoding child; the frame slots that they share are counted twice.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE, SECONDS = 1920, 1080, 30, 120
LOOP_SECONDS = 10
FPS, MAX_FRAMES = 2.0, 256
BASELINE = "pyav-rgb"

# Reads the clip; returns the peak memory of a child, 0 if there is none.
Reader = Callable[[Path], int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--contender", choices=CONTENDERS, help="run only this contender, once, and print JSON"
    )
    arguments = parser.parse_args()
    clip = bench_clip()
    if arguments.contender:
        print(json.dumps(measure(CONTENDERS[arguments.contender], clip)))
        return
    report(run_alternating(arguments.repeats), arguments.repeats)


def bench_clip() -> Path:
    """The clip: ten seconds of a noisy test pattern, repeated to two minutes. Encoded once, then kept."""
    path = Path(tempfile.gettempdir()) / f"omnireel-bench-{WIDTH}x{HEIGHT}-{RATE}-{SECONDS}.mp4"
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            loop, whole = Path(folder) / "loop.mp4", Path(folder) / "whole.mp4"
            encode_pattern(loop)
            repeat_packets(loop, whole)
            whole.replace(path)
    return path


def encode_pattern(path: Path) -> None:
    graph = av.filter.Graph()
    steps = [
        graph.add("testsrc2", f"size={WIDTH}x{HEIGHT}:rate={RATE}:duration={LOOP_SECONDS}"),
        graph.add("noise", "alls=6:allf=t"),
        graph.add("format", "yuv420p"),
        graph.add("buffersink"),
    ]
    for source, target in pairwise(steps):
        source.link_to(target)
    graph.configure()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "26"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for _ in range(LOOP_SECONDS * RATE):
            frame = graph.vpull()
            frame.pict_type = av.video.frame.PictureType.NONE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def repeat_packets(source: Path, target: Path) -> None:
    with av.open(str(target), "w") as out:
        stream = None
        for number in range(SECONDS // LOOP_SECONDS):
            with av.open(str(source)) as container:
                video = container.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                offset = round(number * LOOP_SECONDS / (video.time_base or 1))
                for packet in container.demux(video):
                    if packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                        packet.stream = stream
                        out.mux(packet)


def omnireel_tubelets() -> Reader:
    """Decode in the child, choose, resize and normalise: everything before the vision tower."""
    from omnireel.video.patch_grid import target_grid  # noqa: PLC0415  costs memory
    from omnireel.video.tubelets import PixelSpec, tubelet_batches  # noqa: PLC0415  costs memory

    spec = PixelSpec(1024, 16, 2, (0.481, 0.458, 0.408), (0.269, 0.261, 0.276))
    grid = target_grid(WIDTH, HEIGHT, spec.target_patches)

    def consume(frames: Iterator[NDArray[np.uint8]]) -> None:
        num_tubelets = sum(sum(batch.repeats) for batch in tubelet_batches(frames, *grid, spec))
        assert num_tubelets == SECONDS * FPS / 2

    return lambda clip: watch_reader(clip, consume)


def omnireel_frames() -> Reader:
    """The same without preprocessing: RGB frames in the size of the source."""
    return lambda clip: watch_reader(clip, lambda frames: sum(0 for _ in frames))


def pyav_rgb() -> Reader:
    """Decode every frame and convert it to RGB."""

    def read(clip: Path) -> int:
        with av.open(str(clip)) as container:
            for frame in container.decode(video=0):
                frame.to_ndarray(format="rgb24")
        return 0

    return read


def pyav_decode() -> Reader:
    """Decode every frame and convert none."""

    def read(clip: Path) -> int:
        with av.open(str(clip)) as container:
            for _ in container.decode(video=0):
                pass
        return 0

    return read


def watch_reader(clip: Path, consume: Callable[[Iterator[NDArray[np.uint8]]], object]) -> int:
    """Pass the frames to `consume`. Returns the child's peak memory in bytes."""
    from omnireel.video.reader.frames import Sampling, open_clip  # noqa: PLC0415  costs memory

    peak_bytes = 0
    with open_clip(clip, Sampling(fps=FPS, max_frames=MAX_FRAMES)) as reader:

        def frames() -> Iterator[NDArray[np.uint8]]:
            nonlocal peak_bytes
            for frame in reader.read_frames():
                peak_bytes = max(peak_bytes, peak_memory_bytes(reader.child_pid))
                yield frame.rgb

        consume(frames())
    return peak_bytes


CONTENDERS: dict[str, Callable[[], Reader]] = {
    "omnireel-tubelets": omnireel_tubelets,
    "omnireel-frames": omnireel_frames,
    BASELINE: pyav_rgb,
    "pyav-decode-only": pyav_decode,
}


def peak_memory_bytes(pid: int | None) -> int:
    """The peak resident memory of a process; 0 if it has ended.

    ru_maxrss would include what the parent used before the fork. A decoding child may end, and be reaped, while its
    last frames are still being read.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(match[1]) * 1024 if match else 0


def measure(contender: Callable[[], Reader], clip: Path) -> dict[str, float]:
    read = contender()
    started_s = time.perf_counter()
    child_bytes = read(clip)
    seconds = time.perf_counter() - started_s
    return {"fps": RATE * SECONDS / seconds, "peak_mb": (peak_memory_bytes(os.getpid()) + child_bytes) / 1e6}


def run_alternating(repeats: int) -> dict[str, list[dict[str, float]]]:
    results: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(repeats):
        for name, runs in results.items():
            command = [sys.executable, __file__, "--contender", name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            runs.append(json.loads(done.stdout))
    return results


def report(results: dict[str, list[dict[str, float]]], repeats: int) -> None:
    base = results[BASELINE]
    summary = {}
    print(f"{WIDTH}x{HEIGHT} h264, {SECONDS} s at {RATE} fps; medians of {repeats} alternating runs")
    print(f"{'contender':<20}{'source frames/s':>16}{'ratio':>8}{'peak MB':>9}{'ratio':>8}")
    for name, runs in results.items():
        row = {key: statistics.median(run[key] for run in runs) for key in ("fps", "peak_mb")}
        for key in ("fps", "peak_mb"):
            pairs = zip(runs, base, strict=True)
            row[f"{key}_ratio"] = statistics.median(run[key] / other[key] for run, other in pairs)
        summary[name] = {key: round(value, 3) for key, value in row.items()}
        print(
            f"{name:<20}{row['fps']:>16.0f}{row['fps_ratio']:>8.2f}"
            f"{row['peak_mb']:>9.0f}{row['peak_mb_ratio']:>8.2f}"
        )
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}"
    )
    print(json.dumps({"bench": "decode", "machine": machine, "repeats": repeats, "results": summary}))


if __name__ == "__main__":
    main()
