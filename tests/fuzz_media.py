"""Reads mutated clips in the decode sandbox: `make fuzz-media`, and a small test.

Each file is either read or refused with one of the documented kinds. Our own code must not fail, here or in the
decoding process, and memory must not grow. FFmpeg may crash in the decoding process; crashes are counted.
The same seed makes the same files. `--only NUMBER` makes one of them again.
"""

import argparse
import json
import logging
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from clips import ClipSpec, write_clip

from omnireel.errors import InputError
from omnireel.video.limits import VideoLimits
from omnireel.video.reader.children import start_fork_server, stop_fork_server
from omnireel.video.reader.frames import Sampling, open_clip
from omnireel.video.reader.process import num_sandbox_violations

# The kinds of errors that the endpoint documents for videos.
DOCUMENTED = frozenset({
    "file_empty", "file_too_large", "unsupported_video_format", "no_video_stream", "video_corrupt",
    "video_duration_too_long", "video_too_many_frames", "video_resolution_too_large", "video_too_small",
    "unsupported_codec", "video_decode_timeout", "video_decode_failed",
})  # fmt: skip
BOXES = [b"moov", b"trak", b"mdia", b"stbl", b"stsd", b"stts", b"stsz", b"stco", b"stsc", b"ctts", b"elst",
         b"mvhd", b"tkhd", b"avcC", b"hvcC", b"esds", b"moof", b"mdat"]  # fmt: skip
DATA = Path(__file__).parent / "data"
MAX_CHILD_BYTES = 3 << 29
MAX_GROWTH_BYTES = 32 << 20
LIMITS = VideoLimits(timeout_s=20.0)


@dataclass
class Tally:
    """Counts outcomes and faults. number: of the file that is being read"""

    outcomes: Counter = field(default_factory=Counter)
    deaths: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    number: int = -1
    slowest_s: float = 0.0


class Deaths(logging.Handler):
    """Counts decoding processes that died. A signal is a fault of FFmpeg; an exception is a fault of our own code."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(logging.WARNING)
        self._tally = tally

    def emit(self, record: logging.LogRecord) -> None:
        """Count the death that a log record reports."""
        text = record.getMessage()
        self._tally.deaths[text[:60]] += 1
        if "Traceback" in text or "invalid record" in text:
            self._tally.faults.append(f"file {self._tally.number}: {text[-200:]}")


def seeds(folder: Path) -> list[bytes]:
    """Small clips of every codec, with and without sound, fragmented or not, and the unusual clips of the tests."""
    short = {"num_frames": 12, "rate": Fraction(10), "width": 96, "height": 64}
    fragmented = {"movflags": "frag_keyframe+empty_moov"}
    specs = [
        ("a.mp4", ClipSpec(codec="h264", with_audio=True, **short)),
        ("b.mp4", ClipSpec(codec="hevc", **short)),
        ("c.mp4", ClipSpec(codec="mpeg4", with_audio=True, **short)),
        ("d.webm", ClipSpec(codec="vp9", **short)),
        ("e.mp4", ClipSpec(codec="av1", **short)),
        ("f.mp4", ClipSpec(codec="h264", container_options=fragmented, **short)),
        ("g.mov", ClipSpec(codec="h264", rotation=90.0, **short)),
        ("h.mkv", ClipSpec(codec="h264", with_audio=True, **short)),
        ("i.webm", ClipSpec(codec="vp8", **short)),
        ("j.gif", ClipSpec(codec="gif", pix_fmt="rgb8", **short)),
    ]
    clips = [write_clip(folder / name, spec).read_bytes() for name, spec in specs]
    unusual = sorted(path for path in DATA.iterdir() if path.suffix in (".mp4", ".mkv", ".webm"))
    return clips + [path.read_bytes() for path in unusual]


def mutated(rng: random.Random, content: bytes) -> bytes:
    """The content with one to four random changes."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        rng.choice((_flip_bits, _overwrite, _cut, _resize_box, _rename_box, _repeat, _drop))(rng, data)
    return bytes(data)


def _flip_bits(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 4, 64))):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(rng: random.Random, data: bytearray) -> None:
    start, length = rng.randrange(len(data) + 1), rng.randint(1, 64)
    data[start : start + length] = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))


def _cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _box(rng: random.Random, data: bytearray) -> int:
    """The offset of the size field of a random box; negative if none was found."""
    place = data.find(rng.choice(BOXES), rng.randrange(len(data) + 1) if rng.random() < 0.3 else 0)
    return place - 4


def _resize_box(rng: random.Random, data: bytearray) -> None:
    if (place := _box(rng, data)) >= 0:
        size = rng.choice((0, 1, 7, 8, 0x7FFFFFFF, 0xFFFFFFFF, rng.randrange(1 << 16)))
        data[place : place + 4] = size.to_bytes(4, "big")


def _rename_box(rng: random.Random, data: bytearray) -> None:
    if (place := _box(rng, data)) >= 0:
        data[place + 4 : place + 8] = rng.choice(BOXES)


def _repeat(rng: random.Random, data: bytearray) -> None:
    start, length = rng.randrange(len(data) + 1), rng.randint(1, 512)
    data[start:start] = data[start : start + length] * rng.randint(1, 4)


def _drop(rng: random.Random, data: bytearray) -> None:
    start, length = rng.randrange(len(data) + 1), rng.randint(1, 512)
    del data[start : start + length]


def read(path: Path) -> str:
    """Read a file. Returns the outcome: "read", or the kind of the error."""
    try:
        with open_clip(path, Sampling(), LIMITS) as clip:
            if clip.facts.has_audio:
                clip.read_sound()
            num_frames = sum(1 for _ in clip.read_frames())
            return "read with warnings" if clip.facts.warnings else f"read{'' if num_frames else ' nothing'}"
    except InputError as error:
        return error.kind


def try_one(number: int, seed: int, originals: list[bytes], folder: Path, tally: Tally) -> None:
    """Make file `number` of a seed, read it, and count the outcome."""
    tally.number = number
    rng = random.Random(f"{seed} {number}")
    path = folder / "clip"
    path.write_bytes(mutated(rng, rng.choice(originals)))
    began = time.monotonic()
    try:
        outcome = read(path)
    except Exception as error:  # noqa: BLE001  any other exception is a fault
        outcome = "crash"
        tally.faults.append(f"file {number}: {type(error).__name__}: {error}")
    if outcome not in DOCUMENTED and not outcome.startswith("read") and outcome != "crash":
        tally.faults.append(f"file {number}: undocumented kind {outcome}")
    tally.slowest_s = max(tally.slowest_s, time.monotonic() - began)
    tally.outcomes[outcome] += 1


def rss_bytes() -> int:
    """Resident memory of this process, which reads clips as a server does."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def run(num_files: int, seed: int, *, only: int | None = None) -> tuple[Tally, dict[str, float]]:
    """Read all files, or one of them. Returns the counts and the figures of memory and time."""
    tally = Tally()
    log = logging.getLogger("omnireel.video.reader.process")
    log.addHandler(Deaths(tally))
    log.propagate = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        originals = seeds(folder)
        start_fork_server()
        try:
            for path in folder.iterdir():  # reading the first clips loads libraries that stay in memory
                read(path)
            before = rss_bytes()
            for number in [only] if only is not None else range(num_files):
                try_one(number, seed, originals, folder, tally)
                if number % 500 == 499:
                    print(f"{number + 1} files, {len(tally.faults)} faults", file=sys.stderr, flush=True)
        finally:
            stop_fork_server()
    figures = {
        "growth_bytes": rss_bytes() - before,
        "child_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        "slowest_s": round(tally.slowest_s, 2),
        "sandbox_violations": num_sandbox_violations(),
    }
    if figures["growth_bytes"] > MAX_GROWTH_BYTES:
        tally.faults.append(f"the reader grew by {figures['growth_bytes']} bytes")
    if figures["child_bytes"] > MAX_CHILD_BYTES:
        tally.faults.append(f"a child took {figures['child_bytes']} bytes")
    if figures["sandbox_violations"]:
        tally.faults.append(f"{figures['sandbox_violations']} children made a forbidden system call")
    return tally, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    arguments = parser.parse_args()
    tally, figures = run(arguments.files, arguments.seed, only=arguments.only)
    for outcome, number in tally.outcomes.most_common():
        print(f"{outcome:<28}{number:>8}")
    for death, number in tally.deaths.most_common():
        print(f"{death:<28}{number:>8}")
    for fault in tally.faults:
        print(f"FAULT {fault}")
    print(
        json.dumps(
            {"seed": arguments.seed, "outcomes": tally.outcomes, "faults": len(tally.faults)} | figures
        )
    )
    sys.exit(bool(tally.faults))


if __name__ == "__main__":
    main()
