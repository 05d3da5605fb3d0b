"""The remote backend against a server that behaves as vLLM does."""

import asyncio
import base64
import io
from contextlib import aclosing

import numpy as np
import pytest
from model_server import Script
from PIL import Image
from tiny import make_task

from omnireel.backends.remote.stream import Patience
from omnireel.errors import AttemptError, CapacityError, GenerationError, InputError
from omnireel.task import Delta


def frames_in(request):
    url = request["messages"][1]["content"][0]["video_url"]["url"]
    head, _, data = url.partition(",")
    assert head == "data:video/jpeg;base64"
    return [Image.open(io.BytesIO(base64.b64decode(part))) for part in data.split(",")]


def test_the_answer_is_streamed_word_by_word(ask, server):
    events = ask(server)
    assert [e.text for e in events if isinstance(e, Delta)] == [
        "A",
        " square",
        " moves",
        " to",
        " the",
        " right.",
    ]
    own = [e.usage for e in events if isinstance(e, Delta)]
    assert {usage.input_tokens for usage in own} == {events[-1].input_tokens}
    assert [usage.output_tokens for usage in own] == [1, 2, 3, 4, 5, 6]
    assert events[-1].output == "A square moves to the right."
    assert (events[-1].finish_reason, events[-1].reasoning) == ("stop", None)


def test_the_servers_own_counts_are_billed(ask, server):
    server.script = Script(usage={"prompt_tokens": 255, "completion_tokens": 8})
    answer = ask(server)[-1]
    assert (answer.input_tokens, answer.output_tokens) == (255, 8)


def test_our_frames_are_sent_with_their_numbers_and_the_clips_own_rate(ask, server):
    answer = ask(server)[-1]
    (request,) = server.requests
    assert len(frames_in(request)) == 6
    assert request["media_io_kwargs"]["video"] == {
        "num_frames": -1,
        "fps": 10.0,
        "frames_indices": [0, 5, 11, 17, 23, 29],
        "total_num_frames": 30,
        "duration": 3.0,
        "do_sample_frames": False,
    }
    assert answer.video.frame_indices == (0, 5, 11, 17, 23, 29)


def test_a_cancelled_task_closes_the_stream(connect, clip, server):
    server.script = Script(token_s=0.01, answer="word " * 2000)

    async def cancel():
        backend = connect(server)
        async with aclosing(backend.generate(make_task(clip), [clip])) as events:
            async for event in events:
                if isinstance(event, Delta):
                    break
        while not server.num_cancelled:
            await asyncio.sleep(0.01)
        await backend.close()

    asyncio.run(asyncio.wait_for(cancel(), 20))


def test_a_text_about_length_is_sequence_too_long(ask, server):
    text = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."
    server.script = Script(status=400, body=f'{{"error": {{"message": "{text}", "code": 400}}}}')
    with pytest.raises(InputError) as caught:
        ask(server)
    assert (caught.value.kind, caught.value.ctx) == ("sequence_too_long", {"max_length": 4096})


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_passes_on_when_to_try_again(ask, server, status):
    server.script = Script(status=status, body="{}", headers={"retry-after": "17"})
    with pytest.raises(CapacityError) as caught:
        ask(server)
    assert caught.value.after_s == 17


@pytest.mark.parametrize(
    "script",
    [
        Script(error_at=2),
        Script(finish_reason="abort"),
        Script(status=500, body="Traceback: /srv/secret.py"),
        Script(status=401, body="{}"),
        Script(status=404, body="[" * 200_000),
    ],
)
def test_a_server_that_fails_gives_a_typed_error_without_its_own_words(ask, server, script):
    server.script = script
    with pytest.raises((GenerationError, AttemptError)) as caught:
        ask(server)
    assert caught.value.kind == "downstream_service_error"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("script", [Script(drop_at=2), Script(finish_reason=None)])
def test_an_answer_that_breaks_off_is_an_error_after_which_a_job_can_run_again(ask, server, script):
    server.script = script
    with pytest.raises(AttemptError) as caught:
        ask(server)
    assert caught.value.kind == "downstream_service_error"


@pytest.mark.parametrize(
    ("script", "what"), [(Script(is_silent=True), "first token"), (Script(stall_at=0), "first token"),
                         (Script(stall_at=2), "next token")]
)  # fmt: skip
def test_each_wait_has_a_limit(ask, server, script, what):
    server.script = script
    with pytest.raises(GenerationError, match=what) as caught:
        ask(server, options={"patience": Patience(0.3, 0.2)})
    assert caught.value.kind == "generation_timeout"


def test_frames_are_exact_where_that_is_asked_for(ask, server, clip):
    from clips import frames_of

    ask(server, options={"is_exact": True})
    sent = [np.asarray(picture) for picture in frames_in(server.requests[0])]
    assert all(
        np.array_equal(a, frames_of(clip)[n]) for a, n in zip(sent, (0, 5, 11, 17, 23, 29), strict=True)
    )
