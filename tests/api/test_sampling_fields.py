"""Each field about sampling changes a dry run, over HTTP and on the command line alike."""

import asyncio
from fractions import Fraction

import pytest
import torch
from clips import ClipSpec, write_clip
from tiny import local_backend

from omnireel.api.fal.input import parse_input, to_task
from omnireel.api.fal.output import estimate_report, inspection_report
from omnireel.cli.backend import DEMO
from omnireel.cli.task import make_task
from omnireel.errors import SettingsError
from omnireel.prompting.encoding import PromptEncoder
from omnireel.settings import read_ask_settings


@pytest.fixture(scope="module")
def demo():
    backend = local_backend(PromptEncoder.load(DEMO, dtype=torch.float32), name="demo")
    yield backend
    asyncio.run(backend.close())


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Three seconds at 10 frames a second."""
    path = tmp_path_factory.mktemp("clips") / "square.mp4"
    return write_clip(path, ClipSpec(codec="mpeg4", num_frames=30, rate=Fraction(10)))


def dry_run(demo, clip, fields):
    """The report over HTTP, after checking that the command line's says the same."""
    body = {"prompt": "What moves?", "video_url": "x", **fields}
    sent = parse_input(body)
    over_http = estimate_report(asyncio.run(demo.inspect(to_task(sent, body), [clip])), sent.max_tokens)
    flags = {name.removesuffix("_s"): value for name, value in fields.items()}
    task = make_task(str(clip), "What moves?", read_ask_settings(flags))
    on_command_line = inspection_report(asyncio.run(demo.inspect(task, [clip])))
    assert on_command_line["video"] == over_http["video"]
    assert on_command_line["usage"]["input_tokens"] == over_http["usage"]["input_tokens"]
    return over_http


@pytest.mark.parametrize(
    ("fields", "indices"),
    [
        ({}, [0, 5, 11, 17, 23, 29]),
        ({"fps": 1.0}, [0, 14, 29]),
        ({"max_frames": 2}, [0, 29]),
        ({"start_s": 2.0}, [20, 29]),
        ({"end_s": 1.0}, [0, 10]),
        ({"start_s": 1.0, "end_s": 2.0, "fps": 3.0}, [10, 15, 20]),
    ],
)
def test_fields_decide_which_frames_are_chosen(demo, clip, fields, indices):
    report = dry_run(demo, clip, fields)
    assert report["video"]["frame_indices"] == indices
    assert report["video"]["frame_times_s"] == pytest.approx([i / 10 for i in indices])


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.9])
def test_the_pruning_rate_decides_how_many_tokens_are_kept(demo, clip, rate):
    report = dry_run(demo, clip, {"video_pruning_rate": rate})
    before = report["video"]["vision_tokens"]
    assert report["video"]["kept_tokens"] == max(before // 3, int(before * (1 - rate)))
    whole = dry_run(demo, clip, {"video_pruning_rate": 0.0})["usage"]["input_tokens"]
    assert whole - report["usage"]["input_tokens"] == before - report["video"]["kept_tokens"]


@pytest.mark.parametrize("flags", [{"start": 2.0, "end": 1.0}, {"start": 1.0, "end": 1.0}, {"end": 0.0}])
def test_a_part_that_ends_before_it_starts_is_refused_on_the_command_line_too(clip, flags):
    with pytest.raises(SettingsError, match="before it starts"):
        make_task(str(clip), "?", read_ask_settings(flags))
