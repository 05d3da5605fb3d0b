"""The llama runner conforms, and computes what the torch runner computes with the same weights."""

import resource
import threading

import pytest
import torch
from runner_conformance import MAX_CONTEXT, NUM_SLOTS, PROMPT, RunnerConformance, extend, some_ids
from typer.testing import CliRunner

from omnireel.cli import app
from omnireel.cli.models import runner as opening
from omnireel.engine.engine import Engine, EngineConfig
from omnireel.engine.params import SamplingParams
from omnireel.engine.request import MediaSpan, Request
from omnireel.engine.runner import Rows, Segment, Wanted
from omnireel.engine.runners.llama import LlamaOptions, LlamaRunner
from omnireel.engine.runners.torch import TorchRunner
from omnireel.errors import Cancelled, CheckpointError, GenerationError, SettingsError
from omnireel.model.checkpoint.gguf.embeddings import GgufEmbeddings
from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.settings import Settings
from tools.scaled_checkpoint import Sizes, write_checkpoint

SHAPES = {
    "plain": Sizes(),
    "many groups, three kv heads": Sizes(
        pattern="*MEMM*EE", num_groups=4, num_heads=6, num_kv_heads=3, head_dim=8, num_experts=16,
        num_experts_per_token=6, state_size=24, chunk_size=32, seed=1,
    ),
    "two groups, wide": Sizes(
        hidden_size=256, pattern="MEM*EM*E", num_groups=2, num_heads=4, num_kv_heads=2, head_dim=64,
        num_experts=8, num_experts_per_token=4, mamba_num_heads=8, mamba_head_dim=64, state_size=128, seed=3,
    ),
    "one group, all experts": Sizes(
        hidden_size=96, pattern="EM*M", num_groups=1, num_heads=3, num_kv_heads=1, head_dim=32, num_experts=4,
        num_experts_per_token=4, mamba_num_heads=6, mamba_head_dim=32, chunk_size=128, seed=2,
    ),
}  # fmt: skip
LENGTH = 150


def open_runner(gguf, **options):
    exact = {"threads": 1, "cache_type": "f32", "flash_attention": "off"}
    return LlamaRunner(gguf, GgufEmbeddings(gguf), LlamaOptions(**exact | options))


@pytest.fixture(scope="module", params=SHAPES.values(), ids=SHAPES)
def checkpoint(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(directory, request.param)
    return directory


@pytest.fixture(scope="module")
def gguf(checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed")
    result = CliRunner().invoke(app, ["pack", str(checkpoint), "--out", str(out), "--type", "f32"])
    assert result.exit_code == 0, result.output
    (path,) = out.glob("*.gguf")
    return path


@pytest.fixture(scope="module")
def runner(gguf):
    runner = open_runner(gguf, max_context=MAX_CONTEXT, num_slots=NUM_SLOTS)
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def both(checkpoint, gguf):
    """The torch runner and the llama runner of one checkpoint, with room for longer prompts."""
    llama = open_runner(gguf, max_context=256, num_slots=2)
    yield TorchRunner(load_checkpoint(checkpoint), max_context=256, num_slots=2), llama
    llama.close()


@pytest.fixture(scope="module")
def rows(gguf):
    noise, width = torch.Generator().manual_seed(1), GgufEmbeddings(gguf).width
    return tuple(Rows(start, torch.randn(n, width, generator=noise) / 4) for start, n in ((4, 30), (60, 41)))


class TestLlamaRunner(RunnerConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def width(cls, gguf):
        return GgufEmbeddings(gguf).width


@torch.inference_mode()
def test_logits_are_those_of_the_torch_runner(both, rows):
    segment = Segment(0, 0, some_ids(LENGTH), rows, Wanted.all)
    ours, theirs = (extend(runner, segment)[0] for runner in both)
    for runner in both:
        runner.clear(0)
    assert float((ours - theirs).abs().max() / ours.abs().max()) < 1e-3


@torch.inference_mode()
def test_greedy_answers_are_equal_until_the_two_likeliest_tokens_are_nearly_equal(both, rows):
    media = tuple(MediaSpan(row, "") for row in rows)
    for seed in range(3):
        ids = tuple(some_ids(LENGTH, seed=seed))
        sampling = SamplingParams(temperature=0, max_tokens=40)
        ours, theirs = (answer(runner, Request("a", ids, media, sampling, frozenset())) for runner in both)
        same = next((n for n, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]), None)
        if same is not None:
            (logits,) = extend(both[0], Segment(0, 0, [*ids, *ours[:same]], rows))
            both[0].clear(0)
            first, second = logits[0].topk(2).values.tolist()
            assert first - second < 1e-3 * float(logits.abs().max())


def answer(runner, request):
    engine = Engine(runner, EngineConfig(prefill_chunk=64))
    engine.add(request)
    events = []
    while not engine.is_idle:
        events += engine.step()
    assert all(event.error is None for event in events)
    return [event.token_id for event in events if event.num_read is None]


def test_a_pass_is_stopped_in_its_middle(runner):
    asked = []

    def stop():
        asked.append(threading.get_ident())
        return len(asked) > 5

    (outcome,) = runner.forward([Segment(0, 0, some_ids(PROMPT))], stop=stop)
    runner.clear(0)
    assert isinstance(outcome.error, Cancelled)
    assert len(asked) < 20


@torch.inference_mode()
@pytest.mark.parametrize("place", ["in the library", "before it is called"])
def test_a_sequence_for_which_memory_runs_out_fails_with_a_type_and_the_others_go_on(
    runner, monkeypatch, place
):
    sampling = SamplingParams(temperature=0, max_tokens=8)
    requests = [
        Request(name, tuple(some_ids(20, seed)), (), sampling, frozenset()) for seed, name in enumerate("ab")
    ]
    alone = answer(runner, requests[0])
    engine = Engine(runner, EngineConfig(max_running=2))
    engine.add(requests[0])
    events = engine.step()
    engine.add(requests[1])
    events += engine.step()  # a token of a; the next step reads b's prompt
    with monkeypatch.context() as fault:
        if place == "in the library":
            fault.setattr(runner, "_library", WithoutMemory(runner._library))
        else:
            fault.setattr(runner, "_batch", allocate_too_much)
        events += engine.step()
    while not engine.is_idle:
        events += engine.step()
    (error,) = (event.error for event in events if event.error is not None)
    assert (type(error), error.kind) == (GenerationError, "out_of_memory")
    assert [event.sequence_id for event in events if event.error is not None] == ["b"]
    assert [event.token_id for event in events if event.sequence_id == "a"] == alone


class WithoutMemory:
    """The library, whose next forward pass finds no memory."""

    def __init__(self, library):
        self._library = library

    def __getattr__(self, name):
        return getattr(self._library, name)

    def llama_decode(self, *_):
        return -2


def allocate_too_much(_):
    return torch.empty(1 << 60, dtype=torch.uint8)


def test_the_memory_that_is_available_limits_what_is_opened(gguf, monkeypatch):
    monkeypatch.setattr(opening, "available_memory", lambda: 10_000)
    with pytest.raises(SettingsError, match=r"0\.00 GB are available"):
        opening.open_llama_runner(gguf, GgufEmbeddings(gguf), Settings(threads=1), max_context=4096)


def test_sequences_that_memory_cannot_hold_are_refused_before_the_library_takes_it(gguf, runner):
    one, slots = runner.capacity, 64
    context = (1 << 30) // (slots * one.bytes_per_token)
    needed = slots * (one.bytes_per_slot + context * one.bytes_per_token)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        SettingsError, match=rf"64 sequences of {context:,} tokens take {needed / 1e9:.2f} GB"
    ) as caught:
        open_runner(gguf, max_context=context, num_slots=slots, max_bytes=needed - 1)
    assert caught.value.hint == "Choose a smaller --context or fewer --slots."
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, (
        "in KiB; it would be a gigabyte"
    )


def test_sequences_that_memory_can_hold_are_taken(gguf, runner):
    open_runner(
        gguf, max_context=MAX_CONTEXT, num_slots=NUM_SLOTS, max_bytes=runner.capacity.num_bytes
    ).close()


def test_more_slots_than_the_library_has_are_refused(gguf):
    with pytest.raises(
        CheckpointError, match=r"cannot be opened for 300 sequences of 64 tokens: .*256"
    ) as caught:
        open_runner(gguf, max_context=64, num_slots=300)
    assert caught.value.hint == "Choose a smaller context or fewer slots."
