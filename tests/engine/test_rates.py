"""The moving estimate of a speed."""

import pytest

from omnireel.engine.rates import Rate


def test_a_rate_is_unknown_until_something_was_measured():
    assert Rate().seconds_for(10) is None


def test_the_latest_measurements_count_most():
    rate = Rate()
    for _ in range(30):
        rate.add(100, 1.0)
    assert rate.seconds_for(100) == pytest.approx(1.0)
    for _ in range(30):
        rate.add(100, 2.0)
    assert rate.seconds_for(100) == pytest.approx(2.0, rel=0.05)


def test_large_measurements_count_more_than_small_ones():
    rate = Rate()
    rate.add(1000, 10.0)
    rate.add(1, 1.0)
    assert rate.seconds_for(1000) == pytest.approx(11.1, rel=0.02)
