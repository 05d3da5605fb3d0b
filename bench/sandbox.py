"""The cost of decoding in a sandboxed child instead of in this process.

    python -m bench.sandbox [--repeats 9]

The same code decodes the same packets and converts the same frames in three places: in this process, in a sandboxed
child that the fork server forks for the clip, and in a child for which an interpreter has to start first. They run
in turn, clip by clip; medians of the pairs are reported.
Goal: a forked child adds at most 10 % and at most 60 ms per clip.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from omnireel.video.decoder.decoding import decoded_frames
from omnireel.video.decoder.survey import survey
from omnireel.video.limits import VideoLimits
from omnireel.video.messages import Request
from omnireel.video.reader.children import start_fork_server, stop_fork_server
from omnireel.video.reader.frames import Sampling, open_clip
from omnireel.video.sample import choose_frames

CLIPS = {
    "320x180, 4 s": (320, 180, 4),
    "1280x720, 10 s": (1280, 720, 10),
    "1920x1080, 20 s": (1920, 1080, 20),
}
RATE, FPS = 30, 2.0
WARM_UP_S = 0.6  # long enough for an interpreter to load PyAV


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = {name: write(Path(folder) / f"{size[0]}.mp4", *size) for name, size in CLIPS.items()}
        report({name: measure(path, arguments.repeats) for name, path in clips.items()}, arguments.repeats)


def write(path: Path, width: int, height: int, seconds: int) -> Path:
    """Encode a moving, noisy pattern."""
    noise = np.random.default_rng(0).integers(0, 30, (height, width, 3), np.uint8)
    x = np.linspace(0, 200, width, dtype=np.uint8)[None, :, None]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(seconds * RATE):
            picture = np.roll(x + noise, 4 * number, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def measure(path: Path, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of every run, by contender."""
    contenders: dict[str, Callable[[Path], int]] = {
        "in process": in_process,
        "forked child": in_child,
        "cold child": in_child,
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        counts = set()
        for name, read in contenders.items():
            stop_fork_server()
            if name == "forked child":
                start_fork_server()
                time.sleep(WARM_UP_S)
            started = time.perf_counter()
            counts.add(read(path))
            times[name].append(1000 * (time.perf_counter() - started))
        assert len(counts) == 1, counts
    stop_fork_server()
    return times


def in_child(path: Path) -> int:
    with open_clip(path, Sampling(fps=FPS)) as reader:
        return sum(frame.rgb.nbytes for frame in reader.read_frames())


def in_process(path: Path) -> int:
    """Do the child's work without its sandbox, its pipe and its shared memory."""
    limits = VideoLimits()
    request = Request(
        0, 0, 1, limits.max_duration_s, limits.max_long_side, limits.max_short_side, limits.min_side,
        limits.max_num_packets, limits.timeout_s, FPS, 0, float("nan"), float("nan"),
    )  # fmt: skip
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        timeline = survey(container, stream, stream.codec_context.codec.canonical_name, request)
    num_bytes, reformatter = 0, VideoReformatter()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        chosen = choose_frames(
            len(timeline.times_s), float(Fraction(stream.average_rate or RATE)), fps=FPS, max_frames=None
        )
        for index, frame in decoded_frames(container, stream, timeline, chosen):
            if index is not None:
                rgb = reformatter.reformat(frame, format="rgb24")
                num_bytes += 3 * rgb.width * rgb.height
                bytes(rgb.planes[0])  # the child copies its pixels as well
    return num_bytes


def report(results: dict[str, dict[str, list[float]]], repeats: int) -> None:
    summary: dict[str, dict[str, float]] = {}
    print(f"h264 at {RATE} frames a second, {FPS:g} a second read; medians of {repeats} alternating runs, ms")
    print(f"{'clip':<18}{'in process':>12}{'forked child':>14}{'more':>8}{'ratio':>8}{'cold child':>12}")
    for name, times in results.items():
        here, forked, cold = (
            statistics.median(times[key]) for key in ("in process", "forked child", "cold child")
        )
        pairs = list(zip(times["in process"], times["forked child"], strict=True))
        more = statistics.median(b - a for a, b in pairs)
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{name:<18}{here:>12.1f}{forked:>12.1f}{more:>8.1f}{ratio:>8.3f}{cold:>12.1f}")
        summary[name] = {
            "in_process_ms": here,
            "forked_ms": forked,
            "more_ms": more,
            "ratio": ratio,
            "cold_ms": cold,
        }
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    rounded = {name: {k: round(v, 3) for k, v in row.items()} for name, row in summary.items()}
    print(json.dumps({"bench": "sandbox", "machine": machine, "results": rounded}))


if __name__ == "__main__":
    main()
