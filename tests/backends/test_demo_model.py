"""The shipped model through the whole path, with questions that it once left without an answer."""

import asyncio

import av
import numpy as np
import pytest
import torch
from tiny import answer_of, local_backend, make_task

from omnireel.cli.backend import DEMO
from omnireel.prompting.encoding import PromptEncoder

WIDTH, HEIGHT, NUM_FRAMES = 320, 180, 60


@pytest.fixture(scope="module")
def red_circle(tmp_path_factory):
    """Four seconds of a red circle that moves right."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=15, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for n in range(NUM_FRAMES):
            picture = np.full((HEIGHT, WIDTH, 3), 205, np.uint8)
            picture[(x - 40 - 225 * n / NUM_FRAMES) ** 2 + (y - 90) ** 2 < 22**2] = (215, 35, 35)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def demo():
    backend = local_backend(PromptEncoder.load(DEMO, dtype=torch.float32), name="demo")
    yield backend
    asyncio.run(backend.close())


def test_a_question_on_which_its_turn_ends_in_the_chain_is_answered_with_every_seed(demo, red_circle):
    for seed in range(8):
        sampling = {"temperature": 0.7, "seed": seed, "max_tokens": 1024}
        task = make_task(red_circle, "What is moving, and which way?", thinking=True, sampling=sampling)
        answer = answer_of(demo, task)
        chain, _, said = answer.output.removeprefix("<think>").partition("</think>")
        assert chain == answer.reasoning != ""
        assert "red circle moves right" in said
        assert answer.finish_reason == "stop"
