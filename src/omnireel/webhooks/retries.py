"""When a failed webhook is tried again: up to ten times within two hours, with growing delays."""

# From the end of one attempt to the start of the next. With every attempt at its longest, 7,200 s in all.
DELAYS_S = (5.0, 10.0, 30.0, 60.0, 180.0, 300.0, 600.0, 1200.0, 1800.0, 2700.0)
MAX_JITTER = 0.2
_FIRST_LIMIT_S = 15.0
_RETRY_LIMIT_S = 30.0


def limit_s(num_tries: int) -> float:
    """How long the next attempt may take, after `num_tries` failed ones."""
    return _RETRY_LIMIT_S if num_tries else _FIRST_LIMIT_S


def delay_s(num_tries: int, draw: float) -> float | None:
    """How long to wait after `num_tries` failed attempts; None when there is no further one.

    draw: random, from 0 to 1; shortens the delay by up to a fifth, so that webhooks that failed together are
          not retried together
    """
    if num_tries > len(DELAYS_S):
        return None
    return DELAYS_S[num_tries - 1] * (1 - MAX_JITTER * draw)
