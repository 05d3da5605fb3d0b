"""The remote backend with a real vLLM, beside the local backend with the same random checkpoint in fp32."""

import asyncio
import json
import urllib.error
from contextlib import aclosing

import pytest
from tiny import answer_of, events_of, make_task
from vllm_process import MAX_CONTEXT

from omnireel.backends.local import LocalBackend
from omnireel.backends.remote.backend import RemoteBackend, RemoteOptions
from omnireel.backends.remote.chat_request import body_for
from omnireel.backends.remote.checks import ServerCheck
from omnireel.backends.remote.clip import TaskEncoder
from omnireel.backends.remote.failures import refused
from omnireel.backends.remote.servers import SERVERS
from omnireel.backends.remote.stream import Patience
from omnireel.backends.remote.upstreams import UpstreamPool, upstream_at
from omnireel.backends.trace import trace
from omnireel.prompting.clip import MediaDefaults
from omnireel.prompting.layout import IMAGE, SOUND
from omnireel.task import Delta

VLLM = SERVERS["vllm"]
NUM_TOKENS = 24
LONG = 3000  # takes many seconds


def quiet(_):
    """Progress is not looked at."""


def pool_of(server):
    return UpstreamPool([upstream_at(server.url)], max_running=4, accepts=lambda _: True)


@pytest.fixture
def connect(server, counter):
    """Makes a backend that asks vLLM; each call of `asyncio.run` needs one of its own."""
    media = MediaDefaults(pruning_rate=0.5)

    def make(*, is_exact=True):
        options = RemoteOptions(Patience(120, 60), media, is_exact=is_exact)
        return RemoteBackend(VLLM, pool_of(server), counter, options)

    return make


@pytest.fixture
def local(encoder, runner):
    backend = LocalBackend(encoder, runner, model_name="scaled")
    yield backend
    asyncio.run(backend.close())


@pytest.fixture
def asked_directly(server, counter):
    """Sends what the backend would send, and also asks vLLM for the ids. Returns ids of prompt and answer."""

    def ask(task, files):
        sent = TaskEncoder(counter, VLLM, is_exact=True).encode(task, files, quiet, salt=None)
        body = json.loads(body_for(served_model(server), sent.rest))
        del body["stream_options"]
        found = server.ask(body | {"stream": False, "return_token_ids": True})
        return found["prompt_token_ids"], found["choices"][0]["token_ids"]

    return ask


def served_model(server):
    async def probe():
        pool = pool_of(server)
        await pool.probe()
        return pool.upstreams[0].model

    return asyncio.run(probe())


def without(ids, *tokens):
    """The ids without these tokens, and how many of each there are."""
    return [n for n in ids if n not in tokens], [ids.count(token) for token in tokens]


@pytest.fixture(params=["silent", "with sound"])
def clip(request, clips):
    return clips[request.param]


@pytest.mark.parametrize("thinking", [False, True])
def test_prompt_and_greedy_answer_are_those_of_the_local_model(
    asked_directly, encoder, runner, clip, thinking
):
    task = make_task(clip, thinking=thinking, sampling={"max_tokens": NUM_TOKENS})
    prompt, answer = asked_directly(task, [clip])
    traced = trace(encoder, runner, task, [clip], quiet)
    # vLLM reports all vision tokens in the first tubelet's place; it computes with the true places.
    placeholders = [encoder.counter.tokenizer.id_of(token) for token in (IMAGE, SOUND)]
    ours = traced.input_ids.tolist()
    assert without(prompt, *placeholders) == without(ours, *placeholders)
    assert answer == traced.output_ids.tolist()


@pytest.mark.parametrize("thinking", [False, True])
def test_the_backends_give_the_same_answer(connect, local, clips, thinking):
    task = make_task(clips["with sound"], thinking=thinking, sampling={"max_tokens": NUM_TOKENS})
    theirs, ours = answer_of(connect(), task), answer_of(local, task)
    assert (theirs.output, theirs.reasoning) == (ours.output, ours.reasoning)
    assert (theirs.input_tokens, theirs.output_tokens) == (ours.input_tokens, ours.output_tokens)
    assert theirs.finish_reason == ours.finish_reason == "length"


def test_a_compressed_clip_has_as_many_tokens(connect, clips, counter):
    task = make_task(clips["with sound"])
    answer = answer_of(connect(is_exact=False), task)
    counted = counter.inspect(task, [clips["with sound"]])
    assert answer.input_tokens == counted.input_tokens


def test_an_answer_comes_token_by_token(connect, clips):
    events = asyncio.run(events_of(connect(), make_task(clips["silent"], sampling={"max_tokens": 12})))
    assert len([event for event in events if isinstance(event, Delta)]) > 6


def test_a_cancelled_task_ends_in_vllm(connect, server, clips):
    task = make_task(clips["silent"], sampling={"max_tokens": LONG})
    before = server.metric("vllm:generation_tokens_total")

    async def cancel():
        backend = connect()
        async with aclosing(backend.generate(task, [clips["silent"]])) as events:
            async for event in events:
                if isinstance(event, Delta):
                    break
        while server.metric("vllm:num_requests_running"):
            await asyncio.sleep(0.05)
        await backend.close()

    asyncio.run(asyncio.wait_for(cancel(), 60))
    assert server.metric("vllm:generation_tokens_total") - before < LONG


@pytest.mark.parametrize("budget", [1, 10])
def test_a_chain_of_thought_ends_at_its_budget(connect, local, clips, budget):
    sampling = {"max_tokens": 30, "reasoning_budget": budget}
    task = make_task(clips["silent"], thinking=True, sampling=sampling)
    answer = answer_of(connect(), task)
    assert (len(answer.reasoning), answer.output_tokens) == (budget, 30)
    assert answer.reasoning == answer_of(local, task).reasoning


def test_vllms_words_about_a_long_prompt_are_known(server):
    body = {
        "model": served_model(server),
        "messages": [{"role": "user", "content": "a " * MAX_CONTEXT}],
        "max_tokens": 4,
    }
    with pytest.raises(urllib.error.HTTPError) as caught:
        server.ask(body)
    failure = refused(caught.value.code, dict(caught.value.headers), caught.value.read())
    assert (failure.error.kind, failure.error.ctx) == ("sequence_too_long", {"max_length": MAX_CONTEXT})


def test_doctor_finds_no_fault(server, counter):
    async def check():
        pool = pool_of(server)
        await pool.probe()
        return await ServerCheck(pool.upstreams[0], VLLM, counter, rate=0.5, max_frames=64).run()

    facts = asyncio.run(check())
    assert facts.problems == ()
    assert (facts.max_context, facts.pruning_rate, facts.ssm_type) == (MAX_CONTEXT, 0.5, "float32")
    assert facts.has_parser
    assert facts.takes_most_frames
