"""What holds for every runner. A file of tests subclasses `RunnerConformance` and gives it runners of one model.

Two runs may differ in rounding, where a runner computes a split prompt with other products. So logits are compared
with a tolerance, relative to the largest logit.
"""

import pytest
import torch

from omnireel.engine.runner import Rows, Segment, Wanted
from omnireel.errors import Cancelled, GenerationError

PROMPT, MAX_CONTEXT, NUM_SLOTS, OFFSETS = 45, 64, 3, range(1, 41)


def some_ids(count, seed=0):
    return torch.randint(32, 300, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def extend(runner, *segments):
    """The logits of each segment, after checking that none failed."""
    outcomes = runner.forward(segments)
    assert [outcome.error for outcome in outcomes] == [None] * len(segments)
    return [outcome.logits for outcome in outcomes]


def close_to(expected):
    return {"rtol": 0, "atol": 1e-4 * float(expected.abs().max())}


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, **close_to(expected))


class RunnerConformance:
    """Subclasses give the fixture `runner`: NUM_SLOTS slots of MAX_CONTEXT positions; and the model's `width`.

    A cold run of the same runner is the reference. Whether it is right is a matter of each runner's own tests.
    """

    @pytest.fixture(autouse=True)
    def _empty(self, runner):
        yield
        for slot in range(NUM_SLOTS):
            runner.clear(slot)

    @pytest.fixture(scope="class")
    @classmethod
    def ids(cls):
        return some_ids(PROMPT)

    @pytest.fixture(scope="class")
    @classmethod
    def rows(cls, width):
        """Two spans of a prompt that hold embeddings."""
        noise = torch.Generator().manual_seed(1)
        return tuple(
            Rows(start, torch.randn(n, width, generator=noise) / 4) for start, n in ((4, 7), (20, 9))
        )

    @pytest.fixture(scope="class")
    @classmethod
    def cold(cls, runner, ids, rows):
        """Logits at every position of the prompt, with rows and without, read as a whole."""
        found = {}
        for name, given in (("ids", ()), ("rows", rows)):
            (found[name],) = extend(runner, Segment(0, 0, ids, given, Wanted.all))
            runner.clear(0)
        return found

    def test_the_wanted_logits_are_returned_in_fp32(self, runner, ids, cold):
        (whole,) = extend(runner, Segment(0, 0, ids, (), Wanted.all))
        none, last = extend(runner, Segment(1, 0, ids, (), Wanted.none), Segment(2, 0, ids, (), Wanted.last))
        assert (whole.shape[0], last.shape, whole.dtype) == (PROMPT, whole[:1].shape, torch.float32)
        assert none is None
        assert_close(last, cold["ids"][-1:])

    @pytest.mark.parametrize("kind", ["ids", "rows"])
    @pytest.mark.parametrize("sizes", [[1] * 45, [1, 44], [3, 17, 25], [8, 8, 8, 8, 8, 5], [44, 1]], ids=str)
    def test_any_split_gives_the_same_logits(self, runner, ids, *, rows, cold, sizes, kind):
        parts, start = [], 0
        for size in sizes:
            end = start + size
            inside = [part for row in rows if (part := row.part(start, end))] if kind == "rows" else []
            parts += extend(runner, Segment(0, start, ids[start:end], tuple(inside), Wanted.all))
            start = end
        assert_close(torch.cat(parts), cold[kind])

    def test_rows_take_the_place_of_ids(self, runner, ids, rows, cold):
        other = list(ids)
        for row in rows:
            other[row.start : row.end] = some_ids(row.end - row.start, seed=9)
        (logits,) = extend(runner, Segment(0, 0, other, rows, Wanted.all))
        assert_close(logits, cold["rows"])
        assert not torch.allclose(cold["rows"][-1], cold["ids"][-1], **close_to(cold["ids"]))

    def test_slots_are_independent(self, runner, ids, rows, cold):
        """Segments of different lengths, with and without rows, in the same batches."""
        other = some_ids(PROMPT, seed=3)
        (expected,) = extend(runner, Segment(0, 0, other, (), Wanted.all))
        runner.clear(0)
        heads = [Segment(0, 0, ids[:30], rows), Segment(1, 0, other[:5]), Segment(2, 0, ids[:1])]
        tails = [Segment(2, 1, ids[1:]), Segment(0, 30, ids[30:]), Segment(1, 5, other[5:])]
        heads, tails = extend(runner, *heads), extend(runner, *tails)
        for got, want in zip(heads, (cold["rows"][29:30], expected[4:5], cold["ids"][:1]), strict=True):
            assert_close(got, want)
        for got, want in zip(tails, (cold["ids"][-1:], cold["rows"][-1:], expected[-1:]), strict=True):
            assert_close(got, want)

    @pytest.mark.parametrize("offset", OFFSETS)
    def test_copied_and_restored_sequences_continue_as_a_cold_run_does(self, runner, ids, rows, cold, offset):
        """The source too, which goes on first; the snapshot is used twice, the second time over another sequence."""
        head = tuple(part for row in rows if (part := row.part(0, offset)))
        tail = tuple(part for row in rows if (part := row.part(offset, PROMPT)))
        extend(runner, Segment(0, 0, ids[:offset], head))
        runner.copy(0, 1)
        snapshot = runner.snapshot(0)
        assert snapshot.num_tokens == offset
        for slot in (0, 1):
            (logits,) = extend(runner, Segment(slot, offset, ids[offset:], tail, Wanted.all))
            assert_close(logits, cold["rows"][offset:])
        for _ in range(2):
            runner.restore(2, snapshot)
            (logits,) = extend(runner, Segment(2, offset, ids[offset:], tail, Wanted.all))
            assert_close(logits, cold["rows"][offset:])

    @pytest.mark.parametrize("offset", [1, 7, 40])
    def test_a_copy_over_another_sequence_replaces_it(self, runner, ids, cold, offset):
        extend(runner, Segment(1, 0, some_ids(50, seed=5)), Segment(0, 0, ids[:offset]))
        runner.copy(0, 1)
        (logits,) = extend(runner, Segment(1, offset, ids[offset:]))
        assert_close(logits, cold["ids"][-1:])

    @pytest.mark.parametrize("offset", OFFSETS)
    def test_a_cleared_slot_starts_cold(self, runner, ids, cold, offset):
        extend(runner, Segment(0, 0, some_ids(offset, seed=5)))
        runner.clear(0)
        (logits,) = extend(runner, Segment(0, 0, ids))
        assert_close(logits, cold["ids"][-1:])

    def test_a_sequence_that_is_too_long_is_refused_and_the_others_go_on(self, runner, ids, cold):
        assert (runner.capacity.num_slots, runner.capacity.max_context) == (NUM_SLOTS, MAX_CONTEXT)
        extend(runner, Segment(0, 0, ids))
        room = MAX_CONTEXT - PROMPT
        refused, other = runner.forward([Segment(0, PROMPT, some_ids(room + 1)), Segment(1, 0, ids)])
        assert isinstance(refused.error, GenerationError)
        assert refused.error.kind == "out_of_memory"
        assert f"needs {MAX_CONTEXT + 1} positions" in refused.error.message
        assert_close(other.logits, cold["ids"][-1:])
        runner.clear(0)
        extend(runner, Segment(0, 0, some_ids(MAX_CONTEXT)))

    def test_a_pass_that_is_stopped_says_so_and_the_slot_can_be_used_again(self, runner, ids, cold):
        (outcome,) = runner.forward([Segment(0, 0, ids)], stop=lambda: True)
        assert isinstance(outcome.error, Cancelled)
        runner.clear(0)
        (logits,) = extend(runner, Segment(0, 0, ids))
        assert_close(logits, cold["ids"][-1:])

    def test_the_size_of_a_snapshot_is_that_of_the_capacity(self, runner, ids):
        capacity = runner.capacity
        extend(runner, Segment(0, 0, ids))
        size = runner.snapshot(0).num_bytes
        counted = capacity.bytes_per_slot + PROMPT * capacity.bytes_per_token
        assert size == pytest.approx(counted, rel=0.1)
