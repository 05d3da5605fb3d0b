"""How long a task will take, from measured rates. Free of torch."""

from omnireel.engine.rates import Rates
from omnireel.task import ExpectedTime, Inspection, Progress

_PATCHES_PER_TOKEN = 4  # the projector joins 2×2 patches


def expected_time(inspection: Inspection, rates: Rates) -> ExpectedTime:
    """The time of each part of the work; without reading the clip and its sound, and without waiting for others.

    Tubelets that turn out to be equal take less.
    """
    num_patches = _PATCHES_PER_TOKEN * inspection.video.num_vision_tokens
    return ExpectedTime(
        encoding_s=rates.vision.seconds_for(num_patches),
        prefill_s=rates.prefill.seconds_for(inspection.input_tokens),
        token_s=rates.decode.seconds_for(1),
    )


def expected_text(expected: ExpectedTime) -> str:
    """The expected time in words."""
    parts = [
        (expected.encoding_s, "to encode the frames"),
        (expected.prefill_s, "to read the prompt"),
        (expected.token_s, "for each token of the answer"),
    ]
    known = [f"{seconds:.2g} s {what}" for seconds, what in parts if seconds is not None]
    return ", ".join(known) if known else "not known: no measured speed is kept yet"


def expected_progress(expected: ExpectedTime) -> Progress:
    """The log line before the work."""
    return Progress("video", f"expected time: {expected_text(expected)}")


def remaining_text(seconds: float | None) -> str:
    """What is added to a message about a stage; empty below one second, or where it is not known."""
    return "" if seconds is None or seconds < 1 else f", about {seconds:.0f} s left"
