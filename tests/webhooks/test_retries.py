"""The schedule of repeated attempts."""

import hypothesis.strategies as st
from hypothesis import given

from omnireel.webhooks.retries import DELAYS_S, MAX_JITTER, delay_s, limit_s

DRAWS = st.lists(st.floats(0, 1), min_size=len(DELAYS_S), max_size=len(DELAYS_S))


@given(DRAWS)
def test_ten_repetitions_fit_into_two_hours_even_if_each_attempt_takes_its_longest_time(draws):
    now, num_tries, delays = 0.0, 0, []
    while True:
        now += limit_s(num_tries)
        num_tries += 1
        delay = delay_s(num_tries, draws[num_tries - 1] if num_tries <= len(draws) else 0.5)
        if delay is None:
            break
        delays.append(delay)
        now += delay
    assert num_tries == 1 + 10
    assert now <= 2 * 3600
    assert delays == sorted(delays)
    for delay, full in zip(delays, DELAYS_S, strict=True):
        assert full * (1 - MAX_JITTER) <= delay <= full


def test_a_repetition_may_take_longer_than_the_first_attempt():
    assert limit_s(0) == 15
    assert limit_s(1) == limit_s(10) > 15
