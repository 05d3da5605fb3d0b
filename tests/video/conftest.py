"""Fixtures: clips for several tests, encoded once per run, and a hostile decoding child."""

from fractions import Fraction

import pytest
from clips import ClipSpec, write_clip

from omnireel.video.reader import children


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def clip(clip_folder):
    """Two seconds of h264 at 30 fps, with sound."""
    return write_clip(clip_folder / "clip.mp4", ClipSpec(with_audio=True))


@pytest.fixture(scope="session")
def slow_clip(clip_folder):
    """Ten frames, one each second: long, but quick to encode."""
    return write_clip(clip_folder / "slow.mp4", ClipSpec(num_frames=10, rate=Fraction(1)))


@pytest.fixture
def hostile(monkeypatch):
    """A function that replaces the decoder in the child: after its request, the child runs a script."""

    def replace_child(script):
        decode = "import os, sys, time; sys.stdin.buffer.read1()\n" + script
        code = "import sys; sys.path.insert(0, sys.argv[1]); from omnireel.video.decoder.fork_server import serve;"
        code += f"serve(lambda _: exec({decode!r}, {{}}), parent_pid=int(sys.argv[2]))"
        children.stop_fork_server()
        monkeypatch.setattr(children, "_CODE", code)

    yield replace_child
    children.stop_fork_server()
