import pytest
import torch
from oracle import TOLERANCE, load_oracle

from omnireel.engine.engine import Engine, EngineConfig
from omnireel.engine.params import SamplingParams
from omnireel.engine.request import Request
from omnireel.engine.runners.torch import TorchRunner
from omnireel.model.checkpoint.load import load_checkpoint
from tools.scaled_checkpoint import Sizes, write_checkpoint


def some_ids(vocab_size, length, seed=0):
    return torch.randint(32, vocab_size, (1, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("length", [1, 3, 33, 70])
def test_logits_are_those_of_transformers(model, oracle, length):
    ids = some_ids(320, length)
    ours = model.logits(model.forward_hidden(model.embed(ids), model.new_state()))
    torch.testing.assert_close(ours, oracle.language_model(input_ids=ids).logits, **TOLERANCE)


def test_logits_of_steps_after_a_prefill_are_those_of_transformers(model, oracle):
    """Each side keeps its own state: convolution window, SSM state, keys and values."""
    ids = some_ids(320, 40)
    state = model.new_state(capacity=64)
    model.forward_hidden(model.embed(ids), state)
    past = oracle.language_model(input_ids=ids, use_cache=True).past_key_values
    for token in some_ids(320, 5, seed=1)[0]:
        ours = model.logits(model.forward_hidden(model.embed(token.view(1, 1)), state))
        theirs = oracle.language_model(input_ids=token.view(1, 1), past_key_values=past, use_cache=True)
        torch.testing.assert_close(ours, theirs.logits, **TOLERANCE)


def test_the_ssm_state_after_a_prefill_is_that_of_transformers(model, oracle):
    ids = some_ids(320, 70)
    state = model.new_state()
    model.forward_hidden(model.embed(ids), state)
    past = oracle.language_model(input_ids=ids, use_cache=True).past_key_values
    for n, mixer in enumerate(model.config.language.pattern):
        if mixer == "M":
            theirs = past.layers[n].recurrent_states[0]
            torch.testing.assert_close(state.layers[n].ssm, theirs, **TOLERANCE)


def test_the_engine_writes_the_tokens_that_transformers_generates(model, oracle):
    """Greedy, eight tokens; the engine reads the prompt in chunks of 16."""
    ids = some_ids(320, 50)
    engine = Engine(TorchRunner(model, max_context=128), EngineConfig(prefill_chunk=16))
    sampling = SamplingParams(temperature=0, max_tokens=8)
    engine.add(Request("a", tuple(ids[0].tolist()), (), sampling, frozenset()))
    events = []
    while not engine.is_idle:
        events += engine.step()
    theirs = oracle.language_model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=8,
        do_sample=False,
        eos_token_id=-1,
        pad_token_id=0,
    )
    assert [event.token_id for event in events if event.num_read is None] == theirs[0, 50:].tolist()


def test_bf16_logits_point_the_same_way_as_those_of_transformers(tmp_path):
    """omnireel computes time steps and softplus in fp32, transformers in bf16.

    Every token uses every expert, because rounding would decide between experts with nearly equal scores.
    """
    write_checkpoint(tmp_path, Sizes(num_experts=4, num_experts_per_token=4, dtype="bfloat16"))
    model, oracle = load_checkpoint(tmp_path), load_oracle(tmp_path, torch.bfloat16)
    ids = some_ids(320, 40)
    ours = model.logits(model.forward_hidden(model.embed(ids), model.new_state()))
    theirs = oracle.language_model(input_ids=ids).logits
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=-1).min() > 0.999
