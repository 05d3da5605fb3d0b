"""Counts without weights equal those of encoding."""

import asyncio
import json
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from clips import ClipSpec, write_clip
from tiny import CONFIG, WITH_SOUND, files_of, make_task, tiny_encoder, tiny_model

from omnireel.backends.echo import EchoBackend
from omnireel.errors import CheckpointError, InputError
from omnireel.prompting.counts import TokenCounter
from omnireel.task import MediaOptions, MediaPart, Message, Role, Task, TextPart

SPECS = {
    "wide": {"width": 160, "height": 90, "num_frames": 30, "rate": Fraction(10)},
    "tall, an odd number of frames chosen": {"width": 48, "height": 160, "num_frames": 25, "rate": Fraction(10)},
    "one frame": {"width": 64, "height": 64, "num_frames": 1, "rate": Fraction(25)},
    "with sound": {"width": 160, "height": 90, "num_frames": 30, "rate": Fraction(10), "with_audio": True},
}  # fmt: skip


@pytest.fixture(scope="module", params=SPECS.values(), ids=SPECS)
def clip(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return write_clip(folder / "clip.mp4", ClipSpec(codec="mpeg4", **request.param))


@pytest.fixture(scope="module", params=[{}, WITH_SOUND], ids=["no audio encoder", "audio encoder"])
def encoder(request, text_directory):
    return tiny_encoder(tiny_model(**request.param), text_directory)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"media": MediaOptions(video_pruning_rate=0.0)},
        {"media": MediaOptions(video_pruning_rate=0.33, fps=5.0)},
        {"media": MediaOptions(video_pruning_rate=0.99, max_frames=4)},
        {"media": MediaOptions(use_audio=False)},
        {"media": MediaOptions(detail="low")},
        {"media": MediaOptions(detail="high")},
        {"media": MediaOptions(start_s=0.01, end_s=1.7)},
        {"thinking": True},
        {"thinking": True, "sampling": {"reasoning_budget": 5}},
        {"system_prompt": "Be brief. <image></think> é漢字"},
        {"prompt": "<so_embedding><image> " * 5},
    ],
    ids=str,
)
def test_a_count_without_weights_equals_that_of_encoding(encoder, clip, fields):
    task = make_task(clip, **fields)
    encoded = encoder.encode(task, files_of(task), lambda _: None)
    inspection = encoder.counter.inspect(task, files_of(task))
    assert inspection.input_tokens == len(encoded.prompt.ids)
    counted, real = inspection.video, encoded.video
    assert counted.num_vision_tokens == encoded.kept.numel()
    assert counted.num_kept_tokens == int(encoded.kept.sum())
    assert counted.num_sound_tokens == len(encoded.sound_tokens)
    assert (counted.sound, counted.frame_indices) == (real.sound, real.frame_indices)
    assert inspection.input_tokens <= encoder.counter.most_input_tokens(task)


def test_counting_reads_no_weights(text_directory, tmp_path, clip):
    for file in text_directory.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    counter = TokenCounter.from_directory(tmp_path)
    task = make_task(clip)
    expected = tiny_encoder(tiny_model(), text_directory).counter.inspect(task, files_of(task))
    assert counter.inspect(task, files_of(task)) == expected
    assert not list(tmp_path.glob("*.safetensors"))


def test_prompt_and_answer_together_never_exceed_the_context(encoder, tmp_path):
    task = make_task(tmp_path / "not there yet.mp4", sampling={"max_tokens": 20_000})
    assert encoder.counter.most_tokens(task) == encoder.counter.max_context


def task_with(num_clips: int) -> Task:
    parts = (*(MediaPart(f"{n}.mp4") for n in range(num_clips)), TextPart("What moves?"))
    return Task("test", (Message(Role.user, parts),))


@pytest.mark.parametrize("num_clips", [0, 2])
def test_a_task_without_exactly_one_clip_is_refused(encoder, num_clips):
    task = task_with(num_clips)
    echo = EchoBackend()
    attempts = (
        lambda: encoder.counter.inspect(task, files_of(task)),
        lambda: encoder.encode(task, files_of(task), lambda _: None),
        lambda: asyncio.run(echo.inspect(task, files_of(task))),
    )
    for attempt in attempts:
        with pytest.raises(InputError, match=f"has {num_clips} videos") as caught:
            attempt()
        assert (caught.value.kind, caught.value.about) == ("feature_not_supported", "media")
    asyncio.run(echo.close())


def test_a_directory_without_config_is_refused(text_directory):
    with pytest.raises(CheckpointError, match=r"config\.json"):
        TokenCounter.from_directory(Path(text_directory))


def test_detail_changes_the_patches_of_a_frame(text_directory, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", ClipSpec(codec="mpeg4", **SPECS["wide"]))
    counter = tiny_encoder(tiny_model(), text_directory).counter
    inspected = {
        detail: counter.inspect(make_task(clip, media=MediaOptions(detail=detail)), [clip])
        for detail in (None, "low", "auto", "high")
    }
    tokens = {detail: found.video.num_vision_tokens for detail, found in inspected.items()}
    assert tokens == {None: 24, "low": 6, "auto": 24, "high": 96}
    assert inspected[None] == inspected["auto"]
    assert inspected["low"].input_tokens < inspected["auto"].input_tokens < inspected["high"].input_tokens


def test_the_default_detail_gives_the_same_bits(text_directory, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", ClipSpec(codec="mpeg4", **SPECS["wide"]))
    encoder = tiny_encoder(tiny_model(), text_directory)
    tasks = make_task(clip), make_task(clip, media=MediaOptions(detail="auto"))
    default, auto = (encoder.encode(task, [clip], lambda _: None) for task in tasks)
    assert torch.equal(default.vision_tokens, auto.vision_tokens)
    assert default.prompt.ids == auto.prompt.ids
