"""What is sent of texts and options, what is refused, and how chain and answer are told apart."""

import asyncio

import pytest
from model_server import Script
from tiny import WITH_SOUND, inspection_of, make_task

from omnireel.engine.params import SamplingParams
from omnireel.errors import InputError
from omnireel.task import Delta, MediaOptions

CHAIN = "First I look. Then I think."
WHOLE = "<think>First I look. Then I think.</think>It moves."


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content", None])
def test_chain_and_answer_have_one_form_whatever_field_the_chain_comes_in(ask, server, name):
    server.script = Script(answer="It moves.", reasoning=CHAIN, reasoning_field=name)
    events = ask(server, thinking=True)
    assert (events[-1].output, events[-1].reasoning) == (WHOLE, CHAIN)
    assert "".join(e.text for e in events if isinstance(e, Delta)) == WHOLE


def test_a_closing_tag_that_ends_nothing_is_dropped(ask, server):
    server.script = Script(answer="</think> It moves.")
    assert ask(server)[-1].output == "It moves."
    server.script = Script(answer="</think> It moves.", reasoning=CHAIN)
    assert ask(server, thinking=True)[-1].output == WHOLE


def test_an_answer_that_a_parser_took_for_a_chain_is_the_answer(ask, server):
    server.script = Script(answer="", reasoning="It moves.")
    assert ask(server)[-1].output == "It moves."


@pytest.mark.parametrize(("thinking", "system"), [(True, "/think"), (False, "/no_think")])
def test_the_switch_and_the_budget_are_sent(ask, server, thinking, system):
    server.script = Script(answer="It moves.", reasoning=CHAIN if thinking else "")
    budget = {"reasoning_budget": 50} if thinking else {}
    ask(server, thinking=thinking, sampling={"seed": 7, "max_tokens": 99, **budget})
    (request,) = server.requests
    assert request["chat_template_kwargs"] == {"enable_thinking": thinking, **budget}
    assert request["messages"][0] == {"role": "system", "content": system}
    # vLLM counts the line break that the template writes after the opening tag.
    assert request.get("thinking_token_budget") == (51 if thinking else None)
    assert (request["seed"], request["max_tokens"], request["temperature"]) == (7, 99, 0)


def test_a_control_token_in_a_text_is_no_control_token_for_the_server(ask, server):
    ask(server, prompt="say <|im_end|> and <video>", system_prompt="</think>")
    texts = [
        server.requests[0]["messages"][0]["content"],
        server.requests[0]["messages"][1]["content"][1]["text"],
    ]
    assert all(token not in text for text in texts for token in ("<|im_end|>", "<video>", "</think>"))
    assert [text.replace("\u2060", "") for text in texts] == ["</think>", "say <|im_end|> and <video>"]


@pytest.mark.parametrize(
    ("kind", "fields", "about"),
    [
        ("vllm", {"media": MediaOptions(video_pruning_rate=0.7)}, "video_pruning_rate"),
        ("vllm", {"sampling": {"reasoning_budget": 9, "grace_period": 3}, "thinking": True}, "grace_period"),
        ("vllm", {"sampling": {"reasoning_budget": 0}, "thinking": True}, "reasoning_budget"),
        ("trtllm", {"sampling": {"reasoning_budget": 9}, "thinking": True}, "reasoning_budget"),
        ("sglang", {"media": MediaOptions(max_frames=200)}, "max_frames"),
        ("sglang", {"media": MediaOptions(fps=4)}, "fps"),
    ],
)
def test_what_a_server_cannot_do_is_refused(ask, server, kind, fields, about):
    with pytest.raises(InputError) as caught:
        ask(server, options={"kind": kind}, **fields)
    assert (caught.value.kind, caught.value.about) == ("feature_not_supported", about)
    assert server.requests == []


def test_the_pruning_rate_of_the_server_is_accepted(ask, server):
    assert ask(server, media=MediaOptions(video_pruning_rate=0.5))[-1].output


@pytest.mark.parametrize("kind", ["sglang", "nim", "trtllm", "llama-server"])
def test_a_server_without_a_list_of_frames_gets_a_clip_of_them(ask, server, kind, tmp_path):
    import base64

    from clips import frames_of

    ask(server, options={"kind": kind})
    part = server.requests[0]["messages"][1]["content"][0]
    data = (
        part["input_video"]["data"] if kind == "llama-server" else part["video_url"]["url"].partition(",")[2]
    )
    path = tmp_path / "sent.mp4"
    path.write_bytes(base64.b64decode(data))
    assert len(frames_of(path)) == 6


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {"prompt_tokens": -4, "completion_tokens": 7},
        {"prompt_tokens": "many", "completion_tokens": 7},
        {"prompt_tokens": 0, "completion_tokens": 0},
    ],
)
def test_where_the_servers_counts_cannot_be_true_ours_are_billed(ask, server, connect, clip, usage):
    server.script = Script(usage=usage)
    answer = ask(server)[-1]
    assert answer.output_tokens == 6
    assert answer.input_tokens == inspection_of(connect(server), make_task(clip)).input_tokens


def test_no_more_output_is_billed_than_was_asked_for(ask, server):
    server.script = Script(usage={"prompt_tokens": 100, "completion_tokens": 10**9})
    assert ask(server, sampling={"max_tokens": 12})[-1].output_tokens == 12


def test_a_difference_between_the_counts_is_logged(ask, server, capsys):
    server.script = Script(usage={"prompt_tokens": 5000, "completion_tokens": 7})
    assert ask(server)[-1].input_tokens == 5000
    assert "differs from ours" in "".join(capsys.readouterr())


def test_sound_is_sent_as_a_wav_part(connect, server, tmp_path):
    import base64
    import io
    import wave

    from clips import ClipSpec, write_clip
    from tiny import events_of

    clip = write_clip(tmp_path / "tone.mp4", ClipSpec(codec="mpeg4", num_frames=30, with_audio=True))

    async def run():
        backend = connect(server, **WITH_SOUND)
        events = await events_of(backend, make_task(clip))
        await backend.close()
        return events

    assert asyncio.run(run())[-1].video.sound == "used"
    part = server.requests[0]["messages"][1]["content"][1]
    assert part["input_audio"]["format"] == "wav"
    with wave.open(io.BytesIO(base64.b64decode(part["input_audio"]["data"]))) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (16_000, 1)
        assert sound.getnframes() == pytest.approx(16_000, abs=2000)


def test_the_context_of_the_server_is_the_limit(ask, server):
    server.script.models[0]["max_model_len"] = 64
    with pytest.raises(InputError) as caught:
        ask(server)
    assert (caught.value.kind, caught.value.ctx["max_length"]) == ("sequence_too_long", 63)


def test_top_p_of_zero_is_the_smallest_that_servers_take(ask, server):
    ask(server, sampling=vars(SamplingParams(top_p=0)))
    assert 0 < server.requests[0]["top_p"] < 0.001
