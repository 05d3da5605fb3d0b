"""The survey of held-out sets: its answers are those of the server's path, and its sets are what they say."""

import asyncio
from pathlib import Path
from random import Random

import av
import numpy as np
import pytest
import torch
from tiny import local_backend

import omnireel
from omnireel.backends.local import LocalBackend
from omnireel.engine.params import SamplingParams
from omnireel.prompting.encoding import PromptEncoder
from omnireel.task import Answer, video_task
from training.answers import Answerer
from training.evaluate import judged
from training.exams import SETS, make_case
from training.paint import paint, write_video
from training.scenes import make_scene

DEMO = Path(omnireel.__file__).parent / "assets" / "demo"
QUESTIONS = ("What moves?", "How many objects are there?")


@pytest.fixture
def one_thread():
    """Steps of one token are so small that threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as box:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in box.decode(video=0)])


def test_answers_in_a_batch_are_those_of_the_whole_path(tmp_path, one_thread):
    scene = make_scene(Random(3), 2.0, 16 / 9, count=2)
    path, indices = tmp_path / "clip.mp4", (0, 5, 10, 15)
    frames = paint(scene, [i / 10 for i in range(20)], 320, 180)
    write_video(str(path), frames, 10, codec="libx264", options={"crf": "20"})
    asked = [(text, thinking) for text in QUESTIONS for thinking in (False, True)]
    answers = Answerer(DEMO, temperature=1e-3).answers(_frames(path)[list(indices)], indices, 10.0, asked)
    backend = local_backend(PromptEncoder.load(DEMO, dtype=torch.float32))
    for (text, thinking), answer in zip(asked, answers, strict=True):
        sampling = SamplingParams(temperature=0.0, max_tokens=150)
        task = video_task("x", prompt=text, video=str(path), thinking=thinking, sampling=sampling)
        assert asyncio.run(_whole(backend, task, path)) == answer.replace("\n", "")
    asyncio.run(backend.close())


async def _whole(backend: LocalBackend, task, path: Path) -> str:
    async for event in backend.generate(task, [path]):
        if isinstance(event, Answer):
            return event.output
    raise AssertionError


@pytest.mark.parametrize("name", [name for name in SETS if name != "pictures"])
def test_a_case_is_a_clip_with_questions_and_the_same_for_the_same_number(name):
    case, again = (make_case(name, 1, 3, Path("nowhere")) for _ in range(2))
    assert case.frames.shape[0] == len(case.timing.indices) > 1
    assert (case.frames == again.frames).all()
    assert [one.text for one in case.asked] == [one.text for one in again.asked]
    for one in case.asked:
        verdict = judged(one.question, one.text, one.question.sentence, thinking=False, row=one.row)
        assert verdict.right, one


def test_refusals_and_empty_answers_are_told_apart():
    case = make_case("scenes", 1, 0, Path("nowhere"))
    one = case.asked[0]
    assert judged(one.question, one.text, "Unknown", thinking=False, row="x").refused
    empty = judged(one.question, one.text, "<think>\nA star. So: red", thinking=True, row="x")
    assert (empty.empty, empty.refused, empty.right) == (True, False, False)
