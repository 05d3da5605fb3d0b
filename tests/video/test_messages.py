"""Messages between the reader and the decoding child, and how invalid ones are refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireel.video.limits import SUPPORTED_CODECS
from omnireel.video.messages import (
    NUM_SLOTS,
    RECORD_BYTES,
    End,
    Facts,
    Failure,
    FrameReady,
    Reason,
    Request,
    read_record,
)

FACTS = Facts(
    width=1920,
    height=1080,
    turns=3,
    mirrored=1,
    codec=2,
    flags=3,
    num_source_frames=3600,
    first_index=30,
    num_in_window=3570,
    source_fps=29.97,
    duration_s=120.1,
)
FRAME = FrameReady(frame_index=7, slot=NUM_SLOTS - 1, time_s=0.25)
FAILURE = Failure(Reason.CODEC, 10, 20, 1.5, b"mpeg2video".ljust(16, b"\0"))


@pytest.mark.parametrize("record", [FACTS, FRAME, End(), FAILURE])
def test_a_record_arrives_as_it_was_sent(record):
    data = record.pack()
    assert len(data) == RECORD_BYTES
    assert read_record(data) == record


def test_a_request_arrives_as_it_was_sent():
    request = Request(1, 4096, 1, 120.0, 1920, 1080, 16, 14400, 60.0, 2.0, 256, 0.5, 9.0)
    assert Request.unpack(request.pack()) == request


@pytest.mark.parametrize(
    "record",
    [
        FACTS._replace(width=0),
        FACTS._replace(height=1 << 20),
        FACTS._replace(turns=4),
        FACTS._replace(codec=len(SUPPORTED_CODECS)),
        FACTS._replace(num_source_frames=0),
        FACTS._replace(first_index=3600),
        FACTS._replace(num_in_window=3571),
        FACTS._replace(source_fps=0.0),
        FACTS._replace(source_fps=math.nan),
        FACTS._replace(duration_s=-1.0),
        FRAME._replace(slot=NUM_SLOTS),
        FRAME._replace(frame_index=-1),
        FRAME._replace(time_s=math.inf),
        FAILURE._replace(reason=99),
        FAILURE._replace(value=math.inf),
    ],
)
def test_a_record_out_of_range_is_refused(record):
    with pytest.raises(ValueError, match=r"out of range|not a valid"):
        read_record(record.pack())


@given(st.binary(min_size=RECORD_BYTES, max_size=RECORD_BYTES))
def test_any_bytes_are_a_record_or_a_value_error(data):
    try:
        read_record(data)
    except ValueError:
        return


@given(st.binary(min_size=16, max_size=16))
def test_a_codecs_name_is_a_plain_word_for_any_bytes(name):
    word = FAILURE._replace(name=name).codec
    assert word.isascii()
    assert word.replace("_", "").isalnum()
