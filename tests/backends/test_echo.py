import asyncio
import time
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import answer_of, events_of, inspection_of, make_task

from omnireel.backends.echo import EchoBackend, words_of
from omnireel.errors import InputError
from omnireel.task import Delta, MediaOptions, Progress
from omnireel.video.limits import VideoLimits


@pytest.fixture
def echo():
    backend = EchoBackend()
    yield backend
    asyncio.run(backend.close())


def test_the_prompt_comes_back(echo, clip):
    answer = answer_of(echo, make_task(clip, "What moves?"))
    assert (answer.output, answer.finish_reason) == ("echo: What moves?", "stop")
    assert answer.reasoning is None


def test_usage_counts_words(echo, clip):
    answer = answer_of(echo, make_task(clip, " What  moves? ", system_prompt="Be brief."))
    assert (answer.input_tokens, answer.output_tokens) == (4, 3)


def test_a_word_is_a_token_and_a_delta(echo, clip):
    events = asyncio.run(events_of(echo, make_task(clip, "What moves?")))
    assert [event.text for event in events if isinstance(event, Delta)] == ["echo:", " What", " moves?"]


@given(st.text())
def test_the_words_joined_are_the_whole_answer(prompt):
    words = words_of(prompt)
    assert "".join(words) == "echo: " + prompt
    assert len(words) == len(prompt.split()) + 1


@pytest.mark.parametrize(
    ("max_tokens", "output", "reason"),
    [(1, "echo:", "length"), (2, "echo: What", "length"), (3, "echo: What moves?", "stop")],
)
def test_max_tokens_cuts_the_answer(echo, clip, max_tokens, output, reason):
    answer = answer_of(echo, make_task(clip, "What moves?", sampling={"max_tokens": max_tokens}))
    assert (answer.output, answer.finish_reason, answer.output_tokens) == (output, reason, max_tokens)


def test_the_clip_is_read_frame_by_frame(echo, clip):
    events = asyncio.run(events_of(echo, make_task(clip)))
    video = events[-1].video
    assert video.frame_indices == (0, 5, 11, 17, 23, 29)
    assert video.frame_times_s == pytest.approx([index / 10 for index in video.frame_indices])
    assert (video.width, video.height, video.codec) == (160, 90, "mpeg4")
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == pytest.approx([0, *(n / 6 for n in range(1, 7)), 1])


@pytest.mark.parametrize(
    ("media", "indices"),
    [
        (MediaOptions(fps=1), (0, 14, 29)),
        (MediaOptions(max_frames=2), (0, 29)),
        (MediaOptions(start_s=1.0, end_s=1.9), (10, 19)),
        (MediaOptions(start_s=2.0), (20, 29)),
    ],
)
def test_the_media_options_choose_the_frames(echo, clip, media, indices):
    assert answer_of(echo, make_task(clip, media=media)).video.frame_indices == indices


def test_a_file_that_is_no_video_is_refused(echo, tmp_path):
    path = tmp_path / "notes.mp4"
    path.write_text("not a video")
    with pytest.raises(InputError) as caught:
        answer_of(echo, make_task(path))
    assert caught.value.kind == "unsupported_video_format"


def test_limits_can_be_given_to_the_constructor(clip):
    echo = EchoBackend(limits=VideoLimits(max_duration_s=1))
    with pytest.raises(InputError, match="limit 1 s"):
        answer_of(echo, make_task(clip))
    asyncio.run(echo.close())


def test_a_prompt_over_the_context_is_refused(echo, clip):
    with pytest.raises(InputError) as caught:
        answer_of(echo, make_task(clip, "word " * 131_072))
    assert caught.value.kind == "sequence_too_long"
    assert caught.value.ctx["max_length"] == 131_071


def test_inspecting_counts_without_answering(echo, clip):
    inspection = inspection_of(echo, make_task(clip, "What moves?"))
    answer = answer_of(echo, make_task(clip, "What moves?"))
    assert inspection.input_tokens == answer.input_tokens
    assert inspection.video.frame_indices == answer.video.frame_indices
    assert inspection.video.frame_times_s == pytest.approx(answer.video.frame_times_s)


def test_each_token_takes_the_configured_time(clip):
    echo = EchoBackend(token_s=0.05)

    async def arrivals():
        async with aclosing(echo.generate(make_task(clip, "a b c"), [clip])) as events:
            return [time.monotonic() async for event in events if isinstance(event, Delta)]

    times = asyncio.run(arrivals())
    assert times[-1] - times[0] >= 0.15
    asyncio.run(echo.close())


def test_a_cancelled_task_ends_at_once(clip):
    echo = EchoBackend(token_s=3600)

    async def cancel_after_the_clip():
        started = asyncio.Event()

        async def run():
            async with aclosing(echo.generate(make_task(clip), [clip])) as events:
                async for event in events:
                    if isinstance(event, Progress) and event.fraction == 1:
                        started.set()

        task = asyncio.create_task(run())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(cancel_after_the_clip(), 10))
    asyncio.run(echo.close())


def test_it_is_always_ready(echo):
    health = asyncio.run(echo.health())
    assert (health.is_ready, health.model) == (True, "echo")
