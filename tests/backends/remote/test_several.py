"""Several model servers: which one takes a request, and what happens when one fails."""

import asyncio
import json
import math
from dataclasses import replace

import pytest
from model_server import ModelServer, Script
from tiny import events_of, make_task

from omnireel.errors import AttemptError, CapacityError, GenerationError
from omnireel.task import Answer


@pytest.fixture
def other():
    with ModelServer() as server:
        yield server


def run_all(backend, tasks):
    """The outcome of tasks that run together: answers and exceptions."""

    async def run():
        try:
            return [
                found if isinstance(found, Exception) else found[-1]
                for found in await asyncio.gather(
                    *(events_of(backend, t) for t in tasks), return_exceptions=True
                )
            ]
        finally:
            await backend.close()

    return asyncio.run(run())


def test_requests_about_one_clip_go_to_one_server(connect, server, other, clip):
    async def one_after_another():
        backend = connect(server, other)
        for _ in range(4):
            await events_of(backend, make_task(clip))
        await backend.close()

    asyncio.run(one_after_another())
    assert sorted((len(server.requests), len(other.requests))) == [0, 4]


def test_a_server_that_is_much_busier_does_not_get_the_clip(connect, server, other, clip):
    server.script = other.script = Script(is_silent=True)

    async def run():
        backend = connect(server, other, max_running=8)
        running = [asyncio.create_task(events_of(backend, make_task(clip))) for _ in range(6)]
        while server.num_running + other.num_running < 6:
            await asyncio.sleep(0.01)
        counts = (server.num_running, other.num_running)
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        await backend.close()
        return counts

    assert sorted(asyncio.run(asyncio.wait_for(run(), 60))) == [2, 4]


def test_no_server_gets_more_requests_than_its_limit(connect, server, clip):
    server.script = Script(token_s=0.02)
    answers = run_all(connect(server, max_running=2), [make_task(clip)] * 6)
    assert all(isinstance(answer, Answer) for answer in answers)
    assert server.most_running == 2


@pytest.mark.parametrize(
    "script",
    [
        Script(drop_at=0),
        Script(status=500, body="{}"),
        Script(status=503, body="{}"),
        Script(error_at=0),
    ],
)
def test_a_request_that_fails_before_its_first_token_is_tried_once_elsewhere(ask, server, other, script):
    server.script = other.script = Script(**{**vars(script), "failures": None})
    with pytest.raises((AttemptError, CapacityError)):
        ask(server, other)
    assert len(server.requests) + len(other.requests) == 2

    other.script = Script()
    assert ask(server, other)[-1].output == "A square moves to the right."


def test_a_request_whose_answer_has_begun_is_not_tried_again(ask, server, other):
    server.script = other.script = Script(drop_at=1)
    with pytest.raises(AttemptError):
        ask(server, other)
    assert len(server.requests) + len(other.requests) == 1


def test_a_killed_server_loses_no_request(connect, server, other, clip):
    async def run():
        backend = connect(server, other, max_running=8)
        await events_of(backend, make_task(clip))
        (server if server.requests else other).stop()
        answers = await asyncio.gather(*(events_of(backend, make_task(clip)) for _ in range(6)))
        health = await backend.health()
        await backend.close()
        return answers, health

    answers, health = asyncio.run(run())
    assert len(answers) == 6
    assert (health.is_ready, health.detail) == (True, "1 of 2 model servers take no requests.")


def test_without_a_server_a_request_is_told_when_to_come_again(ask, server):
    server.stop()
    with pytest.raises(CapacityError) as caught:
        ask(server)
    assert caught.value.kind == "downstream_service_unavailable"
    assert caught.value.after_s > 0
    assert caught.value.hint == f"Try again in {math.ceil(caught.value.after_s)} s."


def test_without_a_server_health_says_that_none_can_be_reached(connect, server):
    async def run():
        backend = connect(server)
        server.stop()
        health = await backend.health()
        await backend.close()
        return health

    health = asyncio.run(run())
    assert (health.is_ready, health.detail) == (False, "No model server can be reached.")


def test_a_server_that_comes_back_gets_requests_again(connect, server, clip):
    async def run():
        backend = connect(server, probe_s=0.05)
        server.script.models = []
        with pytest.raises(CapacityError):
            await events_of(backend, make_task(clip))
        server.script = Script()
        while not (await backend.health()).is_ready:
            await asyncio.sleep(0.02)
        events = await events_of(backend, make_task(clip))
        await backend.close()
        return events

    assert asyncio.run(asyncio.wait_for(run(), 20))[-1].output == "A square moves to the right."


def test_the_log_has_a_line_for_each_change_of_a_server_and_none_between(connect, server, capsys):
    other_model = Script(models=[{"id": "Qwen/Qwen3-VL-8B"}])
    scripts = (Script(models_body="x"), other_model, Script(), Script(models_body="x"), Script())

    async def run():
        backend = connect(server, probe_s=0.01)
        for script in scripts:
            server.script = script
            await backend.health()
            before = server.num_probes
            while server.num_probes < before + 3:
                await asyncio.sleep(0.01)
        await backend.close()

    asyncio.run(asyncio.wait_for(run(), 30))
    lines = [line for line in "".join(capsys.readouterr()).splitlines() if "a model server" in line]
    wanted = ("does not answer", "has another model", "is up", "does not answer", "is up")
    assert len(lines) == len(wanted)
    assert all(text in line for text, line in zip(wanted, lines, strict=True))
    assert "Qwen3-VL-8B" in lines[1]


def test_an_answer_to_a_probe_that_cannot_be_parsed_ends_no_probing(connect, server, capsys):
    async def run():
        backend = connect(server, probe_s=0.02)
        nested = Script(models_body="[" * 200_000)
        server.script = nested
        before = await backend.health()
        for script, is_ready in ((Script(), True), (nested, False), (Script(), True)):
            server.script = script
            while (await backend.health()).is_ready != is_ready:
                await asyncio.sleep(0.02)
        await backend.close()
        return before

    assert not asyncio.run(asyncio.wait_for(run(), 20)).is_ready
    assert "a model server does not answer" in "".join(capsys.readouterr())


def test_a_key_is_sent_and_never_shown(ask, server, capsys):
    server.script = Script(status=401, body=json.dumps({"error": "no"}))
    with pytest.raises(GenerationError):
        ask(server, options={"key": "sk-very-secret"})
    assert server.heads[0]["authorization"] == "Bearer sk-very-secret"
    shown = capsys.readouterr()
    assert "very-secret" not in shown.out + shown.err


def test_tenants_have_salts_of_their_own(connect, server, clip):
    async def run():
        backend = connect(server)
        for tenant in ("a", "b", "a", None):
            await events_of(backend, replace(make_task(clip), tenant=tenant))
        await backend.close()

    asyncio.run(run())
    salts = [request.get("cache_salt") for request in server.requests]
    assert salts[0] == salts[2] != salts[1]
    assert salts[3] is None


@pytest.mark.parametrize("kill_at", ["request", "head", "role", 0])
def test_a_server_that_dies_before_the_first_token_loses_no_request(ask, server, other, kill_at):
    server.script = other.script = Script(kill_at=kill_at)
    assert ask(server, other)[-1].output == "A square moves to the right."
    assert (len(server.requests), len(other.requests)) == (1, 1)


def test_servers_that_die_of_a_request_end_it_with_an_error_that_counts_as_an_attempt(ask, server, other):
    server.script, other.script = Script(kill_at="request"), Script(kill_at="request")
    with pytest.raises(AttemptError):
        ask(server, other)


def test_servers_without_a_connection_do_not_count_as_tries(connect, server, other, clip):
    async def run():
        with ModelServer() as third:
            backend = connect(server, other, third)
            await backend.health()
            await events_of(backend, make_task(clip))
            left = [s for s in (server, other, third) if not s.requests]
            for dead in {server, other, third} - {left[0]}:
                dead.stop()
            events = await events_of(backend, make_task(clip))
            await backend.close()
        return events

    assert asyncio.run(run())[-1].output == "A square moves to the right."


@pytest.mark.parametrize("kill_at", [1, 3, "end"])
def test_a_server_that_dies_within_an_answer_ends_it_with_a_typed_error(ask, server, kill_at):
    server.script = Script(kill_at=kill_at)
    with ModelServer(Script(kill_at=kill_at)) as other, pytest.raises(AttemptError) as caught:
        ask(server, other)
    assert caught.value.kind == "downstream_service_error"
    assert len(server.requests) + len(other.requests) == 1


@pytest.mark.parametrize("kill_at", ["finish", "usage"])
def test_a_server_that_dies_after_the_finish_reason_has_answered(ask, server, kill_at):
    server.script = Script(kill_at=kill_at)
    answer = ask(server)[-1]
    assert (answer.output, answer.finish_reason) == ("A square moves to the right.", "stop")
    assert answer.output_tokens == (6 if kill_at == "finish" else 7)
