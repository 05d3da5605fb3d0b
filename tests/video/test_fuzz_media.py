"""A few mutated clips, as `make fuzz-media` has ten thousand of them."""

from fuzz_media import run


def test_mutated_clips_are_read_or_refused_as_documented():
    tally, figures = run(40, seed=7)
    assert tally.faults == []
    assert sum(tally.outcomes.values()) == 40
    assert len(tally.outcomes) > 1
    assert figures["intrusions"] == 0
