"""When a webhook is tried again: ten times within two hours, further apart each time."""

# Between the end of one attempt and the next. With every attempt as long as it may be, 7,200 s in all.
DELAYS_S = (5.0, 10.0, 30.0, 60.0, 180.0, 300.0, 600.0, 1200.0, 1800.0, 2700.0)
MAX_JITTER = 0.2
_FIRST_LIMIT_S = 15.0
_REPEAT_LIMIT_S = 30.0


def limit_s(num_tries: int) -> float:
    """How long the next attempt may take, after so many that failed."""
    return _REPEAT_LIMIT_S if num_tries else _FIRST_LIMIT_S


def delay_s(num_tries: int, draw: float) -> float | None:
    """How long to wait after so many attempts that failed; None where there have been enough.

    draw: from 0 to 1; it takes off up to a fifth, so that what failed together is not tried again together
    """
    if num_tries > len(DELAYS_S):
        return None
    return DELAYS_S[num_tries - 1] * (1 - MAX_JITTER * draw)
